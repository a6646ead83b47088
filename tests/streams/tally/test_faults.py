"""Stage 1 with a partition that sends nonsense, and with a consumer that stops reading, on a real broker."""

import random
import time

import msgspec
import pytest

from deploy import alarms
from schemas.clock import system_clock
from schemas.exclusion import Body, Why, inclusion
from schemas.outputs import Decision, DecisionKind
from schemas.topics import LIVE
from tests.streams.tally.test_worker import _assert_equal_to_a_clean_pass, _wait_settled

pytestmark = pytest.mark.long

JUNK = b"\x00\x00\x00\x00\x01junk"
STOPPING = """
import logging, os, sys, time
from aiokafka import TopicPartition
from schemas.catalogue import load as catalogue_of
from schemas.clock import system_clock
from schemas.readiness import Readiness
from schemas.settings import load
from schemas.telemetry import Telemetry
from schemas.topics import LIVE, SOURCES
from streams.host import run_stage
from streams.tallying import TallyStage


class Stopping(TallyStage):
    stopped = False

    async def on_timer(self):
        await super().on_timer()
        if not self.stopped and all(tally.state.to for tally in self._tallies.values()):
            # as aiokafka's fetcher falls silent: the partition is assigned, and nothing of it is fetched any more
            self.stopped = True
            consumer = self._host._thread._ensure_consumer()
            consumer.pause(TopicPartition(self._prefix + LIVE["card"].name, 2))
            logging.info("stopped reading")


logging.basicConfig(level=logging.INFO)
settings = load(os.environ)
stage = Stopping(settings, catalogue_of(""), Telemetry(), Readiness(), system_clock)
topics = [settings.topic_prefix + topic.name for topic in SOURCES]
code = run_stage(settings, Telemetry(), Readiness(), "tally", topics, stage)
sys.stderr.flush()
os._exit(code)
"""


def _good(installation, event_maker, count, seed):
    """Send events to all channels but to the card partition that the tests spoil or stop."""
    dice, producer = random.Random(seed), installation.producer()
    for number in range(count):
        event = event_maker(dice, at_ms=system_clock(), channel="web")
        installation.send(producer, event, LIVE["web"].name, number % 4)
    producer.flush()
    producer.close()


@pytest.mark.long
def test_a_spoilt_partition_waits_where_it_is_and_its_neighbours_go_on(installation, event_maker):
    """It is left out by a record in the log, goes on by one, and nothing of it is lost or counted twice."""
    process = installation.start(spoilt_records=100, stuck_after_s=6)
    installation.wait(lambda: installation.assigned(process), "assigned")
    _wait_settled(installation)
    producer, dice = installation.producer(), random.Random(3)
    for number in range(400):
        event = event_maker(dice, at_ms=system_clock(), channel="card", kind="rating")
        installation.send(producer, JUNK if number % 4 else event, LIVE["card"].name, 1)
    producer.flush()
    installation.wait(lambda: "is paused at offset" in installation.said(process), "paused")
    _good(installation, event_maker, 50, 4)
    until = system_clock()

    def others():
        reached = {at: meaning["to"] for at, (_, meaning) in installation.positions().items()}
        reached.pop((LIVE["card"].name, 1))
        return len(reached) == 23 and all(to > until + 4_000 for to in reached.values())

    installation.wait(others, "the others go on")
    assert process.poll() is None, "a paused partition is not stuck"
    stands = installation.positions()[LIVE["card"].name, 1]
    time.sleep(4)
    assert installation.positions()[LIVE["card"].name, 1] == stands
    found = [one for one in installation.entries() if isinstance(one, Decision)]
    (said,) = [one for one in found if one.kind is not DecisionKind.ADOPT]
    assert (said.kind, said.body["partition"], said.body["why"]) == (DecisionKind.EXCLUDE, 1, "spoilt")
    body = msgspec.structs.replace(msgspec.convert(said.body, Body), why=Why.OPERATOR)
    alarms.write(installation.settings, inclusion(body, from_pane=None, author="me", made_at=system_clock()))
    installation.wait(lambda: "goes on: what was appended" in installation.said(process), "resumed")
    _wait_settled(installation)
    _assert_equal_to_a_clean_pass(installation)
    taken = installation.taken()
    assert sum(block.undecodable for block in taken) == 300
    assert sum(block.events + block.repeats for block in taken) == 150


@pytest.mark.long
def test_a_consumer_that_stops_reading_ends_its_process_and_the_next_one_reads_on(installation, event_maker):
    """Its group membership, its other partitions and its heartbeats go on: only the position tells."""
    process = installation.start(code=STOPPING, stuck_after_s=4)
    installation.wait(lambda: "stopped reading" in installation.said(process), "stopped")
    time.sleep(6)
    producer, dice = installation.producer(), random.Random(5)
    if process.poll() is None:
        for _ in range(20):
            event = event_maker(dice, at_ms=system_clock(), channel="card", kind="rating")
            installation.send(producer, event, LIVE["card"].name, 2)
    producer.flush()
    assert process.wait(90) == 1
    said = installation.said(process)
    assert "[stuck]" in said
    assert "feedback.card.v1-2 has stood at" in said
    installation.start(stuck_after_s=4)
    _wait_settled(installation)
    _assert_equal_to_a_clean_pass(installation)
