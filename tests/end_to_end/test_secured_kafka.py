"""Everything over SASL and TLS: the whole stack on a Kafka that refuses who is unknown and whose certificate is checked."""

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from random import Random

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy import topics
from deploy.engines import kafka
from deploy.engines.local import Endpoints
from deploy.engines.ports import LOOPBACK, Ports
from deploy.engines.supervisor import Child
from deploy.settle import settle
from deploy.stack import Stack
from schemas.errors import UnavailableError
from schemas.settings import Settings
from sinks import clickhouse
from tests.faults.ledger import Ledger
from tests.faults.load import event, send_all

PASSWORD = "p@ss:w/rd"
LISTENER = "listener.name.secure"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a broker's key with certificate, and the certificate alone for those who trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOOPBACK)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "broker.pem").write_bytes(secret + pem)
    (folder / "ca.pem").write_bytes(pem)
    return folder / "broker.pem", folder / "ca.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A broker with a second listener that wants TLS and a password: its address and what to trust."""
    folder, ports = tmp_path_factory.mktemp("secured"), Ports()
    chain, ca = certificate(folder)
    plain, controller, secure = ports.take(23_092), ports.take(23_192), ports.take(23_292)
    for name in ("kafka", "logs"):
        (folder / name).mkdir()
    child = Child(
        kafka.kafka_child(
            folder / "kafka", folder / "logs", port=plain, controller_port=controller, heap="384m", env=os.environ,
            properties={
                "listeners": f"PLAINTEXT://{LOOPBACK}:{plain},CONTROLLER://{LOOPBACK}:{controller},SECURE://{LOOPBACK}:{secure}",
                "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{plain},SECURE://{LOOPBACK}:{secure}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
                f"{LISTENER}.sasl.enabled.mechanisms": "PLAIN",
                f"{LISTENER}.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule"
                f' required user_barometer="{PASSWORD}";',
                f"{LISTENER}.ssl.keystore.type": "PEM",
                f"{LISTENER}.ssl.keystore.location": str(chain),
            },
        )
    )  # fmt: skip
    try:
        child.start()
        child.await_ready(kafka.READY_TIMEOUT_S)
        yield f"{LOOPBACK}:{secure}", ca
    finally:
        child.stop(4.0)
        ports.release()


def address(where: str, ca: Path, password: str = "p%40ss%3Aw%2Frd") -> str:
    return f"sasl_ssl://barometer:{password}@{where}?mechanism=PLAIN&ca={ca}"


@pytest.mark.long
def test_all_processes_reach_a_kafka_that_wants_tls_and_a_password(
    secured: tuple[str, Path], engines: Endpoints, tmp_path: Path
) -> None:
    where, ca = secured
    name = f"secured{uuid.uuid4().hex[:8]}"
    host, port = engines.clickhouse_native
    stack = Stack(
        Settings(
            data_dir=str(tmp_path), kafka_bootstrap=address(where, ca), gateway_port=28_480, pane_ms=1_000,
            clickhouse_url=f"clickhouse://default@{host}:{port}/{name}", clickhouse_database=name, sink_flush_s=0.5,
        ),
        environ=os.environ,
    )  # fmt: skip
    rng = Random(1)
    events = [event(rng, "paris", 0.2, old=number % 5 == 0) for number in range(200)]
    try:
        stack.start()
        send_all(stack.endpoints["gateway"], stack.endpoints["write_key"], events, Ledger(tmp_path / "sent.jsonl"))
        settle(stack.settings.kafka_bootstrap, stack.settings.topic_prefix, timeout_s=120)
        with clickhouse.connect(stack.settings) as client:
            stored = {row[0] for row in client.execute("SELECT event_id FROM feedback_events")}
        logs = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    finally:
        stack.stop()
        with clickhouse.connect(stack.settings, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")
    assert stored == {one["id"] for one in events}
    assert PASSWORD.encode() not in logs and b"p%40ss" not in logs


@pytest.mark.long
@pytest.mark.parametrize("wrong", ["password", "certificate"])
def test_who_is_unknown_or_cannot_trust_is_told_so_and_gets_nothing(
    secured: tuple[str, Path], tmp_path: Path, wrong: str
) -> None:
    where, ca = secured
    if wrong == "password":
        reached = address(where, ca, "other")
    else:
        tmp_path.joinpath("other").mkdir()
        reached = address(where, certificate(tmp_path / "other")[1])
    with pytest.raises(UnavailableError) as told:
        topics.apply(reached, f"{uuid.uuid4().hex}.")
    assert where in str(told.value)
    assert "password or ca" in str(told.value)
    assert PASSWORD not in str(told.value) and "p%40ss" not in str(told.value)


def test_settings_show_where_kafka_is_but_no_password() -> None:
    from schemas.settings import shown

    text = msgspec.json.encode(shown(Settings(kafka_bootstrap="sasl_ssl://u:hunter2@a:1"))).decode()
    assert "a:1" in text and "hunter2" not in text
