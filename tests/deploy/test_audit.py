"""`barometer audit` on a real log and a real store: it holds where nothing is wrong, and names what was damaged."""

import json
import os
import subprocess
import sys

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from deploy.audit import Audit, audit
from deploy.cli_audit import _show
from producers.publisher import Publisher, Record
from schemas.clock import system_clock
from schemas.event import Channel
from schemas.ledger import GATEWAY
from schemas.readiness import Readiness
from schemas.settings import to_environ
from schemas.telemetry import Telemetry
from schemas.topics import LIVE, Topic, sink_group
from schemas.windows import HOUR_MS
from sinks import ledger_watch
from tests.sinks.conftest import ROOT, Stand, event, stand, wait_for, wire

__all__ = ["stand"]
CARD, WEB = LIVE[Channel.CARD], LIVE[Channel.WEB]
TALLY = """
import os
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
from streams.tallying import run_tally
os._exit(run_tally(load(os.environ), Telemetry(), Readiness()))
"""
HOURS = 3


def send(one: Stand, topic: Topic, partition: int, hours_ago: int, value: bytes | None, at: int) -> None:
    """Publish a record that arrives in an hour of the past: no later than a minute after it says that it was sent."""
    sent = system_clock() // HOUR_MS * HOUR_MS - hours_ago * HOUR_MS + 600_000 + at
    key = b"\x00tick" if value is None else b"k"
    one.producer.send(
        one.name(topic), value=value, key=key, partition=partition, headers=[("sent", str(sent).encode())]
    )


def fill(one: Stand, per_hour: int = 20) -> dict[tuple[int, int], list[str]]:
    """Publish three hours with a repeat, an undecodable record and a tick each; return (partition, hours ago) -> ids."""
    out: dict[tuple[int, int], list[str]] = {}
    number = 0
    for hours_ago in range(HOURS, 0, -1):
        for partition in range(CARD.partitions):
            events = [event(number + i) for i in range(per_hour)]
            number += per_hour
            for i, each in enumerate([*events[:10], events[3], *events[10:]]):
                send(one, CARD, partition, hours_ago, wire(each), i)
            send(one, CARD, partition, hours_ago, b"no event", 50)
            send(one, CARD, partition, hours_ago, None, 60)
            out[partition, hours_ago] = [each.event_id for each in events]
    one.settle()
    return out


def close(one: Stand) -> None:
    """Publish a tick of now, which closes all hours before."""
    for topic in (CARD,):
        for partition in range(topic.partitions):
            send(one, topic, partition, 0, None, -590_000)
    one.settle()


def start_tally(one: Stand) -> None:
    environ = {**os.environ, **to_environ(one.settings)}
    environ.pop("BAROMETER_TEST_ENGINES", None)
    one.running.append(subprocess.Popen([sys.executable, "-c", TALLY], env=environ, cwd=ROOT))


def move(one: Stand, partition: int, offset: int, metadata: str) -> None:
    """Set the position of the sink by hand, as soon as the broker has seen that its process is gone."""
    group = one.settings.topic_prefix + sink_group("feedback_events")
    place = {TopicPartition(one.name(CARD), partition): OffsetAndMetadata(offset, metadata, -1)}

    def done() -> bool:
        try:
            one.admin.alter_group_offsets(group, place)
        except KafkaError:
            return False
        return one.committed("feedback_events", CARD)[partition] == (offset, metadata)

    wait_for(done)


def audited(one: Stand, *, deep: bool = False) -> Audit:
    return audit(one.settings, hours=HOURS + 1, now_ms=system_clock(), deep=deep)


def faults(result: Audit) -> dict[int, list[str]]:
    return {
        one.stretch.line.source_partition: one.faults
        for one in result.entries
        if not one.holds and one.stretch.line.source_topic == CARD.name
    }


def unaccounted(one: Stand) -> float | None:
    telemetry = Telemetry()
    ledger_watch.look(one.client, telemetry, system_clock())
    return telemetry.registry.get_sample_value("barometer_unaccounted_events", {"topic": CARD.name})


