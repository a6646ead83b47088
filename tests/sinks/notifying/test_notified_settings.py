"""Receivers come from the settings: each switched on by its address, refused where half named, secrets masked."""

import pytest

from schemas.errors import SettingsError
from schemas.settings import Settings, load, notified, shown, to_environ, webhook_keys

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALL = {
    "BAROMETER_ALERTMANAGER_URL": "https://u:pw1@am.example:9093",
    "BAROMETER_NOTIFY_WEBHOOK_URL": "https://hook.example/token2",
    "BAROMETER_NOTIFY_WEBHOOK_SECRET": f"{SECRET} {SECRET}",
    "BAROMETER_NOTIFY_SMTP_URL": "smtps://u:pw3@mail.example",
    "BAROMETER_NOTIFY_MAIL_FROM": "b@shop.example",
    "BAROMETER_NOTIFY_MAIL_TO": "duty@shop.example",
    "BAROMETER_NOTIFY_LANG": "fr",
}


def test_a_receiver_is_told_when_its_address_is_set() -> None:
    assert notified(Settings()) == ()
    assert notified(Settings(notify_webhook_url="https://x", notify_webhook_secret=SECRET)) == ("webhook",)
    settings = load(ALL)
    assert notified(settings) == ("alertmanager", "webhook", "mail")
    assert len(webhook_keys(settings)) == 2
    assert load(to_environ(settings)) == settings


def test_addresses_and_secrets_of_receivers_are_masked() -> None:
    text = str(shown(load(ALL)))
    assert not [secret for secret in ("pw1", "token2", SECRET, "pw3") if secret in text]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALERTMANAGER_URL", "am.example:9093", "alertmanager_url"),
        ("ALERTMANAGER_URL", "http://am.example:port", "alertmanager_url"),
        ("NOTIFY_SMTP_URL", "http://mail.example", "notify_smtp_url"),
        ("NOTIFY_WEBHOOK_SECRET", "", "notify_webhook_secret"),
        ("NOTIFY_WEBHOOK_SECRET", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"),
        ("NOTIFY_WEBHOOK_SECRET", "whsec_c2hvcnQ=", "24"),
        ("NOTIFY_WEBHOOK_SECRET", "whsec_not base64", "base64"),
        ("NOTIFY_MAIL_TO", "", "notify_mail_to"),
        ("NOTIFY_LANG", "de", "notify_lang"),
    ],
)
def test_half_a_receiver_is_refused_at_start_by_name(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        load({**ALL, f"BAROMETER_{name}": value})
    assert not [secret for secret in ("pw1", "token2", "pw3") if secret in str(refused.value)]
