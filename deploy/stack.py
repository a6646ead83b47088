"""Everything on this machine: the engines (unless servers are named) and Barometer's five processes, supervised.

endpoints.json stands in the data folder exactly while all of it is ready; a process that crashed is started again and its new
pid written down.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import msgspec

from deploy import topics, wiring
from deploy.engines.datadir import DataDir
from deploy.engines.errors import EngineError
from deploy.engines.local import EnginePorts, LocalEngines, write_json
from deploy.engines.ports import LOOPBACK, Ports
from deploy.engines.supervisor import Child, ChildSpec, stop_all
from deploy.located import ENDPOINTS
from schemas.settings import Settings, check, keys_of, notified, to_environ
from sinks.access import BI_GRANTS, BI_TEXT_GRANTS

READY_TIMEOUT_S = 60.0
STOP_PROCESSES_S = 5.0
PROBE_S = 2.0
FIRST_OPS_PORT = 8081
PROCESSES: Mapping[str, tuple[str, ...]] = {
    "tally": ("worker", "--stage", "tally"),
    "judge": ("worker", "--stage", "judge"),
    "sink": ("sink",),
    "gate": ("gate",),
    "recount": ("recount",),
    "gateway": ("gateway",),
    "console": ("console",),
    "notify": ("notify",),
}
SHARED = (
    "data_dir", "catalogue", "topic_prefix", "clickhouse_database", "pane_ms", "provisional_step_ms", "pseudonym_key",
    "default_country", "write_keys", "keyring", "identifying_attributes", "schema_registry_url",
)  # fmt: skip
"""Settings that other commands must share with a running stack; endpoints.json is readable by its owner only."""
Tell = Callable[[str], None]


def _not_ready(url: str) -> str | None:
    """Return None if the process says that it is ready, else what it says."""
    try:
        with urlopen(url, timeout=PROBE_S):
            return None
    except HTTPError as error:
        return error.read(2_000).decode("utf-8", "replace")
    except (URLError, OSError) as error:
        return str(error)


class Stack:
    """A running local installation; `settings` name its servers and keys, `endpoints` is what endpoints.json holds."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        clear: bool = False,
        tell: Tell = print,
    ) -> None:
        """Take the data folder. Raises AlreadyRunningError if a stack runs on it."""
        self._tell = tell
        self._environ = {name: value for name, value in environ.items() if not name.startswith("BAROMETER_")}
        self.folder = DataDir.own(Path(settings.data_dir), clear=clear)
        self._ports = Ports()
        self._engines: LocalEngines | None = None
        self._children: dict[str, Child] = {}
        self._pids: dict[str, int] = {}
        self._lock = threading.Lock()
        self._announced = False
        self.settings = msgspec.structs.replace(settings, data_dir=str(self.folder.path))
        self.endpoints: dict[str, Any] = {}

    def start(self) -> None:
        """Start everything and return when all of it is ready. The caller calls `stop`, also after a failure."""
        self._start_engines()
        self._take_keys()
        states = topics.apply(
            self.settings.kafka_bootstrap, self.settings.topic_prefix, replicas=self.settings.kafka_replication
        )
        self._tell(f"{sum(state.created for state in states)} topics created, {len(states)} in all")
        wiring.migrate(self.settings, tell=self._tell)
        self._start_processes()
        self._announce()

    def _start_engines(self) -> None:
        settings = self.settings
        if settings.kafka_bootstrap and settings.clickhouse_url:
            self._tell("using the Kafka and ClickHouse that the settings name")
            return
        if settings.kafka_bootstrap or settings.clickhouse_url:
            raise EngineError(
                "half_named", "only one of Kafka and ClickHouse is named",
                "set both BAROMETER_KAFKA_BOOTSTRAP and BAROMETER_CLICKHOUSE_URL, or neither",
            )  # fmt: skip
        preferred = EnginePorts()
        wanted = EnginePorts(
            kafka=settings.kafka_port or preferred.kafka,
            clickhouse_native=settings.clickhouse_tcp_port or preferred.clickhouse_native,
            clickhouse_http=settings.clickhouse_http_port or preferred.clickhouse_http,
        )
        self._engines = LocalEngines.start(
            self.folder, self._ports, env=self._environ, preferred=wanted, progress=self._tell,
            grants={"bi": BI_GRANTS, "bi_text": BI_TEXT_GRANTS},
        )  # fmt: skip
        found = self._engines.endpoints
        host, port = found.clickhouse_native
        self.settings = msgspec.structs.replace(
            settings,
            kafka_bootstrap=found.kafka_bootstrap,
            clickhouse_url=f"clickhouse://default@{host}:{port}/{settings.clickhouse_database}",
            clickhouse_http_url=found.clickhouse_http,
        )

    def _take_keys(self) -> None:
        """Use the keys of the settings, else those of the data folder: another pseudonym key makes everyone a stranger."""
        self.settings = check(
            msgspec.structs.replace(
                self.settings,
                write_keys=self.settings.write_keys or f"local:{self.folder.secret('write_key')}",
                pseudonym_key=self.settings.pseudonym_key or self.folder.secret("pseudonym_key"),
                gateway_port=self._ports.take(self.settings.gateway_port),
                console_port=self._ports.take(self.settings.console_port),
            )
        )

    def _start_processes(self) -> None:
        logs = self.folder.folder("logs")
        for name, command in PROCESSES.items():
            if name == "notify" and not notified(self.settings):
                continue
            serving = {"gateway": self.settings.gateway_port, "console": self.settings.console_port}
            port = serving.get(name) or self._ports.take(FIRST_OPS_PORT)
            own = msgspec.structs.replace(self.settings, ops_port=0 if name in serving else port)
            url = f"http://{LOOPBACK}:{port}"
            self.endpoints.setdefault("metrics", {})[name] = f"{url}/metrics"
            self._children[name] = Child(
                ChildSpec(
                    name=name,
                    argv=(sys.executable, "-m", "deploy.cli", *command),
                    env={**self._environ, **to_environ(own)},
                    log=logs / f"{name}.log",
                    ready=lambda url=url: _not_ready(f"{url}/readyz"),  # type: ignore[misc]
                    on_start=self._started,
                )
            )
        for child in self._children.values():
            child.start()
        for name, child in self._children.items():
            child.await_ready(READY_TIMEOUT_S)
            self._tell(f"{name} is ready")

    def _started(self, name: str, pid: int) -> None:
        with self._lock:
            self._pids[name] = pid
            if self._announced:
                self._write()

    def _announce(self) -> None:
        settings, engines = self.settings, self._engines
        host_port = settings.clickhouse_url.rpartition("@")[2].partition("/")[0]
        host, _, port = host_port.partition(":")
        self.endpoints |= {
            "gateway": f"http://{LOOPBACK}:{settings.gateway_port}",
            "console": f"http://{LOOPBACK}:{settings.console_port}",
            "write_key": next(iter(keys_of(settings))),
            "kafka": settings.kafka_bootstrap,
            "clickhouse_http": settings.clickhouse_http_url,
            "clickhouse_native": [host, int(port or 9000)],
            "bi_user": engines.endpoints.bi_user if engines else "",
            "bi_password": engines.endpoints.bi_password if engines else "",
            "bi_text_user": engines.endpoints.bi_text_user if engines else "",
            "bi_text_password": engines.endpoints.bi_text_password if engines else "",
            "database": settings.clickhouse_database,
            "settings": {name: getattr(settings, name) for name in SHARED},
            "logs": str(self.folder.path / "logs"),
        }
        if engines:
            for name, child in (
                ("kafka", engines.kafka),
                ("clickhouse", engines.clickhouse),
            ):
                if child.pid:
                    self._pids[name] = child.pid
        with self._lock:
            self._announced = True
            self._write()

    def _write(self) -> None:
        self.endpoints["pids"] = {"up": os.getpid(), **self._pids}
        write_json(self.folder.path / ENDPOINTS, self.endpoints)

    def child(self, name: str) -> Child:
        """Return the supervised process of this name."""
        return self._children[name]

    def stop(self) -> None:
        """End everything within 10 seconds: first our processes, so that they can finish, then the engines."""
        with self._lock:
            self._announced = False
            (self.folder.path / ENDPOINTS).unlink(missing_ok=True)
        stop_all(
            [child for child in self._children.values() if child.starts],
            STOP_PROCESSES_S,
        )
        if self._engines is not None:
            self._engines.stop()
        self._ports.release()
        self.folder.close()