@pytest.mark.timeout(300)
def test_a_clean_log_holds_and_planted_damage_is_found_by_name(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = fill(stand)
    first = stand.start("sink", "feedback_events", kill_point="sink.after_insert:1")
    assert first.wait(60) == -9
    close(stand)
    start_tally(stand)
    # the sink replays its batch, then dies once more, between the insert that closes an hour and its commit
    second = stand.start("sink", "feedback_events", kill_point="sink.after_insert:1")
    stand.running.remove(second)
    assert second.wait(60) == -9
    stand.start("sink", "feedback_events", "tallies")
    wait_for(lambda: stand.count("count() FROM ledger WHERE writer = 'sink'") == HOURS * CARD.partitions)
    wait_for(
        lambda: stand.count("uniqExact(source_partition, hour) FROM ledger WHERE writer = 'tally' AND events > 0") == 12
    )
    wait_for(stand.caught_up)

    clean = audited(stand, deep=True)
    assert clean.holds, faults(clean)
    closed = [one.stretch for one in clean.entries if one.stretch.closed]
    assert len(closed) == HOURS * CARD.partitions
    assert {(one.offsets, one.rows, one.rejected, one.line.repeats, one.line.ticks) for one in closed} == {
        (23, 20, 1, 1, 1)
    }
    assert all(one.said_by_tally is not None for one in closed)
    assert unaccounted(stand) == 0

    gone, twice = ids[0, 2][3], ids[1, 2][5]  # of the first the log also holds a repeat
    stand.client.execute(
        "DELETE FROM feedback_events WHERE event_id = %(id)s", {"id": gone}, settings={"mutations_sync": 2}
    )
    stand.client.execute(
        "INSERT INTO feedback_events SELECT * FROM feedback_events WHERE event_id = %(id)s", {"id": twice},
        settings={"insert_deduplicate": 0},
    )  # fmt: skip
    lost = stand.client.execute("SELECT `offset` FROM rejected_events WHERE `partition` = 2 ORDER BY `offset` LIMIT 1")[
        0
    ][0]
    stand.client.execute(
        "DELETE FROM rejected_events WHERE `partition` = 2 AND `offset` = %(at)s",
        {"at": lost},
        settings={"mutations_sync": 2},
    )
    # as many rows as before, one of them at the offset of a tick
    tick = stand.client.execute(
        "SELECT next_offset - 1 FROM ledger WHERE writer = 'sink' AND source_partition = 3 ORDER BY hour LIMIT 1"
    )[0][0]
    moved = ids[3, 3][0]
    stand.client.execute(
        "INSERT INTO feedback_events SELECT * REPLACE(%(at)s AS `offset`) FROM feedback_events WHERE event_id = %(id)s",
        {"id": moved, "at": tick}, settings={"insert_deduplicate": 0},
    )  # fmt: skip
    stand.client.execute(
        "DELETE FROM feedback_events WHERE event_id = %(id)s AND `offset` != %(at)s", {"id": moved, "at": tick},
        settings={"mutations_sync": 2},
    )  # fmt: skip

    damaged = audited(stand)
    bad = {one.stretch.line.source_partition: one for one in damaged.entries if not one.holds}
    assert not damaged.holds and sorted(bad) == [0, 1, 2, 3]
    assert [bad[partition].stretch.residue for partition in range(4)] == [1, -1, 1, 0]
    found = {partition: one.found for partition, one in bad.items()}
    assert [one.id for one in found[0].missing] == [gone] and not found[0].doubled
    assert [(one.id, one.rows) for one in found[1].doubled] == [(twice, 2)] and not found[1].missing
    assert [(one.id, one.offset) for one in found[2].missing] == [("", lost)]
    assert [(one.id, one.offset) for one in found[3].strange] == [(moved, tick)]
    assert unaccounted(stand) == 4
    _show(damaged)
    said = capsys.readouterr().out
    assert all(one in said for one in (gone, twice, moved, "a record that cannot be read", "DOES NOT HOLD: 4 of"))


@pytest.mark.timeout(300)
def test_ranges_that_were_skipped_are_named_with_their_ids(stand: Stand) -> None:
    fill(stand)
    first = stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    first.kill()
    first.wait()
    kept, bare = [event(10_000 + i) for i in range(30)], [event(20_000 + i) for i in range(5)]
    for partition, events in enumerate((kept, bare)):
        for i, each in enumerate(events):
            send(stand, CARD, partition, 1, wire(each), 100 + i)
    stand.settle()
    # a position that is moved by hand takes the ledger's open line along, or leaves it behind
    (at, metadata), (other_at, other) = (stand.committed("feedback_events", CARD)[partition] for partition in (0, 1))
    move(stand, 0, at + 10, metadata)
    move(stand, 1, other_at + 5, json.dumps({name: json.loads(other)[name] for name in ("arrived", "topic_id")}))
    close(stand)
    stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    result = audited(stand)
    bad = [one for one in result.entries if not one.holds]
    assert [(one.stretch.line.source_partition, one.stretch.counted) for one in bad] == [(0, True), (1, False)]
    assert [[at.id for at in one.found.missing] for one in bad if one.found is not None] == [
        [each.event_id for each in kept[:10]], [each.event_id for each in bare],
    ]  # fmt: skip
    assert bad[0].faults[0].startswith("10 offsets were skipped")
    assert not any(one.found is not None and (one.found.doubled or one.found.strange) for one in bad)


def test_what_was_acknowledged_is_held_against_the_log(stand: Stand) -> None:
    publisher = Publisher(stand.settings, clock=system_clock, telemetry=Telemetry(), readiness=Readiness())
    publisher.start()
    publisher.wait_ready(30)
    for start in range(0, 300, 100):
        publisher.publish_blocking([
            Record(CARD.name, each.key, wire(each)) for each in map(event, range(start, start + 100))
        ])  # fmt: skip
    publisher.close()
    stand.start("sink", "ledger", "feedback_events")
    wait_for(lambda: stand.count("sum(n) FROM (SELECT any(events) AS n FROM ledger GROUP BY incarnation, seq)") == 300)
    wait_for(stand.caught_up)
    true = audited(stand)
    assert true.holds and sum(one.acknowledged for one in true.edge) == 300
    assert {one.partition: one.next_offset for one in true.edge} == stand.ends(CARD)
    topic_id = stand.admin.describe_topics([stand.name(CARD)])[0]["topic_id"]
    hour = system_clock() // HOUR_MS * HOUR_MS // 1000
    stand.client.execute(
        "INSERT INTO ledger (writer, incarnation, seq, source_topic, source_topic_id, source_partition, hour, first_offset,"
        " next_offset, events, arrived_at) VALUES",
        [(GATEWAY, "a", seq, CARD.name, str(topic_id), 0, hour, 0, 1005, 5, system_clock()) for seq in (1, 1, 2)],
    )  # fmt: skip
    result = audited(stand)
    behind = {one.partition: one.faults for one in result.edge if one.faults}
    assert list(behind) == [0] and "behind the end of the log" in behind[0][0]
    assert sum(one.acknowledged for one in result.edge) == 310  # a line that was published twice counts once
    assert not result.holds
