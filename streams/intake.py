"""Whole record lists out of Faust: its consumer, with the per-event path replaced.

Faust spends four asyncio tasks on each event and acknowledges events whose processing failed. This consumer keeps Faust's
group membership, rebalancing and services, hands records on as they were fetched, and never commits by itself.
It overrides private methods of faust-streaming 0.15.3 and aiokafka 0.14.0: tests/streams/test_intake.py holds the contract.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver

Records = Sequence[ConsumerRecord[bytes, bytes]]
Committed = Mapping[TopicPartition, tuple[int, str]]
"""Committed offset and metadata by partition; partitions without a committed offset are absent."""

POLL_S = 1.0
FETCH_WAIT_MS = 50  # Faust's 1500 stall a worker for as long when some of its partitions are empty
PARTITION_FETCH_BYTES = 1 << 20
MAX_RECORDS = 20_000  # a batch keeps the loop for a fraction of a second
NO_OFFSET = -1


class Taker(Protocol):
    """Who takes what the consumer fetches; each call ends before the next one begins."""

    async def reassigned(self) -> bool:
        """Take a new assignment, if there is one. Return whether fetching may go on."""

    async def take(self, records: Mapping[TopicPartition, Records]) -> None:
        """Process records, in offset order within each partition."""

    def failed(self, error: BaseException) -> None:
        """End the process because of `error`."""


class BulkApp(faust.App):
    """A Faust app that keeps no state of its own, and therefore no folders; `kafka`: how its consumer reaches the broker."""

    kafka: Mapping[str, Any]

    def _create_directories(self) -> None:
        """Create nothing."""


class BulkThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread: heartbeats, fetches and commits go on while the main loop computes."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        conf = self.app.conf
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            **cast(BulkApp, self.app).kafka,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            max_poll_records=MAX_RECORDS,
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    async def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, str]]:
        """Return the group's committed offsets with their metadata."""
        found = await self.call_thread(self._committed, list(partitions))
        return {tp: (one.offset, one.metadata) for tp, one in found.items() if one.offset != NO_OFFSET}

    async def _committed(self, partitions: list[TopicPartition]) -> Any:
        return await self._ensure_consumer()._coordinator.fetch_committed_offsets(partitions)

    async def commit_with_metadata(self, offsets: Mapping[TopicPartition, tuple[int, str]]) -> bool:
        """Commit offsets with metadata; False if the partitions have gone to another member."""
        return bool(await self.call_thread(self._commit_with_metadata, dict(offsets)))

    async def _commit_with_metadata(self, offsets: dict[TopicPartition, tuple[int, str]]) -> bool:
        try:
            await self._ensure_consumer().commit({tp: OffsetAndMetadata(*one) for tp, one in offsets.items()})
        except (CommitFailedError, IllegalStateError):
            return False
        return True

    async def seek_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Set where the next fetches begin."""
        await self.call_thread(self._seek_all, dict(offsets))

    async def _seek_all(self, offsets: dict[TopicPartition, int]) -> None:
        for tp, offset in offsets.items():
            self._ensure_consumer().seek(tp, offset)

    async def beginnings(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offsets that the broker still holds."""
        found: dict[TopicPartition, int] = await self.call_thread(
            self._ensure_consumer().beginning_offsets, list(partitions)
        )
        return found

    async def offsets_at(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """Return the offset of the first record appended at or after a time in ms, None where there is none."""
        found = await self.call_thread(self._ensure_consumer().offsets_for_times, dict(times))
        return {tp: None if one is None else one.offset for tp, one in found.items()}

    async def pause(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Fetch nothing from these partitions until `resume`; then the next fetches begin at these offsets."""
        await self.call_thread(self._pause, dict(offsets))

    async def _pause(self, offsets: dict[TopicPartition, int]) -> None:
        await self._seek_all(offsets)
        self._ensure_consumer().pause(*offsets)

    async def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Fetch from these partitions again."""
        await self.call_thread(self._resume, list(partitions))

    async def _resume(self, partitions: list[TopicPartition]) -> None:
        self._ensure_consumer().resume(*partitions)

    def read_to(self, partition: TopicPartition) -> int | None:
        """Return the offset after the last record handed on; None where there is none."""
        state = self._state(partition)
        return int(state.position) if state is not None and state.has_valid_position else None

    def _state(self, partition: TopicPartition) -> Any:
        subscription = self._ensure_consumer()._fetcher._subscriptions.subscription
        assignment = subscription and subscription.assignment
        if assignment is None or partition not in assignment.tps:
            return None
        return assignment.state_value(partition)

    def backlog(self, partition: TopicPartition) -> int | None:
        """Return how many offsets lie between the next fetch and the last stable offset; None before the first fetch."""
        state = self._state(partition)
        if state is None or state.lso is None or not state.has_valid_position:
            return None
        return max(0, int(state.lso) - int(state.position))


class BulkConsumer(driver.Consumer):
    """Faust's consumer, handing record lists to `taker`."""

    taker: Taker
    _thread: BulkThread

    @property
    def thread(self) -> BulkThread:
        """Return the thread that talks to the broker."""
        return self._thread

    def _new_consumer_thread(self) -> BulkThread:
        return BulkThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Leave the positions to the taker, who knows what a committed offset means."""

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Do nothing: Faust's own streams, which this would watch, carry no records here."""

    async def _drain_messages(self, fetcher: Any) -> None:
        taker = self.taker
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not await taker.reassigned():
                    await self.sleep(FETCH_WAIT_MS / 1000)
                    continue
                records, _ = await self._wait_next_records(POLL_S)
                if records:
                    await taker.take(records)
        except self.consumer_stopped_errors as error:
            if not self.app.should_stop:
                taker.failed(error)
        except Exception as error:
            taker.failed(error)
