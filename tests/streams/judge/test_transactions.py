"""Transactions on the real broker."""

import asyncio
import time

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas.errors import ContractError
from schemas.settings import Settings
from schemas.topics import READINGS, STATE, TALLIES
from streams.ranges import open_partition
from streams.transactions import Position, Record, Transactions, position_of


async def values(settings: Settings, name: str, partitions: int = 1) -> list[bytes]:
    """Return the committed values of a topic, partition by partition."""
    out: list[bytes] = []
    for number in range(partitions):
        partition = TopicPartition(settings.topic_prefix + name, number)
        async with open_partition(settings.kafka_bootstrap, partition) as reader:
            async for records in reader.read(reader.first, reader.end):
                out += [record.value for record in records if record.value is not None]
    return out


async def stored_position(settings: Settings, group: str, partition: TopicPartition) -> Position | None:
    """Return what `group` has committed in `partition`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    deadline = time.monotonic() + 30
    while True:
        try:
            stored = (await admin.list_consumer_group_offsets(group, partitions=[partition])).get(partition)
            break
        except GroupCoordinatorNotAvailableError:  # a broker that has just started has none for a moment
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)
    await admin.close()
    return None if stored is None or stored.offset < 0 else position_of(stored.offset, stored.metadata)


def test_records_and_position_become_visible_together(settings: Settings) -> None:
    async def claim() -> None:
        log = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
        group = settings.topic_prefix + "g"
        assert await stored_position(settings, group, log) is None
        transactions = await Transactions.open(settings.kafka_bootstrap, settings.topic_prefix + "id")
        records = [Record(settings.topic_prefix + READINGS.name, b"%d" % i, b"v%d" % i) for i in range(100)]
        position = Position(offset=7, pane=1000, seq=100, log="x")
        await transactions.commit(records, group=group, partition=log, position=position)
        deadline = time.monotonic() + 30
        while await stored_position(settings, group, log) != position:  # the group's mark comes a moment later
            assert time.monotonic() < deadline
        assert sorted(await values(settings, READINGS.name, 4)) == sorted(r.value for r in records)
        await transactions.close()

    asyncio.run(claim())


def test_a_newer_owner_fences_the_older_and_what_it_left_open_never_shows(settings: Settings) -> None:
    async def claim() -> None:
        name = settings.topic_prefix + "id"
        topic = settings.topic_prefix + STATE.name
        old = await Transactions.open(settings.kafka_bootstrap, name)
        await old.commit([Record(topic, b"k", b"before")])
        killed = await Transactions.open(settings.kafka_bootstrap, name)
        await killed._producer.begin_transaction()
        await killed._producer.send_and_wait(topic, key=b"k", value=b"left open")
        new = await Transactions.open(settings.kafka_bootstrap, name)
        await new.commit([Record(topic, b"k", b"after")])
        with pytest.raises(ContractError, match="another process has taken over"):
            await old.commit([Record(topic, b"k", b"too late")])
        assert await values(settings, STATE.name) == [b"before", b"after"]
        for one in (new, killed, old):
            await one.close()

    asyncio.run(claim())


def test_a_refused_record_leaves_neither_its_neighbours_nor_the_position(settings: Settings) -> None:
    async def claim() -> None:
        log = TopicPartition(settings.topic_prefix + TALLIES.name, 0)
        group = settings.topic_prefix + "g"
        topic = settings.topic_prefix + READINGS.name
        transactions = await Transactions.open(settings.kafka_bootstrap, settings.topic_prefix + "id")
        position = Position(offset=7, pane=None, seq=0, log="x")
        with pytest.raises(Exception, match="MessageSizeTooLarge"):
            await transactions.commit(
                [Record(topic, b"a", b"small"), Record(topic, b"b", bytes(5_000_000))],
                group=group, partition=log, position=position,
            )  # fmt: skip
        await transactions.close()
        assert await stored_position(settings, group, log) is None
        assert await values(settings, READINGS.name, 4) == []

    asyncio.run(claim())
