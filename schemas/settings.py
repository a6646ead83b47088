"""Settings: read once, from the environment (BAROMETER_*) over an optional TOML file (BAROMETER_CONFIG).

Unknown names are errors; secrets are masked when shown.
"""

import base64
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from schemas.broker import broker_of, shown_broker
from schemas.errors import SettingsError

PREFIX = "BAROMETER_"
SECRETS = frozenset({
    "write_keys", "pseudonym_key", "clickhouse_url", "console_token", "alertmanager_url", "notify_webhook_url", "notify_webhook_secret",
    "notify_smtp_url", "schema_registry_url",
})  # fmt: skip
ELSEWHERE = frozenset({"CONFIG", "TEST_ENGINES"})
"""Names with our prefix that are read elsewhere: the file itself, and the test suite's switch."""
RECEIVERS = {"alertmanager": "alertmanager_url", "webhook": "notify_webhook_url", "mail": "notify_smtp_url"}
"""Receiver of alarms -> the setting that switches it on."""
NOTIFY_SCHEMES = {
    "alertmanager_url": ("http", "https"), "notify_webhook_url": ("http", "https"), "notify_smtp_url": ("smtp", "smtps"),
    "notify_public_url": ("http", "https"),
}  # fmt: skip


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings with their defaults; units end the names. Ports 0 mean: any free port."""

    data_dir: str = ".barometer"
    catalogue: str = ""
    """Path of the metric catalogue; empty: the packaged one."""
    kafka_bootstrap: str = ""
    """host:port,... of an existing Kafka, or sasl_ssl://user:password@host:port,...; empty: start the local engine."""
    kafka_replication: int = 1
    """Replicas of each topic that `topics apply` makes; 3 for a Kafka that must outlive a broker."""
    schema_registry_url: str = ""
    """http://user:password@host:port/... of a registry as Confluent defines it; empty: the static ids."""
    topic_prefix: str = ""
    """Put before every topic, group and transactional id; for several installations on one Kafka."""
    clickhouse_url: str = ""
    """clickhouse://user:password@host:port/database (native protocol); empty: start the local engine."""
    clickhouse_http_url: str = ""
    clickhouse_database: str = "barometer"
    clickhouse_tables: str = "plain"
    """plain, or replicated: `migrate`, run at each replica of a ClickHouse with a Keeper, makes Replicated tables."""
    kafka_port: int = 0
    clickhouse_tcp_port: int = 0
    clickhouse_http_port: int = 0
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 8080
    console_host: str = "127.0.0.1"
    console_port: int = 8090
    console_token: str = ""
    """What operators show the console; required where it listens beyond this machine."""
    ops_host: str = "127.0.0.1"
    ops_port: int = 0
    """Port of /metrics, /livez and /readyz of a stream or sink process."""
    write_keys: str = ""
    """name:key pairs, separated by commas."""
    pseudonym_key: str = ""
    """Secret of the keyed pseudonyms, at least 16 characters."""
    default_country: str = "FR"
    """Country of phone numbers written without one."""
    keyring: str = ""
    """Path of the data keys that sealed texts open with; empty: keys.sqlite in data_dir. One file for all processes."""
    identifying_attributes: str = (
        "name,first_name,last_name,full_name,username,login,email,e-mail,mail,phone,telephone,mobile,fax,ip,ip_address,"
        "address,street,postcode,birthday,date_of_birth,account,iban,card_number,device_id,user_agent"
    )
    """Attributes that are sealed with the text, as they name a person; separated by commas, capitals do not matter."""
    max_body_bytes: int = 5_000_000
    max_inflated_bytes: int = 20_000_000
    max_event_bytes: int = 256_000
    max_batch_events: int = 5_000
    rate_per_key_s: float = 2_000.0
    """Events a second that one write key may send, averaged over ten seconds."""
    publish_timeout_s: float = 10.0
    spool_max_bytes: int = 1_000_000_000
    """What the gateway keeps on its disk while Kafka is away; 0: nothing, it answers 503 at once."""
    pane_ms: int = 10_000
    provisional_step_ms: int = 60_000
    snapshot_every_s: float = 300.0
    renew_every_s: int = 3_600
    """Pane time between renewals of baselines and shares by the judge itself; 0: only by command."""
    exclude_after_s: int = 60
    """Seconds that a source may stand still while others are as far ahead, before the judge goes on without it; 0: it always waits."""
    spoilt_ratio: float = 0.5
    """Share of the records of a partition that are no events from which stage 1 pauses it; 0: never."""
    spoilt_records: int = 1_000
    """Records by which that share is judged."""
    stuck_after_s: int = 120
    """Seconds without a step, with records to read, after which a worker ends so that it is started anew; 0: never."""
    sink_flush_s: float = 1.0
    sink_batch_rows: int = 20_000
    sink_max_rejected_ratio: float = 0.3
    """Share of a topic's last records, at least a thousand, past which a sink stops setting aside and ends; 1: no limit."""
    sink_max_rejected_run: int = 100
    """As many records set aside in a row stop it too."""
    kill_point: str = ""
    """NAME:N kills this process the N-th time that it reaches the named point; for fault tests only."""
    log_level: str = "info"
    alertmanager_url: str = ""
    """Alertmanager's address without /api/v2; empty: it is not told."""
    notify_webhook_url: str = ""
    """Where each alarm is posted, signed; empty: nowhere."""
    notify_webhook_secret: str = ""
    """whsec_ and base64 of 24 to 64 bytes; two, separated by a space, while one replaces the other."""
    notify_smtp_url: str = ""
    """smtp://user:password@host:port (STARTTLS where offered) or smtps://...; empty: no mail."""
    notify_mail_from: str = ""
    notify_mail_to: str = ""
    """Addresses, separated by commas."""
    notify_lang: str = "en"
    """Language of what people read: en or fr."""
    notify_public_url: str = ""
    """Where people see alarms; put before /alarms/ID in links. Empty: no links."""


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
    if settings.renew_every_s < 0 or settings.renew_every_s % 60:
        raise SettingsError(
            "bad_setting", f"renew_every_s {settings.renew_every_s} is no number of whole minutes",
            "set a multiple of 60, or 0 to renew only by command",
        )  # fmt: skip
    if settings.exclude_after_s < 0 or settings.stuck_after_s < 0:
        raise SettingsError("bad_setting", "exclude_after_s and stuck_after_s are seconds, or 0 for never")
    if not 0 <= settings.spoilt_ratio <= 1 or settings.spoilt_records < 1:
        raise SettingsError("bad_setting", "spoilt_ratio lies in 0..1, spoilt_records is at least 1")
    if settings.spool_max_bytes < 0:
        raise SettingsError("bad_setting", f"spool_max_bytes {settings.spool_max_bytes} is less than 0")
    if settings.pseudonym_key and len(settings.pseudonym_key) < 16:
        raise SettingsError("bad_setting", "pseudonym_key is shorter than 16 characters")
    broker_of(settings.kafka_bootstrap)
    if settings.kafka_replication < 1:
        raise SettingsError("bad_setting", f"kafka_replication {settings.kafka_replication} is no number of replicas")
    if settings.clickhouse_tables not in {"plain", "replicated"}:
        raise SettingsError(
            "bad_setting", f"clickhouse_tables {settings.clickhouse_tables!r} is neither plain nor replicated"
        )
    if not 0 < settings.sink_max_rejected_ratio <= 1 or settings.sink_max_rejected_run < 1:
        raise SettingsError(
            "bad_setting", "sink_max_rejected_ratio is no share above 0, or sink_max_rejected_run is below 1",
            "the share is a number like 0.3; 1 switches the limit off",
        )  # fmt: skip
    keys_of(settings)
    _check_console(settings)
    _check_notified(settings)
    return settings


