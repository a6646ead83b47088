"""The sink where something is wrong: rows that the store refuses, positions that are gone, sources that are spoilt, pauses."""

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from kafka import OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove

from schemas.arrival import SENT_HEADER
from schemas.clock import system_clock
from schemas.event import Channel
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from schemas.topics import LIVE, sink_group
from schemas.windows import DAY_MS
from sinks import sinking
from sinks.owner import Lease
from sinks.quota import TooManyRejectedError
from sinks.sinking import Sink
from sinks.tables import TABLES
from tests.sinks.conftest import Stand, event, publish_events, wait_for, wire

pytestmark = pytest.mark.long

CARD = LIVE[Channel.CARD]
TABLE = "feedback_events"
ROWS, REJECTED = f"count() FROM {TABLE}", "count() FROM rejected_events"
PLACES = f"uniqExact(topic_id, `partition`, `offset`) FROM {TABLE}"


class Running:
    """A sink in a thread of this process, with what it tells."""

    def __init__(self, stand: Stand, **changes: object) -> None:
        self.telemetry, self.readiness = Telemetry(), Readiness()
        self.error: BaseException | None = None
        self._sink = Sink(
            msgspec.structs.replace(stand.settings, **changes), self.telemetry, self.readiness, TABLES[TABLE]
        )
        self._stop = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._sink.run(self._stop))
        except BaseException as error:  # the test looks at it
            self.error = error
        finally:
            self._loop.close()

    def stop(self) -> None:
        if self.thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self.thread.join(60)
        assert not self.thread.is_alive()

    def value(self, name: str, **labels: str) -> float:
        return self.telemetry.registry.get_sample_value(f"barometer_{name}", labels) or 0.0


@contextmanager
def running(stand: Stand, **changes: object) -> Iterator[Running]:
    one = Running(stand, **changes)
    try:
        yield one
    finally:
        one.stop()


def test_a_kill_in_the_middle_of_a_cut_over_the_border_of_a_month_stores_and_sets_aside_once(stand: Stand) -> None:
    stand.client.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT refuse CHECK text NOT IN ('note 33', 'note 41')")
    events, last_month = [event(i) for i in range(48)], system_clock() - 40 * DAY_MS
    for number, one in enumerate(events):  # a `sent` of last month bounds the arrived time
        sent = last_month if number < 24 else system_clock()
        stand.producer.send(
            stand.name(CARD),
            value=wire(one),
            key=one.key,
            headers=[(SENT_HEADER, str(sent).encode())],
            partition=number % 2,
        )
    stand.settle()
    assert stand.start("sink", TABLE, kill_point="sink.mid_bisection:3").wait(60) == -9
    assert 0 < stand.count(ROWS) < 46
    assert stand.count(REJECTED) == 0
    with running(stand) as again:
        wait_for(stand.caught_up)
        wait_for(lambda: again.value("set_aside_total", table=TABLE, topic=CARD.name) == 2)
    assert stand.count(f"uniqExact(_partition_id) FROM {TABLE}") == 2
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(f"uniqExact(event_id) FROM {TABLE}")) == (46, 46, 46)
    rejected = stand.client.execute(
        "SELECT `partition`, raw_bytes, stage, channel, reason, detail LIKE '%refuse%' FROM rejected_events ORDER BY `offset`"
    )
    wanted = [(1, len(wire(events[number])), "sink", "card", "refused_by_store", 1) for number in (33, 41)]
    assert rejected == wanted
    assert again.error is None


def nobody_is_left(stand: Stand, group: str) -> None:
    """Remove the member whose place the group keeps for its restart."""
    member = Lease(Path(stand.settings.data_dir), f"{stand.settings.topic_prefix}{TABLE}").member
    stand.admin.remove_group_members(group, [MemberToRemove(group_instance_id=member)])


def test_positions_deleted_or_set_back_to_the_begin_store_nothing_twice(stand: Stand) -> None:
    group = stand.settings.topic_prefix + sink_group(TABLE)
    publish_events(stand, CARD, [event(i) for i in range(120)])
    stand.publish(CARD, b"none of ours", partition=1)
    stand.settle()
    with running(stand, sink_batch_rows=37):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(REJECTED)) == (120, 1)
    nobody_is_left(stand, group)
    stand.admin.delete_groups([group])
    assert stand.committed(TABLE, CARD) == {}
    publish_events(stand, CARD, [event(i) for i in range(120, 160)])
    with running(stand, sink_batch_rows=53):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(REJECTED)) == (160, 160, 1)
    begin = {TopicPartition(stand.name(CARD), p): OffsetAndMetadata(0, "", -1) for p in range(CARD.partitions)}
    nobody_is_left(stand, group)
    stand.admin.alter_group_offsets(group, begin)
    assert {offset for offset, _ in stand.committed(TABLE, CARD).values()} == {0}
    publish_events(stand, CARD, [event(i) for i in range(160, 170)])
    with running(stand, sink_batch_rows=41):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(REJECTED)) == (170, 170, 1)


