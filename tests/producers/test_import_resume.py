"""Imports that are broken off, repeated, and overtaken by changes of their file or by an outage of the broker."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from producers import importing
from producers.channels.table import load_mapping
from producers.flight import Flight, Settled
from producers.importing import BATCH_ROWS, FLIGHTS, ImportResult, import_file
from producers.pseudonyms import Pseudonyms
from producers.publisher import Publisher, Record
from producers.sealer import sealer_of
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import UnavailableError, UsageError
from schemas.event import natural_id
from schemas.readiness import Readiness
from schemas.settings import to_environ
from schemas.telemetry import Telemetry
from schemas.topics import HISTORY, REJECTED
from tests.producers.conftest import Broker

pytestmark = pytest.mark.long

ID = slice(6, 42)
"""Of a record: behind the magic byte, the id of the schema and the length comes the UUID."""
BATCH = 50
"""Rows of a batch, but in the process that is killed."""
AT_MS = 1_600_000_000_000
CARDS = load_mapping(
    """
source = "cards"
channel = "card"
id = ["no"]
[time]
columns = ["at"]
format = "%Y-%m-%d"
zone = "Europe/Paris"
[columns]
text = "note"
""",
    "cards.toml",
)


class BrokenOff(Exception):
    """What ends an import in the middle."""


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_ROWS", BATCH)


@pytest.fixture(scope="module")
def publisher(broker: Broker) -> Iterator[Publisher]:
    made = Publisher(broker.settings(), clock=system_clock, telemetry=Telemetry(), readiness=Readiness())
    made.start()
    made.wait_ready(60)
    yield made
    made.close()


@pytest.fixture
def run(broker: Broker, publisher: Publisher, pseudonyms: Pseudonyms, catalogue: Catalogue, tmp_path: Path) -> Any:
    def start(path: Path, **changes: Any) -> ImportResult:
        arguments: dict[str, Any] = {
            "publisher": publisher, "pseudonyms": pseudonyms, "catalogue": catalogue, "clock": system_clock,
            "sealer": sealer_of(broker.settings(), catalogue, system_clock), "telemetry": Telemetry(),
            "positions": tmp_path / "positions",
        }  # fmt: skip
        return import_file(path, **(arguments | changes))

    return start


def ids(broker: Broker) -> Counter[str]:
    """Return id -> copies in the history lane; sliced from the records, as decoding tens of thousands takes long."""
    return Counter(value[ID].decode() for value in broker.values(HISTORY.name))


def rows(path: Path, name: str, count: int, *, named: bool = True) -> Path:
    """Write rows; without a name of their own the file and their place name them."""
    with path.open("w") as stream:
        for n in range(count):
            own = {"id": f"{name}-{n}"} if named else {"text": f"{name}-{n}"}
            stream.write(json.dumps(own | {"channel": "web", "occurred_at": AT_MS}) + "\n")
    return path


def after(batches: int) -> Callable[[ImportResult], None]:
    """Break off after so many batches are durable."""
    left = [batches]

    def progress(result: ImportResult) -> None:
        left[0] -= 1
        if not left[0]:
            raise BrokenOff

    return progress


@pytest.mark.parametrize("named", [True, False])
def test_a_broken_off_import_goes_on_behind_what_is_durable(
    run: Any, broker: Broker, tmp_path: Path, named: bool
) -> None:
    total = BATCH * 6 + 10
    path, source = rows(tmp_path / "long.jsonl", "long", total, named=named), f"long-{named}"
    before = ids(broker)
    with pytest.raises(BrokenOff):
        run(path, source=source, progress=after(2))
    result = run(path, source=source)
    assert (total, 2 * BATCH, total - 2 * BATCH) == (result.rows, result.skipped, result.published)
    found = ids(broker) - before
    assert total == len(found)
    assert found.total() - total <= FLIGHTS * BATCH
    if named:
        assert found.keys() == {natural_id(source, f"long-{n}") for n in range(total)}
    again = run(path, source=source)  # done before: begins again, under the same ids
    assert (0, total) == (again.skipped, again.published)
    assert (ids(broker) - before).keys() == found.keys()


def test_another_source_is_another_import(run: Any, broker: Broker, tmp_path: Path) -> None:
    """Else the rows before the position would have the ids of one source, those behind it of the other."""
    path = rows(tmp_path / "two.jsonl", "two", 3 * BATCH)
    with pytest.raises(BrokenOff):
        run(path, source="first", progress=after(1))
    assert (0, 3 * BATCH) == ((result := run(path, source="second")).skipped, result.published)
    assert BATCH == run(path, source="first").skipped


def test_a_file_that_changed_begins_again_under_the_same_ids(run: Any, broker: Broker, tmp_path: Path) -> None:
    path = rows(tmp_path / "grown.jsonl", "grown", 2 * BATCH)
    with pytest.raises(BrokenOff):
        run(path, source="grown", progress=after(1))
    rows(path, "grown", 2 * BATCH + 7)
    result = run(path, source="grown")
    assert (0, 2 * BATCH + 7) == (result.skipped, result.published)
    wanted = {natural_id("grown", f"grown-{n}") for n in range(2 * BATCH + 7)}
    assert wanted == {one for one in ids(broker) if one in wanted}
    assert [] == list((tmp_path / "positions").iterdir())


def test_rows_without_ids_are_not_imported_twice_from_a_file_that_changed(
    run: Any, broker: Broker, tmp_path: Path
) -> None:
    path = rows(tmp_path / "nameless.jsonl", "nameless", 2 * BATCH, named=False)
    with pytest.raises(BrokenOff):
        run(path, source="nameless", progress=after(1))
    old = path.read_bytes()
    path.write_bytes(old + old.splitlines(keepends=True)[0])
    before = ids(broker).total()
    with pytest.raises(UsageError, match="has changed since") as refused:
        run(path, source="nameless")
    assert before == ids(broker).total()
    path.write_bytes(old)
    assert BATCH == run(path, source="nameless").skipped
    assert "remove" in refused.value.remedy


def test_a_file_that_is_written_to_while_it_is_read_is_not_called_done(run: Any, tmp_path: Path) -> None:
    path = rows(tmp_path / "moving.jsonl", "moving", 2 * BATCH)

    def write(result: ImportResult) -> None:
        with path.open("a") as stream:
            stream.write("{}\n")

    with pytest.raises(UsageError, match="while it was imported"):
        run(path, source="moving", progress=write)
    assert 2 * BATCH + 2 == run(path, source="moving").rows


def test_half_a_row_at_the_end_is_rejected_and_comes_with_the_whole_file(
    run: Any, broker: Broker, tmp_path: Path
) -> None:
    path = tmp_path / "cards.csv"
    whole = "no,at,note\n1,2026-09-01,bien\n2,2026-09-02,mal\n"
    path.write_text(whole[: whole.index("-09-02") + 3])
    result = run(path, mapping=CARDS)
    assert (2, 1, {"bad_row": 1}) == (result.rows, result.published, dict(result.reasons))
    path.write_text(whole)
    assert (2, 2, 0) == ((result := run(path, mapping=CARDS)).rows, result.published, result.rejected)
    found = ids(broker)
    assert [2, 1] == [found[natural_id("cards", no)] for no in ("1", "2")]
    [kept] = [one for one in broker.published() if one.topic == REJECTED.name and one.record["reason"] == "bad_row"]
    assert kept.record["raw_bytes"] == len(b"2,2026-09")


def test_a_position_that_a_power_cut_spoilt_means_begin_again(run: Any, tmp_path: Path) -> None:
    path = rows(tmp_path / "spoilt.jsonl", "spoilt", 2 * BATCH)
    with pytest.raises(BrokenOff):
        run(path, progress=after(1))
    [position] = (tmp_path / "positions").iterdir()
    position.write_bytes(b"")
    assert (0, 2 * BATCH) == ((result := run(path)).skipped, result.published)


class Away:
    """The real publisher; in the middle the broker is away for a while, with one batch that was stored unheard."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._submits = 0
        self._faults = ["still gone", "no acknowledgement in time"]

    def submit(self, records: Sequence[Record], settled: Settled = lambda error: None) -> Flight:
        self._submits += 1
        if 3 <= self._submits <= 5:
            raise UnavailableError("kafka_unavailable", "gone")
        return self._publisher.submit(records, settled)

    def wait_ready(self, timeout_s: float) -> None:
        if "still gone" in self._faults:
            raise UnavailableError("kafka_unavailable", self._faults.pop(0))

    def wait(self, flight: Flight) -> None:
        self._publisher.wait(flight)
        if self._submits > 5 and self._faults:
            raise UnavailableError("not_durable", self._faults.pop())

    def publish_blocking(self, records: Sequence[Record]) -> None:
        self.wait(self.submit(records))


