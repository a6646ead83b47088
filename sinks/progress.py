"""Where a sink stands in each partition, and whether that partition is still the one that it read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from clickhouse_driver import Client

from schemas.arrival import arrived_run, sent_of
from schemas.errors import ContractError
from schemas.ledger import Line
from schemas.topics import Topic
from sinks.ledger_lines import Counted, Open, advanced
from sinks.making import Take
from sinks.positions import Committed, Fetched, Found
from sinks.ranges import NONE_YET, Counts, Mark
from sinks.rows import Place
from sinks.tables import REJECTED_TABLE, Table


@dataclass(slots=True)
class Progress:
    """One partition: `committed`, `arrived`, the ledger's line `said` and `counts` as they stand in Kafka, `next`, `reached`,
    `line` and `counted` as far as records were taken.

    `known`: the last offset that has a row although the position does not say so; -1: none.
    """

    topic: Topic
    topic_id: str
    partition: int
    committed: int
    arrived: int
    said: Open | None = None
    counts: Counts = NONE_YET
    known: int = -1
    next: int = 0
    reached: int = 0
    line: Open = field(init=False)
    counted: Counts = NONE_YET
    records: list[Fetched] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.next, self.reached = self.committed, self.arrived
        self.line, self.counted = self.said or Open(self.committed), self.counts

    @property
    def place(self) -> tuple[str, int]:
        """Return (topic id, partition)."""
        return self.topic_id, self.partition

    def take(self) -> Take:
        """Return the records at hand with their arrived times, and pass them."""
        records, self.records = self.records, []
        arrived = arrived_run(
            self.reached, [one.timestamp for one in records], [sent_of(one.headers) for one in records]
        )
        if arrived:
            self.reached = arrived[-1]
        return Take(self.topic, self.topic_id, self.partition, records, arrived)

    def count(self, some: Sequence[Counted]) -> list[tuple[Line, Place]]:
        """Take what became of the records into the ledger's line; return the lines that they close, and where."""
        closed, self.line = advanced(self.line, some)
        return closed


def recreated(name: str, old: str, new: str) -> ContractError:
    """Return the error for a topic of the same name and another id."""
    return ContractError(
        "topic_recreated",
        f"topic {name} has id {new}, what is stored was read from {old}",
        "a topic that was deleted is another topic: start anew with another topic_prefix and database",
    )


def check_position(tp: TopicPartition, offset: int, begin: int, mark: Mark, topic_id: str) -> None:
    """Refuse a committed offset of another topic, or one that the log no longer reaches back to. Raises ContractError."""
    if mark.topic_id and mark.topic_id != topic_id:
        raise recreated(tp.topic, mark.topic_id, topic_id)
    if offset < begin:
        raise ContractError(
            "offset_out_of_range",
            f"{tp.topic}-{tp.partition}: the log begins at {begin}, this sink had come to {offset}",
            "retention was shorter than the outage: rows are missing; start anew with another topic_prefix",
        )


def check_topic_ids(client: Client, table: Table, topics: Mapping[str, Topic], found: Mapping[str, Found]) -> None:
    """Refuse a table whose rows were read from another topic of the same name (a broker forgets positions with the topic).

    Raises ContractError.
    """
    rows = client.execute(f"SELECT DISTINCT toString(topic), toString(topic_id) FROM {table.name}")
    stored = dict(rows)
    for name, topic in topics.items():
        if stored.get(topic.name, found[name].topic_id) != found[name].topic_id:
            raise recreated(name, stored[topic.name], found[name].topic_id)


def was_reset(committed: Committed, begin: int) -> bool:
    """Return whether a position is one that was set back to the begin of the log by hand; it says nothing else."""
    return committed.metadata == "" and committed.offset <= begin


def stored_beyond(client: Client, table: Table, progress: Iterable[Progress]) -> dict[tuple[str, int], int]:
    """Return (topic id, partition) -> last offset at or after the position that has a row, or was set aside."""
    after = " OR ".join(
        f"(topic_id = '{one.topic_id}' AND `partition` = {one.partition} AND `offset` >= {one.committed}"
        f" AND arrived_at >= fromUnixTimestamp64Milli({one.arrived}))"  # never goes back, and prunes what is older
        for one in progress
    )
    out: dict[tuple[str, int], int] = {}
    for name, which in ((table.name, "1"), (REJECTED_TABLE, "stage = 'sink'")):
        for topic_id, partition, last in client.execute(
            f"SELECT toString(topic_id), `partition`, max(`offset`) FROM {name} WHERE ({after}) AND {which}"
            " GROUP BY topic_id, `partition`"
        ):
            out[topic_id, partition] = max(last, out.get((topic_id, partition), -1))
    return out
