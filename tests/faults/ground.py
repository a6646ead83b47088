"""Where faults are tried: engines of one's own behind links, one stack on them, and a way past the links for who counts.

As root the engines' data lies on two small file systems in memory, so that they can be filled and grown.
"""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import msgspec

from deploy.engines import clickhouse, kafka, supervisor
from deploy.engines.local import Endpoints
from deploy.engines.ports import LOOPBACK, Ports
from deploy.engines.supervisor import Child, stop_all
from deploy.stack import PROCESSES, Stack
from schemas.settings import Settings
from sinks.clickhouse import connect
from tests.faults.ledger import Ledger
from tests.faults.links import Link, Links, OwnLinks, links
from tests.faults.three_nodes import ThreeNodes

DISK = "3g"
STOP_S = 8.0
READY_S = 90.0
KILL_SETTING = "BAROMETER_KILL_POINT"
LONGEST_BACK_OFF_S = 1.0
"""The supervisor of a campaign waits no longer between two starts: a hundred kills are meant, not one crash loop."""
LISTENERS = """
# Java takes the last of two lines: what our processes reach leads through the link.
listeners=PLAINTEXT://{host}:{port},LINKED://{host}:{inner},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port},LINKED://{host}:{outer}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LINKED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.retention.check.interval.ms=2000
"""


