"""What all tests share: one real pair of engines a session, names of their own for each test, and no skip unseen."""

import logging
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from clickhouse_driver import Client
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from deploy.engines.datadir import DataDir
from deploy.engines.local import Endpoints, EnginePorts, LocalEngines
from deploy.engines.ports import Ports

# Away from the defaults, so that the tests do not move the ports of a stack that somebody starts meanwhile.
TEST_PORTS = EnginePorts(kafka=21_092, kafka_controller=21_192, clickhouse_native=21_000, clickhouse_http=21_123)
EVERYTHING = {"bi": ["GRANT SELECT ON *.*"], "bi_text": ["GRANT SELECT ON *.*"]}
SHARED = "BAROMETER_TEST_ENGINES"
LONG = (
    "streams/tally/",
    "sinks/test_sinking",
    "streams/judge/",
    "test_simulate",
    "faults/",
    "end_to_end/",
    "notifying/test_notifier",
)


# A law is broken by a value, never by a slow machine.
settings.register_profile("barometer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("barometer")


@contextmanager
def _running(path: Path) -> Iterator[Endpoints]:
    folder, ports = DataDir.own(path), Ports()
    running = LocalEngines.start(folder, ports, env=os.environ, grants=EVERYTHING, preferred=TEST_PORTS)
    try:
        yield running.endpoints
    finally:
        running.stop()
        ports.release()
        folder.close()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Start one pair of engines for all workers, where there are workers; they find it by the environment."""
    config = session.config
    if not config.getoption("numprocesses", None) or hasattr(config, "workerinput") or SHARED in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="barometer-tests-"))
    stack = ExitStack()
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(os.environ.pop, SHARED, None)
    endpoints = stack.enter_context(_running(folder))
    endpoints.write(folder / "endpoints.json")
    os.environ[SHARED] = str(folder / "endpoints.json")
    config.add_cleanup(stack.close)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their argument: the workers must collect one list, and bytes may hold the time (gzip does)."""
    return argname if isinstance(val, bytes) else None


def pytest_configure(config: pytest.Config) -> None:
    """Declare what is a command of its own."""
    config.addinivalue_line("markers", "clients: with third parties' servers and clients; run by `make test-clients`")
    config.addinivalue_line(
        "markers", "long: simulated worlds and campaigns of kills, minutes of CPU; run by `make test-long`"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is long to its own command; begin with the files that wait for real processes.

    So no worker ends with one of those alone.
    """
    for mark in ("long", "clients"):
        if mark not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(mark)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not item.get_closest_marker(mark)]
    items.sort(key=lambda item: not any(part in item.nodeid for part in LONG))


class OneStackAtATime(LoadFileScheduling):
    """Keep a file's tests in one worker, and all files that share a running stack: an idle one costs a quarter of a processor."""

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "end_to_end" if "/end_to_end/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneStackAtATime:
    """Deal out the tests so."""
    return OneStackAtATime(config, log)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo what a command run in this process configures: its handlers hold the test's captured, soon closed stderr."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """A real broker and a real ClickHouse for the whole session.

    BAROMETER_TEST_ENGINES may name the endpoints.json of a running pair (`python -m deploy.engines`) to save the start.
    """
    if SHARED in os.environ:
        yield Endpoints.read(Path(os.environ[SHARED]))
        return
    with _running(tmp_path_factory.mktemp("engines")) as endpoints:
        yield endpoints


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and consumer groups that no other test has."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def clickhouse_database(engines: Endpoints) -> Iterator[str]:
    """The name of an empty database of this test; dropped afterwards."""
    name = f"t{uuid.uuid4().hex[:10]}"
    host, port = engines.clickhouse_native
    with Client(host, port=port) as client:
        client.execute(f"CREATE DATABASE {name}")
        yield name
        client.execute(f"DROP DATABASE {name} SYNC")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every skipped test by name, and their count."""
    skipped = terminalreporter.stats.get("skipped", [])
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"skipped: {report.nodeid}: {reason}")
    terminalreporter.write_line(f"skipped tests: {len(skipped)}")
