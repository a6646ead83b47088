"""One address says how Kafka is reached; what is half said is refused, what is secret is not shown."""

import ssl

import pytest

from schemas.broker import broker_of, reaching, shown_broker
from schemas.errors import SettingsError


def test_a_plain_address_names_its_servers_and_nothing_else() -> None:
    assert reaching("a:9092, b:9093") == {"bootstrap_servers": ["a:9092", "b:9093"]}


def test_a_sasl_address_gives_user_password_and_mechanism_decoded() -> None:
    found = reaching("sasl_plaintext://us%40er:p%3Aw@a:1,b:2?mechanism=PLAIN")
    assert found == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "us@er",
        "sasl_plain_password": "p:w",
    }


def test_encryption_always_checks_certificate_and_name() -> None:
    context = reaching("sasl_ssl://u:p@a:1")["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    "address",
    [
        "a", "a:x", "http://a:1", "sasl_ssl://a:1", "sasl_ssl://u@a:1", "ssl://u:p@a:1", "ssl://a:1?verify=no",
        "ssl://a:1?cert=x", "sasl_ssl://u:p@a:1?mechanism=GSSAPI", "ssl://a:1?ca=/no/such/file",
    ],
)  # fmt: skip
def test_a_half_or_impossible_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(SettingsError, match="kafka_bootstrap"):
        reaching(address)


def test_the_password_is_shown_nowhere() -> None:
    address = "sasl_ssl://user:hunter2@a:1,b:2"
    assert "hunter2" not in repr(broker_of(address)) + str(broker_of(address)) + shown_broker(address)
    assert shown_broker(address) == "sasl_ssl://user:***@a:1,b:2"
    assert shown_broker("a:1,b:2") == "a:1,b:2"
