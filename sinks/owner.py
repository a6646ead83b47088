"""Who owns a sink's partitions: all of them one member, the one that has been there longest; the others stand by.

A group hands out generations, and a commit of an old one is refused: the journal before each insert is such a commit, so a
paused owner learns there that it is none any more. (A lock file would bind the standby to this machine, and a paused
process would hold it.)
"""

from collections.abc import Iterable, Mapping

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

VERSION = 0


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
