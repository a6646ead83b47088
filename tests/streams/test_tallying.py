"""What stage 1 believes of a committed offset, and what it does before its filters are warm."""

import asyncio
import random

import msgspec
import pytest
from aiokafka import TopicPartition

from schemas.catalogue import load
from schemas.declared import Catalogues, Declared
from schemas.errors import ContractError
from schemas.metrics import Metric, MetricKind
from schemas.readiness import Readiness
from schemas.repeats import RepeatFilter
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import TALLIES
from streams.core.tally import PartitionTally, TallyState
from streams.tallies_log import entry_of
from streams.tally_position import committed_of, state_of
from streams.tallying import TallyStage

START_MS = 1_790_000_000_000
PARTITION = TopicPartition("feedback.card.v1", 2)
AGAIN = Metric(
    name="again", version=1, owner="o", title="t", kind=MetricKind.REPEAT, events=("dispute",), within_ms=1_000
)


def test_a_position_says_where_its_partition_was_left():
    metadata = '{"to":20000,"arrived":19999,"topic_id":"id"}'
    state = TallyState(to=20_000, arrived=19_999, next_offset=7)
    assert state == state_of(PARTITION, 7, metadata, "id")
    assert (7, metadata) == committed_of(state, "id")


@pytest.mark.parametrize(
    "metadata", ["", "{", "{}", '{"to":1,"arrived":2}', '{"to":"1","arrived":2,"topic_id":"id"}', "null"]
)
def test_a_position_without_its_meaning_is_refused(metadata):
    with pytest.raises(ContractError, match="bad_position"):
        state_of(PARTITION, 7, metadata, "id")


def test_a_position_in_a_topic_that_was_created_anew_is_refused():
    with pytest.raises(ContractError, match="topic_recreated"):
        state_of(PARTITION, 7, '{"to":20000,"arrived":19999,"topic_id":"old"}', "new")


class Acknowledging:
    """A producer whose broker takes everything at once."""

    def __init__(self):
        self.sent, self.values = [], []

    async def send(self, topic, value, **given):
        self.sent.append((topic, given["key"]))
        self.values.append(value)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Cold:
    """A warm-up that ends when the test says so."""

    def __init__(self, cold):
        self.cold = cold

    def begin(self, stretches):
        self.cold |= stretches.keys()

    def check(self):
        pass


class Committing:
    """A host that notes what is committed."""

    revoked = False

    def __init__(self):
        self.offsets = {}

    async def commit(self, offsets):
        self.offsets |= {tp: offset for tp, (offset, _) in offsets.items()}

    async def offsets_at(self, times):
        return dict.fromkeys(times, 0)


def test_while_a_filter_warms_up_disputes_are_told_and_nothing_is_counted(event_maker, record_maker):
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    event = event_maker(random.Random(1), kind="dispute", traits=human)
    records = [record_maker(7, event, START_MS), record_maker(8, None, START_MS + 60_000)]
    settings = Settings(pane_ms=10_000)
    stage = TallyStage(settings, load(), Telemetry(), Readiness(), lambda: START_MS)
    stage._ids = {PARTITION.topic: "id"}
    stage._producer, stage._host, stage._warm_up = Acknowledging(), Committing(), Cold({PARTITION})
    state = TallyState(to=START_MS - START_MS % 10_000, arrived=START_MS - 1, next_offset=7)
    stage._tallies = {
        PARTITION: PartitionTally(PARTITION.topic, "id", 2, load(), 10_000, True, RepeatFilter(60_000), state)
    }

    async def scenario():
        await stage.on_records({PARTITION: records})
        told, committed = list(stage._producer.sent), dict(stage._host.offsets)
        stage._warm_up.cold.clear()
        await stage._feed_held()
        return told, committed

    told, committed = asyncio.run(scenario())
    assert ["barometer.alarms.immediate.v1", TALLIES.name] == [topic for topic, _ in told]
    assert {} == committed
    assert {PARTITION: 8} == stage._host.offsets
    assert b"id-2" in [key for _, key in stage._producer.sent]


def test_records_that_wait_through_two_changes_are_counted_once_and_in_order_and_their_disputes_told_at_once(
    event_maker, record_maker
):
    """Each change wants to know something else of customers, so that the partition is cold after each."""
    human = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
    packaged = load()
    catalogues = [
        msgspec.structs.replace(packaged, metric=[msgspec.structs.replace(AGAIN, within_ms=within_ms)])
        for within_ms in (1_000, 2_000, 3_000)
    ]
    begin = START_MS - START_MS % 10_000
    panes = [begin + number * 10_000 for number in range(1, 9)]
    stage = TallyStage(Settings(pane_ms=10_000), catalogues[0], Telemetry(), Readiness(), lambda: START_MS)
    stage._ids = {PARTITION.topic: "id"}
    stage._producer, stage._host, stage._warm_up = Acknowledging(), Committing(), Cold(set())
    stage._in_force.learn(
        Catalogues([Declared(0, catalogues[0]), Declared(panes[2], catalogues[1]), Declared(panes[5], catalogues[2])])
    )
    state = TallyState(to=begin, arrived=begin - 1, next_offset=1)
    tally = PartitionTally(PARTITION.topic, "id", 2, catalogues[0], 10_000, True, RepeatFilter(60_000), state)
    stage._tallies = {PARTITION: tally}
    dice, records, offset = random.Random(1), [], 0
    for pane in panes:
        for late_ms in (9_000, 1_000):
            offset += 1
            event = event_maker(dice, kind="dispute", traits=human)
            records.append(record_maker(offset, event, pane - late_ms))

    def told():
        out = [topic for topic, _ in stage._producer.sent]
        return out.count("barometer.alarms.immediate.v1")

    async def scenario():
        for start in range(0, len(records), 3):
            await stage.on_records({PARTITION: records[start : start + 3]})
        waited = [told(), dict(stage._host.offsets)]
        for _ in range(2):
            stage._warm_up.cold.clear()
            await stage._feed_held()
            waited.append(dict(stage._host.offsets))
        assert stage._warm_up.cold == set()
        assert stage._held == {}
        return waited

    disputes, *committed = asyncio.run(scenario())
    assert disputes >= len(records)
    assert [{PARTITION: 5}, {PARTITION: 11}, {PARTITION: 15}] == committed
    found = [
        entry_of(value)
        for (_, key), value in zip(stage._producer.sent, stage._producer.values, strict=True)
        if key == b"id-2"
    ]
    assert panes[:7] == [one.to_pane for one in found]
    assert [2] * 7 == [one.events for one in found]
    assert [catalogues[0].hash] * 2 + [catalogues[1].hash] * 3 + [catalogues[2].hash] * 2 == [
        one.catalogue_hash for one in found
    ]