def test_a_spoilt_source_stops_the_sink_with_nothing_committed_past_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sinking, "SHOWN_S", 3600.0)
    publish_events(stand, CARD, [event(i) for i in range(20)])
    with running(stand):
        wait_for(stand.caught_up)
    before = stand.committed(TABLE, CARD)
    for _ in range(60):
        stand.publish(CARD, b"not an event", partition=3)
    publish_events(stand, CARD, [event(i) for i in range(20, 30)])
    one = Running(stand, sink_max_rejected_run=50)
    wait_for(lambda: one.value("sink_stopped", table=TABLE) == 1)
    assert "barometer rejected list" in one.readiness.failing()[f"sink {TABLE}"]
    one.stop()
    assert isinstance(one.error, TooManyRejectedError)
    assert "the sink of feedback_events stops" in caplog.text
    assert {p: offset for p, (offset, _) in before.items()} == {
        p: offset for p, (offset, _) in stand.committed(TABLE, CARD).items()
    }
    assert (stand.count(ROWS), stand.count(REJECTED)) == (20, 0)
    with running(stand, sink_max_rejected_run=50, sink_max_rejected_ratio=1.0):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(REJECTED)) == (30, 60)
    counts = json.loads(stand.committed(TABLE, CARD)[3][1])["counts"]
    assert counts[1] == 60


def test_a_table_that_refuses_every_row_stops_the_sink_instead_of_emptying_the_topic(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinking, "SHOWN_S", 0.01)
    publish_events(stand, CARD, [event(i) for i in range(40)])
    stand.client.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT refuse CHECK occurred_at < '2000-01-01'")
    one = Running(stand, sink_max_rejected_run=4)
    one.thread.join(60)
    one.stop()
    assert isinstance(one.error, TooManyRejectedError)
    assert (stand.count(ROWS), stand.count(REJECTED)) == (0, 0)
    stand.client.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT refuse")
    with running(stand):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(REJECTED)) == (40, 40, 0)


def test_a_kill_after_the_commit_stores_nothing_twice(stand: Stand) -> None:
    publish_events(stand, CARD, [event(i) for i in range(60)])
    assert stand.start("sink", TABLE, kill_point="sink.after_commit:1").wait(60) == -9
    committed = stand.committed(TABLE, CARD)
    assert committed and all("pending" not in json.loads(metadata) for _, metadata in committed.values())
    assert stand.count(ROWS) > 0
    with running(stand):
        wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES)) == (60, 60)


@pytest.mark.long
@pytest.mark.parametrize("point", ["sink.before_insert", "sink.mid_bisection"])
def test_an_owner_paused_between_journal_and_insert_adds_nothing_when_it_wakes(
    stand: Stand, tmp_path: Path, point: str
) -> None:
    """Longer than the group's timeout: another has taken over, has stored the vector, and has gone on."""
    if point == "sink.mid_bisection":
        stand.client.execute(f"ALTER TABLE {TABLE} ADD CONSTRAINT refuse CHECK text != 'note 33'")
    aside = int(point == "sink.mid_bisection")
    publish_events(stand, CARD, [event(i) for i in range(60)])
    first = stand.start("sink", TABLE, kill_point=f"{point}:1:pause")
    wait_for(lambda: Path(f"/proc/{first.pid}/stat").read_text().split()[2] == "T")
    with running(stand, data_dir=str(tmp_path / "elsewhere")):
        wait_for(lambda: stand.count(ROWS) == 60 - aside)
        publish_events(stand, CARD, [event(i) for i in range(60, 90)])
        wait_for(stand.caught_up)
        first.send_signal(signal.SIGCONT)
        publish_events(stand, CARD, [event(i) for i in range(90, 120)])
        wait_for(stand.caught_up)
        wait_for(lambda: stand.count(ROWS) == 120 - aside)
    wait_for(stand.caught_up)
    assert first.poll() is None  # it stands by, or has taken over again
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(REJECTED)) == (120 - aside, 120 - aside, aside)