def test_while_the_broker_is_away_an_import_waits_says_so_and_goes_on(
    run: Any, broker: Broker, publisher: Publisher, tmp_path: Path
) -> None:
    total = 4 * BATCH
    path = rows(tmp_path / "away.jsonl", "away", total)
    said: list[str] = []
    result = run(path, source="away", publisher=Away(publisher), tell=said.append)
    assert (total, 0) == (result.published, result.skipped)
    assert {natural_id("away", f"away-{n}") for n in range(total)} <= ids(broker).keys()
    assert ["waiting: gone", "waiting: still gone", "waiting: no acknowledgement in time"] == said


def test_kill_minus_nine_in_the_middle_of_a_file_and_the_same_command_again(broker: Broker, tmp_path: Path) -> None:
    total = 12_000
    path = rows(tmp_path / "killed.jsonl", "killed", total)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}
    environ |= to_environ(
        broker.settings(data_dir=str(tmp_path), clickhouse_url="clickhouse://not-asked@127.0.0.1:9/x")
    )
    command = [sys.executable, "-m", "deploy.cli", "import", str(path), "--source", "killed", "--json"]
    first = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (found := list((tmp_path / "imports").glob("*.json"))):
        assert first.poll() is None, "the import was done before the kill"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.kill()
    assert -signal.SIGKILL == first.wait(60)
    durable = json.loads(found[0].read_text())["row"]
    assert 0 < durable < total
    second = subprocess.run(command, env=environ, capture_output=True, check=True, timeout=300)
    result = json.loads(second.stdout)
    assert (total, total) == (result["rows"], result["skipped"] + result["published"])
    assert result["skipped"] >= durable
    copies = ids(broker)
    wanted = [natural_id("killed", f"killed-{n}") for n in range(total)]
    assert min(copies[one] for one in wanted) == 1
    assert sum(copies[one] for one in wanted) - total <= FLIGHTS * BATCH_ROWS
