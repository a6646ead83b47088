"""Settings: misspelt names and impossible values are errors at start, secrets are masked."""

from pathlib import Path

import pytest

from schemas.errors import SettingsError
from schemas.settings import Settings, keys_of, load, shown, to_environ


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "barometer.toml"
    path.write_text("gateway_port = 9000\npane_ms = 1000\n")
    settings = load({"BAROMETER_CONFIG": str(path), "BAROMETER_PANE_MS": "5000", "HOME": "/"})
    assert (settings.gateway_port, settings.pane_ms) == (9000, 5000)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"BAROMETER_PANE": "1"}, "BAROMETER_PANE"),
        ({"BAROMETER_PANE_MS": "soon"}, "BAROMETER_PANE_MS"),
        ({"BAROMETER_PANE_MS": "7000"}, "minute"),
        ({"BAROMETER_RENEW_EVERY_S": "90"}, "whole minutes"),
        ({"BAROMETER_RENEW_EVERY_S": "-60"}, "whole minutes"),
        ({"BAROMETER_PSEUDONYM_KEY": "short"}, "16"),
        ({"BAROMETER_SPOOL_MAX_BYTES": "-1"}, "spool_max_bytes"),
        ({"BAROMETER_SINK_MAX_REJECTED_RATIO": "0"}, "share above 0"),
        ({"BAROMETER_CLICKHOUSE_TABLES": "both"}, "replicated"),
        ({"BAROMETER_WRITE_KEYS": "nokey"}, "name:key"),
        ({"BAROMETER_CONFIG": "/nowhere/at/all.toml"}, "/nowhere/at/all.toml"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(environ: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(environ)


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "barometer.toml"
    path.write_text("gatway_port = 9000\n")
    with pytest.raises(SettingsError, match="gatway_port"):
        load({"BAROMETER_CONFIG": str(path)})


def test_secrets_are_masked_when_shown() -> None:
    settings = Settings(
        write_keys="shop:s3cret",
        pseudonym_key="0123456789abcdef",
        clickhouse_url="clickhouse://u:pw@h/b",
    )
    text = str(shown(settings))
    assert not [secret for secret in ("s3cret", "0123456789abcdef", "pw") if secret in text]


def test_a_child_gets_the_same_settings() -> None:
    settings = Settings(pane_ms=1000, write_keys="a:b", rate_per_key_s=2.5)
    assert load(to_environ(settings)) == settings


def test_write_keys_are_named() -> None:
    assert keys_of(Settings(write_keys="shop:k1,web:k2")) == {"k1": "shop", "k2": "web"}
