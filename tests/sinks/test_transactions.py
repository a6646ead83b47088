"""Transactions: records and positions together or not at all, and one owner at a time."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from schemas.errors import ContractError
from schemas.topics import READINGS, TALLIES
from sinks.accounting import _records
from sinks.positions import Positions
from sinks.transactions import Record, Stands, Transactions
from tests.sinks.conftest import Stand


def test_records_and_positions_are_written_together_until_another_takes_over(stand: Stand) -> None:
    bootstrap, topic = stand.settings.kafka_bootstrap, stand.name(READINGS)
    log, group = TopicPartition(stand.name(TALLIES), 0), stand.settings.topic_prefix + "group"

    async def run() -> None:
        first = await Transactions.open(bootstrap, stand.settings.topic_prefix + "id", who="writer")
        placed = Record(topic, b"k", b"one", partition=2)
        assert await first.write([placed], {group: {log: OffsetAndMetadata(7, "said")}}) == [
            Stands(TopicPartition(topic, 2), 0)
        ]
        with pytest.raises(RuntimeError, match="dies"):
            await first.write([placed], {group: {log: OffsetAndMetadata(8, "")}}, _die)
        second = await Transactions.open(bootstrap, stand.settings.topic_prefix + "id", who="writer")
        with pytest.raises(ContractError, match="another writer has taken over") as caught:
            await first.write([placed], {})
        assert caught.value.reason == "fenced"
        await second.write([], {})
        positions = await Positions.open(bootstrap)
        assert (await positions.of(group, [log]))[log] == (7, "said")
        for one in (first, second, positions):
            await one.close()

    asyncio.run(run())
    assert [value for *_, value in _records(stand.settings, READINGS)] == [b"one"]


def _die() -> None:
    raise RuntimeError("dies before the commit")
