"""What a sink writes beside its offsets: before an insert the vector under way, after it how far each partition has come."""

from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from sinks.progress import Progress
from sinks.ranges import VECTOR_DIGITS, Counts, Mark, Range, encode_mark, vector_hash

Offsets = dict[TopicPartition, OffsetAndMetadata]


def vector_of(progress: Iterable[Progress]) -> list[Range]:
    """Return the vector from the committed offsets up to what was taken."""
    return sorted(
        Range(one.topic_id, one.partition, one.committed, one.next - 1) for one in progress if one.next > one.committed
    )


def journal_of(progress: Mapping[TopicPartition, Progress], vector: Sequence[Range], *, recut: bool) -> Offsets:
    """Return the unchanged offsets with the vector beside them."""
    name = vector_hash(vector)[:VECTOR_DIGITS]
    pending = {(one.topic_id, one.partition): (one.first, one.last) for one in vector}
    return {
        tp: OffsetAndMetadata(
            one.committed,
            encode_mark(
                Mark(
                    arrived=one.arrived, topic_id=one.topic_id, vector=name, pending=pending[one.place], recut=recut,
                    line=one.said, counts=_told(one.counts),
                )
            ),
        )
        for tp, one in progress.items()
        if one.place in pending
    }  # fmt: skip


def commit_of(progress: Mapping[TopicPartition, Progress], vector: Sequence[Range], *, lines: bool) -> Offsets:
    """Return the offsets after a vector, with what its partitions have reached, the ledger's `lines` included."""
    ends = {(one.topic_id, one.partition): one.last + 1 for one in vector}
    return {
        tp: OffsetAndMetadata(
            ends[one.place],
            encode_mark(
                Mark(
                    arrived=one.reached, topic_id=one.topic_id, line=one.line if lines else None, counts=_told(one.counted)
                )
            ),
        )
        for tp, one in progress.items()
        if one.place in ends
    }  # fmt: skip


def _told(counts: Counts) -> Counts | None:
    """Return the counts where they say more than how many records there were."""
    return counts if counts.aside or counts.run else None