class Disk:
    """A file system in memory that can be filled and grown; needs root. Without root a plain folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.small = os.geteuid() == 0 and _ran("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path))

    def fill(self, spare_bytes: int) -> None:
        """Leave only so many bytes free."""
        used = shutil.disk_usage(self.path).used
        assert _ran("mount", "-o", f"remount,size={used + spare_bytes}", str(self.path)), "the disk cannot be shrunk"

    def grow(self) -> None:
        """Give the space back."""
        assert _ran("mount", "-o", f"remount,size={DISK}", str(self.path)), "the disk cannot be grown"

    def close(self) -> None:
        """Take it away."""
        if self.small:
            _ran("umount", "-l", str(self.path))


def _ran(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Ground:
    """A running stack, its engines and links. `settings` lead through the links, `direct` past them."""

    recounted_s = 0.0
    """When (monotonic) the last clean pass over the log was made, and how long it took."""
    recount_took_s = 0.0

    def __init__(self, tell: Callable[[str], None], *, own_proxy: bool = False, three: bool = False) -> None:
        """`three`: Kafka is three nodes, and no link leads to it."""
        supervisor.LONGEST_BACK_OFF_S = LONGEST_BACK_OFF_S
        self.tell = tell
        self.name = f"faults{uuid.uuid4().hex[:8]}"
        self.folder = Path(tempfile.mkdtemp(prefix="barometer-faults-"))
        (self.folder / "logs").mkdir()
        self.ports = Ports()
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.broker_disk, self.store_disk = Disk(self.folder / "kafka"), Disk(self.folder / "clickhouse")
        self.links: Links = links(self.ports, self.folder / "logs" / "toxiproxy.log", own=own_proxy)
        self.cluster: ThreeNodes | None = None
        if three:
            self.cluster = ThreeNodes(self.folder / "kafka", self.ports)
            self.brokers, self._bootstrap = self.cluster.nodes, [self.cluster.bootstrap] * 2
        else:
            self.brokers, self.broker_link = self._broker()
        self.broker = self.brokers[0]
        self.store, self.store_link = self._store()
        self.engines = [*self.brokers, self.store]
        self.settings = self._settings()
        host = f"{LOOPBACK}:{self._native}"
        self.direct = msgspec.structs.replace(
            self.settings, kafka_bootstrap=self._bootstrap[1],
            clickhouse_url=f"clickhouse://default@{host}/{self.name}",
        )  # fmt: skip
        self.stack = Stack(self.settings, environ=os.environ, tell=lambda _line: None)

    def start(self) -> None:
        """Start the engines, then the stack."""
        self.tell(f"engines and stack in {self.folder}, {self.links.name} between them")
        for one in self.engines:
            one.start()
        self.store.await_ready(clickhouse.READY_TIMEOUT_S)
        for one in self.brokers:
            one.await_ready(kafka.READY_TIMEOUT_S)
        self.stack.start()
        self.settings = self.stack.settings
        self.direct = msgspec.structs.replace(
            self.settings, kafka_bootstrap=self.direct.kafka_bootstrap, clickhouse_url=self.direct.clickhouse_url
        )

    def close(self, *, keep: bool = False) -> None:
        """End everything and take the folder away, unless `keep`."""
        self.stack.stop()
        stop_all(self.engines, STOP_S)
        self.links.close()
        self.ledger.close()
        self.ports.release()
        for disk in (self.broker_disk, self.store_disk):
            disk.close()
        if keep:
            self.tell(f"left for a look: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def names(self) -> list[str]:
        """Return the supervised processes of the stack."""
        return [name for name in PROCESSES if name in self.stack._children]

    def child(self, name: str) -> Child:
        """Return a process of the stack, or `kafka` or `clickhouse`."""
        if name == "kafka":
            return self.broker
        return self.store if name == "clickhouse" else self.stack.child(name)

    def environ(self, name: str) -> dict[str, str]:
        """Return the environment that the next start of a process gets; may be changed."""
        return cast("dict[str, str]", self.child(name).spec.env)

    def ask(self, name: str, path: str) -> tuple[int, str]:
        """Ask a process over its own port; (0, why) if it does not answer."""
        url = self.stack.endpoints["metrics"][name].removesuffix("/metrics")
        try:
            with urlopen(url + path, timeout=2.0) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read(4_000).decode("utf-8", "replace")
        except (URLError, OSError) as error:
            return 0, str(error)

    def unready(self) -> dict[str, str]:
        """Return process -> what it says, of those that are not ready."""
        found = {name: self.ask(name, "/readyz") for name in self.names()}
        return {name: said for name, (code, said) in found.items() if code != 200}

    def still_unready(self, patience_s: float = 20.0) -> dict[str, str]:
        """Return who says so for that long: a member that died is missed by its group only after 10 s, and then all change places."""
        deadline = time.monotonic() + patience_s
        while (found := self.unready()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def await_ready(self, timeout_s: float = READY_S) -> None:
        """Return when all is ready. Raises AssertionError."""
        deadline = time.monotonic() + timeout_s
        for one in self.engines:
            one.await_ready(timeout_s)
        unready = self.still_unready(deadline - time.monotonic())
        assert not unready, f"not ready after {timeout_s:g} s: {unready}"

    def metric(self, process: str, start: str) -> float:
        """Return the sum of the samples of a process whose lines begin with `start`; 0 if there are none.

        Raises AssertionError if the process does not answer.
        """
        code, text = self.ask(process, "/metrics")
        assert code == 200, f"{process}: {text}"
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(start))

    def _broker(self) -> tuple[list[Child], Link]:
        ports, folder = self.ports, self.broker_disk.path
        port, inner = ports.take(25_092), ports.take(25_093)
        controller, outer = ports.take(25_192), ports.take(25_292)
        self._bootstrap = [f"{LOOPBACK}:{outer}", f"{LOOPBACK}:{port}"]
        spec = kafka.kafka_child(
            folder, self.folder / "logs", port=port, controller_port=controller, heap="512m", env=os.environ
        )
        properties = folder / "server.properties"
        lines = LISTENERS.format(host=LOOPBACK, port=port, inner=inner, outer=outer, controller=controller)
        properties.write_text(properties.read_text() + lines)
        return [Child(spec)], self.links.make("kafka", outer, inner)

    def _store(self) -> tuple[Child, Link]:
        self._native, self.http = self.ports.take(25_900), self.ports.take(25_923)
        spec = clickhouse.clickhouse_child(
            self.store_disk.path, self.folder / "logs", native_port=self._native, http_port=self.http, readers=[],
            env=os.environ,
        )  # fmt: skip
        return Child(spec), self.links.make("clickhouse", self.ports.take(25_990), self._native)

    def _settings(self) -> Settings:
        changes: dict[str, Any] = {
            "data_dir": str(self.folder / "data"),
            "kafka_bootstrap": self._bootstrap[0],
            "kafka_replication": len(self.brokers),
            "topic_prefix": f"{self.name}.",
            "clickhouse_url": f"clickhouse://default@{LOOPBACK}:{self.store_link.port}/{self.name}",
            "clickhouse_database": self.name,
            "gateway_port": 28_580,
            "console_port": 28_590,
            "pane_ms": 1_000,
            "provisional_step_ms": 10_000,
            "snapshot_every_s": 5.0,
            "sink_flush_s": 0.5,
            "log_level": "warning",
        }
        return Settings(**changes)


class SharedGround(Ground):
    """A stack on engines that others use, too: only ClickHouse has a link, and no engine is hurt. For the slice in `make test`."""

    def __init__(self, folder: Path, engines: Endpoints, tell: Callable[[str], None]) -> None:
        supervisor.LONGEST_BACK_OFF_S = LONGEST_BACK_OFF_S
        self.tell, self.folder, self.name = tell, folder, f"faults{uuid.uuid4().hex[:8]}"
        self.ports = Ports()
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.links = OwnLinks()
        self.engines, self.brokers, self.cluster = [], [], None
        self._bootstrap = [engines.kafka_bootstrap] * 2
        host, self._native = engines.clickhouse_native
        self.store_link = self.links.make("clickhouse", self.ports.take(25_990), self._native)
        self.settings = msgspec.structs.replace(self._settings(), kafka_replication=1)
        self.direct = msgspec.structs.replace(
            self.settings, clickhouse_url=f"clickhouse://default@{host}:{self._native}/{self.name}"
        )
        self.stack = Stack(self.settings, environ=os.environ, tell=lambda _line: None)

    def start(self) -> None:
        """Start the stack."""
        self.stack.start()
        self.settings = self.stack.settings
        self.direct = msgspec.structs.replace(self.settings, clickhouse_url=self.direct.clickhouse_url)

    def close(self, *, keep: bool = False) -> None:
        """End the stack and drop its database."""
        self.stack.stop()
        with connect(self.direct, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {self.name} SYNC")
        self.links.close()
        self.ledger.close()
        self.ports.release()
