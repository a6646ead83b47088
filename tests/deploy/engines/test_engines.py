"""What the local engines promise: owned folders, moved ports, restarts without loss, nothing left behind."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import clickhouse_connect
import psutil
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_driver import Client
from clickhouse_driver.errors import Error as ClickHouseError
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaError

from deploy.engines import jars
from deploy.engines.datadir import DataDir
from deploy.engines.errors import AlreadyRunningError, EngineError
from deploy.engines.jars import jar_folder
from deploy.engines.kafka import still_missing
from deploy.engines.local import Endpoints
from deploy.engines.ports import LOOPBACK, Ports
from tests.deploy.engines.conftest import EnginesProcess, start, until


def _topic(bootstrap: str, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    admin.close()


def _produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", delivery_timeout_ms=60_000)
    producer.send(topic, key=b"k", value=value).get(60)
    producer.close()


def _values(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000, group_id=None
    )
    found = []
    for record in consumer:
        found.append(record.value)
        if len(found) == count:
            break
    consumer.close()
    return found


def test_the_broker_never_creates_a_topic_by_itself(engines: Endpoints, topic_prefix: str) -> None:
    name = f"{topic_prefix}nobody-made-me"
    producer = KafkaProducer(bootstrap_servers=engines.kafka_bootstrap, max_block_ms=1_000)
    with pytest.raises(KafkaError):
        producer.send(name, key=b"k", value=b"v").get(5)
    producer.close()
    admin = KafkaAdminClient(bootstrap_servers=engines.kafka_bootstrap)
    assert name not in admin.list_topics()
    admin.close()


def test_clickhouse_is_26_9_in_utc_and_inserts_synchronously(engines: Endpoints) -> None:
    host, port = engines.clickhouse_native
    with Client(host, port=port) as client:
        [(version, zone, asynchronous)] = client.execute("SELECT version(), timezone(), getSetting('async_insert')")
    assert version.startswith("26.9.")
    assert zone in {"UTC", "Etc/UTC"}
    assert not asynchronous


def test_a_bi_tool_reads_over_http_and_may_not_write(engines: Endpoints, clickhouse_database: str) -> None:
    host, port = engines.clickhouse_native
    with Client(host, port=port) as client:
        client.execute(f"CREATE TABLE {clickhouse_database}.t (x Int64) ENGINE = MergeTree ORDER BY x")
        client.execute(f"INSERT INTO {clickhouse_database}.t VALUES", [(1,), (2,)])
    address = engines.clickhouse_http.removeprefix("http://").split(":")
    reader = clickhouse_connect.get_client(
        host=address[0], port=int(address[1]), username=engines.bi_user, password=engines.bi_password
    )
    assert [(3,)] == reader.query(f"SELECT sum(x) FROM {clickhouse_database}.t").result_rows
    for write in (
        f"INSERT INTO {clickhouse_database}.t VALUES (3)",
        f"DROP TABLE {clickhouse_database}.t",
        f"CREATE TABLE {clickhouse_database}.u (x Int64) ENGINE = Memory",
        "SET readonly = 0",
    ):
        with pytest.raises(DatabaseError):
            reader.command(write)
    reader.close()


def test_a_wrong_bi_password_is_refused(engines: Endpoints) -> None:
    request = urllib.request.Request(f"{engines.clickhouse_http}/?query=SELECT+1", headers={"X-ClickHouse-User": "bi"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code in {401, 403, 516}


def test_a_port_that_is_taken_is_moved(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        taken = other.getsockname()[1]
        ports = Ports(tmp_path)
        assert ports.take(taken) != taken


def test_two_stacks_that_start_at_once_get_different_ports(tmp_path: Path) -> None:
    first, second = Ports(tmp_path), Ports(tmp_path)
    ours = first.take(23_500)
    assert second.take(23_500) != ours
    first.release()
    assert ours == Ports(tmp_path).take(23_500)


def test_clearing_empties_a_folder_but_not_what_another_process_owns(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("x")
    owned = DataDir.own(tmp_path, clear=True)
    assert ["lock"] == [entry.name for entry in tmp_path.iterdir()]
    (tmp_path / "new").write_text("x")
    with pytest.raises(AlreadyRunningError, match=rf"process {os.getpid()} runs on it"):
        DataDir.own(tmp_path, clear=True)
    assert (tmp_path / "new").exists()
    owned.close()
    DataDir.own(tmp_path).close()


def test_a_secret_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    owned = DataDir.own(tmp_path)
    secret = owned.secret("bi")
    assert secret == owned.secret("bi")
    assert 0o600 == (tmp_path / "secrets" / "bi").stat().st_mode & 0o777
    owned.close()


def test_a_jar_with_another_content_is_fetched_again_and_refused_if_the_list_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = min(jars.locked_jars().items(), key=lambda one: (jar_folder() / one[0]).stat().st_size)
    altered = tmp_path / "jars.sha256"
    altered.write_text(f"{'0' * 64}  {path}\n")
    monkeypatch.setattr(jars, "LOCK_FILE", altered)
    with pytest.raises(EngineError, match="wrong_jar"):
        jars.fetch(tmp_path / "jars")
    assert not (tmp_path / "jars" / path).exists()
    with pytest.raises(EngineError, match="make setup"):
        jars.class_path(tmp_path / "jars")


def test_a_second_start_on_the_folder_is_refused_and_names_the_pid(own_engines: EnginesProcess) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "deploy.engines", "--data-dir", str(own_engines.folder)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert f"process {own_engines.process.pid} runs on it" in second.stderr
    assert own_engines.announced.exists()


def test_kill_9_of_the_broker_is_repaired_and_loses_nothing(own_engines: EnginesProcess) -> None:
    bootstrap = own_engines.endpoints.kafka_bootstrap
    _topic(bootstrap, "survives")
    _produce(bootstrap, "survives", b"before")
    old = own_engines.children()["kafka"]
    old.send_signal(signal.SIGKILL)
    until(lambda: own_engines.children().get("kafka", old) != old, 5, "the broker is started again")
    port = int(bootstrap.rpartition(":")[2])
    until(lambda: still_missing(port) is None, 120, "the broker is ready again")
    _produce(bootstrap, "survives", b"after")
    assert [b"before", b"after"] == _values(bootstrap, "survives", 2)


def test_kill_9_of_clickhouse_is_repaired_and_loses_nothing(own_engines: EnginesProcess) -> None:
    host, port = own_engines.endpoints.clickhouse_native
    with Client(host, port=port) as client:
        client.execute("CREATE DATABASE survives")
        client.execute("CREATE TABLE survives.t (x Int64) ENGINE = MergeTree ORDER BY x")
        client.execute("INSERT INTO survives.t VALUES", [(1,)])
    old = own_engines.children()["clickhouse"]
    old.send_signal(signal.SIGKILL)

    def answers() -> bool:
        try:
            with Client(host, port=port) as client:
                return client.execute("SELECT x FROM survives.t") == [(1,)]
        except (OSError, EOFError, ClickHouseError):
            return False

    until(lambda: own_engines.children().get("clickhouse", old) != old, 5, "ClickHouse is started again")
    until(answers, 20, "the row is back")


def test_sigterm_ends_both_engines_within_ten_seconds_and_the_data_is_there_at_the_next_start(
    own_engines: EnginesProcess,
) -> None:
    children = list(own_engines.children().values())
    bootstrap = own_engines.endpoints.kafka_bootstrap
    assert len(children) == 2
    took_s = own_engines.end()
    assert own_engines.process.returncode == 0
    assert took_s < 10
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert not own_engines.announced.exists()

    again = start(own_engines.folder, "--kafka-port", "22092", "--native-port", "22000", "--http-port", "22123")
    try:
        assert bootstrap == again.endpoints.kafka_bootstrap
        assert [b"before", b"after"] == _values(bootstrap, "survives", 2)
        orphans = list(again.children().values())
        again.end(signal.SIGKILL)
        until(lambda: not any(child.is_running() for child in orphans), 5, "nothing outlives a killed parent")
    finally:
        if again.process.poll() is None:
            again.end()
