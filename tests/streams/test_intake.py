"""The contract with the private methods of Faust and aiokafka that the bulk path overrides or calls."""

import asyncio
import inspect
from importlib.metadata import version

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import TopicPartitionState
from faust.app.base import App
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.transport.consumer import Fetcher as FaustFetcher
from faust.transport.drivers import aiokafka as driver

from streams.intake import BulkApp, BulkConsumer, BulkThread


def test_the_pinned_versions_are_the_ones_read():
    assert ("0.15.3", "0.14.0") == (version("faust-streaming"), version("aiokafka"))


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        (BulkConsumer, Consumer, "_drain_messages"),
        (BulkConsumer, Consumer, "perform_seek"),
        (BulkConsumer, driver.Consumer, "_new_consumer_thread"),
        (BulkConsumer, driver.Consumer, "verify_event_path"),
        (BulkThread, driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
        (BulkApp, App, "_create_directories"),
    ],
)
def test_an_overridden_method_takes_what_it_took(ours, theirs, name):
    mine, original = (inspect.signature(getattr(one, name)) for one in (ours, theirs))
    assert list(original.parameters) == list(mine.parameters)
    assert inspect.iscoroutinefunction(getattr(ours, name)) == inspect.iscoroutinefunction(getattr(theirs, name))


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (Consumer, "_wait_next_records", ["self", "timeout"]),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (GroupCoordinator, "fetch_committed_offsets", ["self", "partitions"]),
        (Fetcher, "seek_to", ["self", "tp", "offset"]),
    ],
)
def test_a_private_method_that_is_called_is_there(owner, name, parameters):
    assert parameters == list(inspect.signature(getattr(owner, name)).parameters)


def test_the_state_of_a_partition_has_what_the_backlog_is_made_of():
    async def fresh():
        state = TopicPartitionState(None)
        return state.lso, state.has_valid_position

    assert (None, False) == asyncio.run(fresh())
    assert "position" in dir(TopicPartitionState)


def test_the_order_of_a_rebalance_is_as_read():
    """Faust stops the flow before it tells of revocation, and seeks before the flow goes on: the host rests on both."""
    revoked = inspect.getsource(App._on_partitions_revoked)
    assert revoked.index("stop_flow") < revoked.index("on_partitions_revoked.send")
    resumed = inspect.getsource(Recovery._resume_streams)
    assert resumed.index("perform_seek") < resumed.index("consumer.resume_flow()")
    assert "_drain_messages(self)" in inspect.getsource(FaustFetcher)
