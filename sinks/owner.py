"""Who owns a sink's partitions: all of them one member, the one that has been there longest; the others stand by.

On one machine a lock file in the data folder says who runs; a restart under the same name takes its place in the group over
at once. Between machines the group decides: it hands out generations, and a commit of an old one is refused. The journal
before each insert is such a commit, so a paused owner learns there that it is none any more.
"""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import KafkaError

from schemas.broker import reaching
from schemas.errors import UnavailableError
from sinks.positions import FETCH_WAIT_MS

VERSION = 0
SESSION_MS = 15_000
HEARTBEAT_MS = 1_000
LONGEST_POLL_MS = 24 * 3_600_000
"""A batch may wait for a store or a receiver as long as it takes; heartbeats go on meanwhile."""
PARTITION_FETCH_BYTES = 1 << 20


class Lease:
    """A lock that ends with its process. `member` is the name under which its holder stands in the group."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder.absolute() / "leases" / f"{name}.lock"
        self._descriptor: int | None = None
        self.member = f"{socket.gethostname()}-{hashlib.sha256(str(self._file).encode()).hexdigest()[:16]}"

    def take(self) -> bool:
        """Take the lease if nobody holds it; return whether this process has it."""
        if self._descriptor is not None:
            return True
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def sole_owner(since_ms: int) -> type[AbstractPartitionAssignor]:
    """Return the assignor of a member that joined at `since_ms`; all members of a group must use it."""

    class SoleOwner(AbstractPartitionAssignor):  # type: ignore[misc]  # aiokafka ships no types
        name = "barometer-sole-owner"

        @classmethod
        def assign(
            cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
        ) -> dict[str, ConsumerProtocolMemberAssignment]:
            owner = oldest({name: bytes(one.user_data) for name, one in members.items()})
            topics = sorted({topic for one in members.values() for topic in one.subscription})
            everything = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
            return {
                name: ConsumerProtocolMemberAssignment(VERSION, everything if name == owner else [], b"")
                for name in members
            }

        @classmethod
        def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
            return ConsumerProtocolMemberMetadata(VERSION, list(topics), str(since_ms).encode())

        @classmethod
        def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
            pass

    return SoleOwner


def oldest(members: Mapping[str, bytes]) -> str:
    """Return the member with the smallest time of joining (ASCII ms); the name decides between equals."""
    return min(members, key=lambda name: (int(members[name] or b"0"), name))


class NotOwnerError(Exception):
    """Another member owns the partitions now: forget everything and begin again from what is committed."""


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """What this member owns; `check` fails from the moment at which that may have changed."""

    def __init__(self) -> None:
        self.assigned: set[TopicPartition] = set()
        self._valid = False

    async def on_partitions_revoked(self, _revoked: Iterable[TopicPartition]) -> None:
        """Take note that the partitions go."""
        self._valid, self.assigned = False, set()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take note of what comes."""
        self._valid, self.assigned = False, set(assigned)

    def begin(self) -> bool:
        """Begin a time of ownership; return whether there is anything to own."""
        self._valid = bool(self.assigned)
        return self._valid

    def lose(self) -> None:
        """End it, because the broker says so."""
        self._valid = False

    def check(self) -> None:
        """Raise NotOwnerError unless the time of ownership that began goes on."""
        if not self._valid:
            raise NotOwnerError


def check_group(consumer: AIOKafkaConsumer) -> None:
    """Raise what ended this member's part in its group: who stands by fetches nothing, so nothing else would tell it.

    A broker that has just started may answer a member that joins with an error after which the client never tries again.
    """
    consumer._coordinator.check_errors()


async def join_group(
    bootstrap: str,
    group: str,
    topics: Iterable[str],
    lease: Lease,
    ownership: Ownership,
    *,
    since_ms: int,
    partition_fetch_bytes: int = PARTITION_FETCH_BYTES,
) -> AIOKafkaConsumer:
    """Join `group` as a member since `since_ms` that is told by `ownership` what it owns of `topics` (with their prefix).

    A restart under the same lease takes its place over at once and fences the one that had it. Raises UnavailableError.
    """
    consumer = AIOKafkaConsumer(
        **reaching(bootstrap),
        group_id=group,
        client_id=group,
        group_instance_id=lease.member,
        partition_assignment_strategy=[sole_owner(since_ms)],
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=partition_fetch_bytes,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        max_poll_interval_ms=LONGEST_POLL_MS,
        rebalance_timeout_ms=SESSION_MS,
    )
    consumer.subscribe(list(topics), listener=ownership)
    try:
        await consumer.start()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{group}: {error!r}") from error
    return consumer
