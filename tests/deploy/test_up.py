"""`barometer up` as a person uses it: everything starts, a second start is refused, one signal ends all of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import pytest

READY_TIMEOUT_S = 120
ENDED_WITHIN_S = 10
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}
FIELDS = {
    "gateway", "write_key", "kafka", "clickhouse_http", "clickhouse_native", "bi_user", "bi_password", "metrics", "pids",
    "logs",
}  # fmt: skip


def barometer(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deploy.cli", *arguments]


@dataclass(frozen=True)
class Up:
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def endpoints(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "endpoints.json").read_text("utf-8"))
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    process = subprocess.Popen(barometer("up", "--data-dir", str(folder)), env=ENVIRON, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not (folder / "endpoints.json").exists():
        assert process.poll() is None and time.monotonic() < deadline, "up did not get ready"
        time.sleep(0.2)
    yield Up(process, folder)
    if process.poll() is None:
        process.terminate()
        process.wait(30)


def test_the_endpoints_name_everything_that_others_need(up: Up) -> None:
    assert FIELDS <= set(up.endpoints)
    assert {"gateway", "tally", "judge", "sink", "gate", "kafka", "clickhouse"} <= set(up.endpoints["pids"])
    assert 0o600 == (up.folder / "endpoints.json").stat().st_mode & 0o777


def test_the_doctor_finds_everything_well_and_an_event_settles_into_a_row(up: Up) -> None:
    body = json.dumps({"id": "first", "channel": "card", "answers": [{"question": "csat", "score": 5}]}).encode()
    given = Request(
        f"{up.endpoints['gateway']}/v1/feedback", body, {"Authorization": f"Bearer {up.endpoints['write_key']}"}
    )
    with urlopen(given) as answer:
        assert {"accepted": 1, "rejected": []} == json.load(answer)
    place = ("--data-dir", str(up.folder))
    subprocess.run(barometer("doctor", "--settled", *place), env=ENVIRON, check=True, capture_output=True)
    stored = subprocess.run(
        barometer("query", "SELECT count() AS events FROM v_events", "--json", *place),
        env=ENVIRON,
        check=True,
        capture_output=True,
    )
    assert [{"events": 1}] == json.loads(stored.stdout)
    healthy = subprocess.run(barometer("doctor", "--json", *place), env=ENVIRON, check=False, capture_output=True)
    assert [] == [one for one in json.loads(healthy.stdout) if not one["ok"]]


def test_a_second_start_on_the_folder_names_the_one_that_runs(up: Up) -> None:
    second = subprocess.run(
        barometer("up", "--data-dir", str(up.folder)), env=ENVIRON, check=False, capture_output=True, text=True
    )
    assert 1 == second.returncode
    assert str(up.process.pid) in second.stderr


def test_a_killed_process_is_started_again_and_its_new_pid_is_written_down(up: Up) -> None:
    before = up.endpoints["pids"]["gateway"]
    os.kill(before, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while up.endpoints["pids"]["gateway"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_signal_ends_everything_within_ten_seconds_and_leaves_nothing(up: Up) -> None:
    running = psutil.Process(up.process.pid).children(recursive=True)
    assert len(running) >= 7
    began = time.monotonic()
    up.process.send_signal(signal.SIGTERM)
    up.process.wait(30)
    assert time.monotonic() - began < ENDED_WITHIN_S
    _, alive = psutil.wait_procs(running, timeout=1)
    assert [] == alive
    assert not (up.folder / "endpoints.json").exists()
