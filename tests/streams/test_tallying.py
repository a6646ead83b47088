"""What stage 1 believes of a committed offset, and what it does before its filters are warm."""

import asyncio
import random

import pytest
from aiokafka import TopicPartition

from schemas.catalogue import load
from schemas.errors import ContractError
from schemas.readiness import Readiness
from schemas.repeats import RepeatFilter
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import TALLIES
from streams.core.tally import PartitionTally, TallyState
from streams.tallying import TallyStage, state_of

START_MS = 1_790_000_000_000
PARTITION = TopicPartition("feedback.card.v1", 2)


def test_a_position_says_where_its_partition_was_left():
    metadata = '{"to":20000,"arrived":19999,"topic_id":"id"}'
    assert TallyState(to=20_000, arrived=19_999, next_offset=7) == state_of(PARTITION, 7, metadata, "id")


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
        self.sent = []

    async def send(self, topic, value, **given):
        self.sent.append((topic, given["key"]))
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class Cold:
    """A warm-up that ends when the test says so."""

    def __init__(self, cold):
        self.cold = cold

    def check(self):
        pass


class Committing:
    """A host that notes what is committed."""

    revoked = False

    def __init__(self):
        self.offsets = {}

    async def commit(self, offsets):
        self.offsets |= {tp: offset for tp, (offset, _) in offsets.items()}


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
