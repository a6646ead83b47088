"""Settings: read once, from the environment (BAROMETER_*) over an optional TOML file (BAROMETER_CONFIG).

Unknown names are errors; secrets are masked when shown.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import SettingsError

PREFIX = "BAROMETER_"
SECRETS = frozenset({"write_keys", "pseudonym_key", "clickhouse_url"})
ELSEWHERE = frozenset({"CONFIG", "TEST_ENGINES"})
"""Names with our prefix that are read elsewhere: the file itself, and the test suite's switch."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults; units end the names. Ports 0 mean: any free port."""

    data_dir: str = ".barometer"
    catalogue: str = ""
    """Path of the metric catalogue; empty: the packaged one."""
    kafka_bootstrap: str = ""
    """host:port of an existing Kafka; empty: start the local engine."""
    topic_prefix: str = ""
    """Put before every topic, group and transactional id; for several installations on one Kafka."""
    clickhouse_url: str = ""
    """clickhouse://user:password@host:port/database (native protocol); empty: start the local engine."""
    clickhouse_http_url: str = ""
    clickhouse_database: str = "barometer"
    kafka_port: int = 0
    clickhouse_tcp_port: int = 0
    clickhouse_http_port: int = 0
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8080
    ops_host: str = "127.0.0.1"
    ops_port: int = 0
    """Port of /metrics, /livez and /readyz of a stream or sink process."""
    write_keys: str = ""
    """name:key pairs, separated by commas."""
    pseudonym_key: str = ""
    """Secret of the keyed pseudonyms, at least 16 characters."""
    default_country: str = "FR"
    """Country of phone numbers written without one."""
    max_body_bytes: int = 5_000_000
    max_inflated_bytes: int = 20_000_000
    max_event_bytes: int = 256_000
    max_batch_events: int = 5_000
    rate_per_key_s: float = 2_000.0
    """Events a second that one write key may send, averaged over ten seconds."""
    publish_timeout_s: float = 10.0
    pane_ms: int = 10_000
    provisional_step_ms: int = 60_000
    snapshot_every_s: float = 300.0
    sink_flush_s: float = 1.0
    sink_batch_rows: int = 20_000
    kill_point: str = ""
    """NAME:N kills this process the N-th time that it reaches the named point; for fault tests only."""
    log_level: str = "info"


def _coerce(name: str, text: str) -> Any:
    kind = Settings.__annotations__[name]
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError("bad_setting", f"{PREFIX}{name.upper()}: {text!r} is no {kind.__name__}") from error


def load(environ: Mapping[str, str]) -> Settings:
    """Return the settings of an environment. Raises SettingsError that names the culprit."""
    values: dict[str, Any] = {}
    path = environ.get(PREFIX + "CONFIG")
    if path:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(
                "bad_settings_file",
                f"{path}: {error}",
                "mend the file or unset BAROMETER_CONFIG",
            ) from error
    names = frozenset(Settings.__struct_fields__)
    for name, text in environ.items():
        bare = name.removeprefix(PREFIX)
        if not name.startswith(PREFIX) or bare in ELSEWHERE:
            continue
        if bare.lower() not in names:
            raise SettingsError("unknown_setting", name, "see `barometer config show` for the names")
        values[bare.lower()] = _coerce(bare.lower(), text)
    unknown = sorted(values.keys() - names)
    if unknown:
        raise SettingsError(
            "unknown_setting",
            f"{path}: {', '.join(unknown)}",
            "see `barometer config show` for the names",
        )
    try:
        settings = msgspec.convert(values, Settings, strict=True)
    except msgspec.ValidationError as error:
        raise SettingsError("bad_setting", str(error)) from error
    return check(settings)


def check(settings: Settings) -> Settings:
    """Return the settings if they are possible. Raises SettingsError."""
    if settings.pane_ms <= 0 or 60_000 % settings.pane_ms:
        raise SettingsError("bad_setting", f"pane_ms {settings.pane_ms} does not divide a minute")
    if settings.pseudonym_key and len(settings.pseudonym_key) < 16:
        raise SettingsError("bad_setting", "pseudonym_key is shorter than 16 characters")
    keys_of(settings)
    return settings


def keys_of(settings: Settings) -> dict[str, str]:
    """Return write key -> its name. Raises SettingsError for a pair that is none."""
    out = {}
    for pair in filter(None, settings.write_keys.split(",")):
        name, colon, key = pair.partition(":")
        if not (name and colon and key):
            raise SettingsError("bad_setting", "write_keys wants name:key pairs, separated by commas")
        out[key] = name
    return out


def shown(settings: Settings) -> dict[str, Any]:
    """Return the settings for people: secrets masked."""
    return {
        name: "***" if name in SECRETS and value else value for name, value in msgspec.to_builtins(settings).items()
    }


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings."""
    return {PREFIX + name.upper(): str(value) for name, value in msgspec.to_builtins(settings).items()}
