"""Both engines together: started side by side in one data folder, named to others in endpoints.json, ended together."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.engines import clickhouse, kafka
from deploy.engines.clickhouse import Reader
from deploy.engines.datadir import DataDir
from deploy.engines.ports import LOOPBACK, Ports
from deploy.engines.supervisor import Child, stop_all

STOP_TIMEOUT_S = 4.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePorts:
    """Preferred ports; one that is taken is moved upwards."""

    kafka: int = 9092
    kafka_controller: int = 9192
    clickhouse_native: int = 9000
    clickhouse_http: int = 8123


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the engines answer; `bi_*` is the read-only user, empty when the servers are not ours."""

    kafka_bootstrap: str
    clickhouse_native: tuple[str, int]
    clickhouse_http: str
    bi_user: str = ""
    bi_password: str = ""
    bi_text_user: str = ""
    bi_text_password: str = ""

    @classmethod
    def read(cls, file: Path) -> "Endpoints":
        """Read what `write` wrote."""
        fields = json.loads(file.read_text())["engines"]
        host, port = fields.pop("clickhouse_native")
        return cls(clickhouse_native=(host, port), **fields)

    def write(self, file: Path) -> None:
        """Publish the endpoints for other processes (mode 0600: there are passwords in it)."""
        write_json(file, {"engines": asdict(self)})


def write_json(file: Path, content: Mapping[str, object]) -> None:
    """Replace `file` (mode 0600) in one step, so that no reader sees half of it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    draft.replace(file)


class LocalEngines:
    """A broker and a ClickHouse server of this process; `stop` ends both within STOP_TIMEOUT_S."""

    def __init__(self, endpoints: Endpoints, kafka_child: Child, clickhouse_child: Child) -> None:
        self.endpoints = endpoints
        self.kafka = kafka_child
        self.clickhouse = clickhouse_child

    @classmethod
    def start(
        cls,
        folder: DataDir,
        ports: Ports,
        *,
        env: Mapping[str, str],
        grants: Mapping[str, Sequence[str]],
        preferred: EnginePorts | None = None,
        heap: str = kafka.DEFAULT_HEAP,
        progress: Progress = lambda _line: None,
    ) -> "LocalEngines":
        """Start both engines and return when both are ready; `grants` holds the statements for `bi` and `bi_text`.

        Raises:
            EngineError: one of them does not become ready; both are ended.
        """
        preferred = preferred or EnginePorts()
        port = ports.take(preferred.kafka)
        native_port, http_port = ports.take(preferred.clickhouse_native), ports.take(preferred.clickhouse_http)
        readers = [
            Reader(name=name, password=folder.secret(name), grants=grants.get(name, ())) for name in ("bi", "bi_text")
        ]
        endpoints = Endpoints(
            kafka_bootstrap=f"{LOOPBACK}:{port}",
            clickhouse_native=(LOOPBACK, native_port),
            clickhouse_http=f"http://{LOOPBACK}:{http_port}",
            bi_user=readers[0].name,
            bi_password=readers[0].password,
            bi_text_user=readers[1].name,
            bi_text_password=readers[1].password,
        )
        logs = folder.folder("logs")
        store = Child(
            clickhouse.clickhouse_child(
                folder.folder("clickhouse"),
                logs,
                native_port=native_port,
                http_port=http_port,
                readers=readers,
                env=env,
            )
        )
        children = [store]
        try:
            store.start()
            progress(f"ClickHouse starts on {endpoints.clickhouse_http}")
            broker = Child(
                kafka.kafka_child(
                    folder.folder("kafka"),
                    logs,
                    port=port,
                    controller_port=ports.take(preferred.kafka_controller),
                    heap=heap,
                    env=env,
                )
            )
            children.append(broker)
            broker.start()
            progress(f"Kafka starts on {endpoints.kafka_bootstrap}")
            store.await_ready(clickhouse.READY_TIMEOUT_S)
            broker.await_ready(kafka.READY_TIMEOUT_S)
        except BaseException:
            stop_all(children, STOP_TIMEOUT_S)
            raise
        progress("Kafka and ClickHouse are ready")
        return cls(endpoints, broker, store)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End both engines cleanly, by force after `timeout_s`."""
        stop_all([self.kafka, self.clickhouse], timeout_s)
