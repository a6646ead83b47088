"""A pair of engines in a process of its own, since these tests kill what others share."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.engines.local import Endpoints

START_TIMEOUT_S = 180.0


def until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return once `holds()`; fail the test with `what` after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


@dataclass(kw_only=True)
class EnginesProcess:
    """`python -m deploy.engines` as a child of the test."""

    folder: Path
    process: subprocess.Popen[str]

    @property
    def announced(self) -> Path:
        return self.folder / "endpoints.json"

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints.read(self.announced)

    def children(self) -> dict[str, psutil.Process]:
        """The engines of this process that live now, by name."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                found["kafka" if "kafka.Kafka" in child.cmdline() else "clickhouse"] = child
            except (psutil.ZombieProcess, psutil.NoSuchProcess):
                continue
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Signal the process and return the seconds until it is gone."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - begun


def start(folder: Path, *flags: str) -> EnginesProcess:
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.engines", "--data-dir", str(folder), *flags],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    running = EnginesProcess(folder=folder, process=process)
    try:
        until(
            lambda: running.announced.exists() or process.poll() is not None, START_TIMEOUT_S, "the engines are ready"
        )
        if process.poll() is not None:
            assert process.stdout is not None
            pytest.fail(process.stdout.read())
    except BaseException:
        process.kill()
        raise
    json.loads(running.announced.read_text())
    return running


@pytest.fixture(scope="module")
def own_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnginesProcess]:
    running = start(
        tmp_path_factory.mktemp("own"), "--kafka-port", "22092", "--native-port", "22000", "--http-port", "22123"
    )
    yield running
    if running.process.poll() is None:
        running.end()