def _check_console(settings: Settings) -> None:
    if not is_loopback(settings.console_host) and not settings.console_token:
        raise SettingsError(
            "bad_setting", f"console_host {settings.console_host} is reached from elsewhere and no console_token is set",
            "set BAROMETER_CONSOLE_TOKEN, at least 16 characters",
        )  # fmt: skip
    if settings.console_token and len(settings.console_token) < 16:
        raise SettingsError("bad_setting", "console_token is shorter than 16 characters")


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine as only itself sees it."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_notified(settings: Settings) -> None:
    for name, schemes in NOTIFY_SCHEMES.items():
        url = getattr(settings, name)
        try:
            parts = urlsplit(url)
            good = parts.scheme in schemes and parts.hostname and parts.port != 0
        except ValueError:
            good = False
        if url and not good:
            raise SettingsError("bad_setting", f"{name} is no address with {' or '.join(schemes)}")
    if settings.notify_lang not in {"en", "fr"}:
        raise SettingsError("bad_setting", f"notify_lang {settings.notify_lang!r} is neither en nor fr")
    if settings.notify_webhook_url and not webhook_keys(settings):
        raise SettingsError("bad_setting", "notify_webhook_url wants a notify_webhook_secret to sign with")
    if settings.notify_smtp_url and not ("@" in settings.notify_mail_from and "@" in settings.notify_mail_to):
        raise SettingsError("bad_setting", "notify_smtp_url wants the addresses notify_mail_from and notify_mail_to")


def keyring_path(settings: Settings) -> Path:
    """Return where the data keys are."""
    return Path(settings.keyring or Path(settings.data_dir) / "keys.sqlite")


def identifying(settings: Settings) -> frozenset[str]:
    """Return the names of attributes that name a person, in lower case."""
    return frozenset(filter(None, (name.strip().lower() for name in settings.identifying_attributes.split(","))))


def notified(settings: Settings) -> tuple[str, ...]:
    """Return the names of the receivers of alarms that are set."""
    return tuple(name for name, setting in RECEIVERS.items() if getattr(settings, setting))


def webhook_keys(settings: Settings) -> list[bytes]:
    """Return the keys that sign webhooks. Raises SettingsError."""
    keys = []
    for text in settings.notify_webhook_secret.split():
        try:
            key = base64.b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if not text.startswith("whsec_") or not 24 <= len(key) <= 64:
            raise SettingsError(
                "bad_setting", "notify_webhook_secret wants whsec_ and base64 of 24 to 64 bytes",
                "make one: echo whsec_$(head -c 32 /dev/urandom | base64)",
            )  # fmt: skip
        keys.append(key)
    return keys


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
    masked = {
        name: "***" if name in SECRETS and value else value for name, value in msgspec.to_builtins(settings).items()
    }
    return masked | {"kafka_bootstrap": shown_broker(settings.kafka_bootstrap)}


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings."""
    return {PREFIX + name.upper(): str(value) for name, value in msgspec.to_builtins(settings).items()}
