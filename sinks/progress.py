"""Where a sink stands in each partition, and whether that partition is still the one that it read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from clickhouse_driver import Client

from schemas.arrival import arrived_run, sent_of
from schemas.errors import ContractError
from schemas.topics import Topic
from sinks.positions import Fetched, Found
from sinks.ranges import Mark
from sinks.tables import Table, Take


@dataclass(slots=True)
class Progress:
    """One partition: `committed` and `arrived` as they stand in Kafka, `next` and `reached` as far as records were taken."""

    topic: Topic
    topic_id: str
    partition: int
    committed: int
    arrived: int
    next: int = 0
    reached: int = 0
    records: list[Fetched] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.next, self.reached = self.committed, self.arrived

    def take(self) -> Take:
        """Return the records at hand with their arrived times, and pass them."""
        records, self.records = self.records, []
        arrived = arrived_run(
            self.reached, [one.timestamp for one in records], [sent_of(one.headers) for one in records]
        )
        if arrived:
            self.reached = arrived[-1]
        return Take(self.topic, self.topic_id, self.partition, records, arrived)


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
