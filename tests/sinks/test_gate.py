"""The gate against a real broker, a real ClickHouse and a real sink: each old event once, none that came live before."""

import asyncio
import contextlib

from aiokafka import TopicPartition

from deploy.audit import audit
from schemas.clock import system_clock
from schemas.event import Channel, Lane
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, HISTORY, LIVE, REJECTED
from sinks.accounting import conservation, count_topics, recount_repeats
from sinks.admissions import Admissions, admissible
from sinks.gate import run_gate
from sinks.live_marks import Waiting, holding_back
from sinks.positions import Committed
from sinks.ranges import Mark
from tests.sinks.conftest import Stand, event, publish_events, tick_all, wait_for, wire

A, B = TopicPartition("a", 0), TopicPartition("b", 0)
CARD = LIVE[Channel.CARD]


def test_gate_waits_for_a_partition_without_position_before_the_slowest() -> None:
    assert holding_back(10, {A: Mark(arrived=11), B: Mark(arrived=12)}) is None
    assert holding_back(10, {A: Mark(arrived=10), B: Mark(arrived=12)}) == Waiting(A, 10)
    assert holding_back(10, {A: Mark(arrived=9), B: Mark(arrived=3)}) == Waiting(B, 3)
    assert holding_back(10, {A: Mark(arrived=3), B: None}) == Waiting(B, None)
    assert holding_back(10, {A: Mark(arrived=11), B: Mark(arrived=12)}, {B}) == Waiting(B, 12)


def test_an_id_is_admitted_once_in_a_batch_and_not_if_known_or_pending() -> None:
    assert admissible(["a", "b", "a", "c", "d"], {"b"}, {"c": 1}) == [0, 4]


def test_admissions_are_forgotten_only_when_stored() -> None:
    own = Admissions({"x": (A, 4), "y": (A, 5), "z": (B, 0)})
    own.forget({A: Committed(5, "")})
    assert own.by_id == {"y": (A, 5), "z": (B, 0)}


def admitted(stand: Stand) -> int:
    return count_topics(stand.settings, [ADMITTED])[ADMITTED.name].records


def test_history_is_admitted_once_and_never_what_came_live(stand: Stand) -> None:
    publish_events(stand, CARD, [event(i) for i in range(20)])
    publish_events(stand, HISTORY, [event(i) for i in range(10, 40)] + [event(i) for i in range(30, 50)])
    for value in (b"no event", wire(event(60))[:30]):
        stand.publish(HISTORY, value)
    stand.settle()
    tick_all(stand)
    stand.start("sink", "feedback_events", "rejected_events")
    first = stand.start("gate", kill_point="gate.before_commit:1")
    assert first.wait(60) == -9
    assert admitted(stand) == 0
    second = stand.start("gate")
    wait_for(lambda: stand.count("count() FROM feedback_events") == 50)
    second.kill()
    second.wait()
    publish_events(stand, HISTORY, [event(i) for i in range(45, 55)])
    tick_all(stand)
    stand.start("gate")
    wait_for(
        lambda: stand.count("count() FROM feedback_events") == 55 and stand.count("count() FROM rejected_events") == 2
    )
    wait_for(lambda: stand.caught_up(topic=ADMITTED))
    assert stand.count("uniqExact(event_id) FROM feedback_events") == 55
    assert stand.count(f"countIf(lane = '{Lane.HISTORY}') FROM feedback_events") == 35
    assert stand.count("uniqExact(rejected_id) FROM rejected_events WHERE stage = 'gate'") == 2
    assert count_topics(stand.settings, [REJECTED])[REJECTED.name].records == 2
    balance = conservation(stand.settings)
    assert (balance.residue, balance.rows_twice, balance.log.published, balance.log.undecodable) == (0, 0, 82, 2)
    assert recount_repeats(stand.settings) == balance.log.repeats_gate == 25
    wait_for(lambda: stand.caught_up("rejected_events", REJECTED))
    audited = audit(stand.settings, hours=1, now_ms=system_clock())
    assert audited.holds, [one.faults for one in audited.entries]
    lines = [one.stretch.line for one in audited.entries if one.stretch.line.source_topic == HISTORY.name]
    assert (sum(one.events for one in lines), sum(one.undecodable for one in lines)) == (35, 2)
    assert (sum(one.repeats for one in lines), sum(one.ticks + one.holes for one in lines)) == (25, 0)


async def _gate_for(stand: Stand, seconds: float) -> tuple[dict[str, str], str]:
    readiness, telemetry, stop = Readiness(), Telemetry(), asyncio.Event()
    task = asyncio.create_task(run_gate(stand.settings, telemetry, readiness, stop=stop))
    await asyncio.sleep(seconds)
    failing = readiness.failing()
    gauges = [
        sample.labels["topic"] for family in telemetry.registry.collect() for sample in family.samples
        if sample.name == "barometer_gate_waiting_for_partition"
    ]  # fmt: skip
    stop.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return failing, ",".join(gauges)


def test_gate_names_the_partition_that_it_waits_for_and_admits_nothing_meanwhile(stand: Stand) -> None:
    publish_events(stand, HISTORY, [event(i) for i in range(5)])
    for topic in LIVE.values():
        if topic is not LIVE[Channel.WEB]:
            stand.tick(topic)
    stand.settle()
    stand.start("sink", "feedback_events")
    wait_for(lambda: len(stand.committed("feedback_events", CARD)) == CARD.partitions)
    failing, gauges = asyncio.run(_gate_for(stand, 5))
    assert "feedback.web.v1" in failing["gate"]
    assert gauges == "feedback.web.v1"
    assert admitted(stand) == 0
    stand.tick(LIVE[Channel.WEB])
    stand.settle()
    stand.start("gate")
    wait_for(lambda: stand.count("count() FROM feedback_events") == 5)
