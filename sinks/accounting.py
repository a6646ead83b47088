"""An independent recount from the log: naive sets and dictionaries, one record at a time, nothing shared with the way of an event.

Conservation: every record of the live topics and of history is a row of feedback_events, a repeat, an undecodable record or a
tick. What is left over is the residue; it must be 0 once everything is settled.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from schemas.broker import broker_of, reaching
from schemas.codec import Kind, decode_as
from schemas.errors import UnavailableError, UndecodableError
from schemas.settings import Settings
from schemas.topics import ADMITTED, EVENT_TOPICS, HISTORY, LIVE, REJECTED, Topic
from sinks.aside import REFUSED
from sinks.clickhouse import PASSING, connect, unavailable
from sinks.corrections import NOT_APPLIED, REPLACED

POLL_MS = 500
SLACK_MS = 60_000
TICK = b"\x00tick"


@dataclass(slots=True, kw_only=True)
class Count:
    """What stands in one topic. `repeats`: events whose id stood in their partition at most W before; `first`: the others."""

    records: int = 0
    ticks: int = 0
    undecodable: int = 0
    first: int = 0
    repeats: int = 0
    distinct: int = 0
    replaced: int = 0
    """Records by which the gate took back what a correction replaces; it sends two for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What became of the events of the live topics and of history, as the log alone tells it."""

    published: int
    repeats_live: int
    repeats_gate: int
    undecodable: int
    refused: int
    """Corrections that the gate could not apply."""
    replaced: int

    @property
    def repeats(self) -> int:
        """Return how many events the log repeats: in the live partitions by their windows, and at the gate."""
        return self.repeats_live + self.repeats_gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Conservation:
    """Events in against what became of them; `residue` is what nobody accounts for."""

    log: Ledger
    rows: int
    rows_twice: int
    set_aside: int = 0
    """Events that the store refused for what they hold: rows of rejected_events."""

    @property
    def residue(self) -> int:
        """Return the events that are neither rows, nor set aside, repeats, undecodable or refused; negative: more rows than events."""
        stored = self.rows + self.set_aside - self.log.replaced
        return self.log.published - stored - self.log.repeats - self.log.undecodable - self.log.refused

    @property
    def holds(self) -> bool:
        """Return whether nothing is lost and nothing stands twice."""
        return self.residue == 0 and self.rows_twice == 0


def count_topics(settings: Settings, topics: Sequence[Topic] = (*LIVE.values(), HISTORY, ADMITTED)) -> dict[str, Count]:
    """Return topic (without prefix) -> count of all that is committed in it now. Raises UnavailableError."""
    return {topic.name: _count(settings, topic) for topic in topics}


def _count(settings: Settings, topic: Topic) -> Count:
    count, distinct = Count(), set()
    seen: dict[int, dict[str, int]] = defaultdict(dict)
    reached: dict[int, int] = defaultdict(int)
    for partition, appended, sent, key, value in _records(settings, topic):
        count.records += 1
        bound = appended if sent is None or not sent.isdigit() else min(appended, int(sent) + SLACK_MS)
        reached[partition] = now = max(reached[partition], bound)
        if value is None and key == TICK:
            count.ticks += 1
            continue
        try:
            event = decode_as(Kind.EVENT, value)
        except UndecodableError:
            count.undecodable += 1
            continue
        name = event["event_id"]
        count.replaced += event["retract"] and event["traits"]["reason"] == REPLACED
        distinct.add(name)
        before = seen[partition].get(name)
        window = topic.repeat_window_ms
        if window is not None and before is not None and now - before <= window:
            count.repeats += 1
        else:
            count.first += 1
        seen[partition][name] = now
    count.distinct = len(distinct)
    return count


def _records(settings: Settings, topic: Topic) -> Iterator[tuple[int, int, bytes | None, bytes | None, bytes | None]]:
    """Yield partition, append time (ms), header `sent`, key and value of every committed record, in offset order by partition."""
    try:
        consumer = KafkaConsumer(
            **reaching(settings.kafka_bootstrap), isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", max_partition_fetch_bytes=4 << 20,
        )  # fmt: skip
        try:
            name = settings.topic_prefix + topic.name
            partitions = [TopicPartition(name, i) for i in range(topic.partitions)]
            ends = consumer.end_offsets(partitions)
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            left = {tp for tp in partitions if ends[tp] > 0}
            while left:
                for tp, records in consumer.poll(timeout_ms=POLL_MS).items():
                    for one in records:
                        if one.offset < ends[tp]:
                            sent = next((value for header, value in one.headers or () if header == "sent"), None)
                            yield tp.partition, one.timestamp, sent, one.key, one.value
                left = {tp for tp in left if consumer.position(tp) < ends[tp]}
        finally:
            consumer.close()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{broker_of(settings.kafka_bootstrap)}: {error}") from error


def ledger(settings: Settings) -> Ledger:
    """Return what the log holds now; reads it once. Raises UnavailableError."""
    counts = count_topics(settings)
    live, history, admitted = [counts[one.name] for one in LIVE.values()], counts[HISTORY.name], counts[ADMITTED.name]
    refused = _refused(settings)
    return Ledger(
        published=sum(one.records - one.ticks for one in (*live, history)),
        repeats_live=sum(one.repeats for one in live),
        # an id that is admitted twice is no repeat held back: its second row is a row too many
        repeats_gate=history.first + history.repeats - (admitted.distinct - admitted.replaced) - refused,
        undecodable=sum(one.undecodable for one in (*live, history)),
        refused=refused,
        replaced=admitted.replaced,
    )


def _refused(settings: Settings) -> int:
    """Return how many corrections the gate refused."""
    found = 0
    for _, _, _, _, value in _records(settings, REJECTED):
        record = decode_as(Kind.REJECTED, value)
        found += record["stage"] == "gate" and record["reason"] in NOT_APPLIED
    return found


def recount_repeats(settings: Settings) -> int:
    """Return how many events the log repeats. Raises UnavailableError."""
    return ledger(settings).repeats


def conservation(settings: Settings) -> Conservation:
    """Return the balance of events published and stored. Settle first: what is under way counts as residue."""
    log = ledger(settings)
    try:
        with connect(settings) as client:
            rows, twice = client.execute(
                "SELECT count(), count() - uniqExact(topic_id, `partition`, `offset`) FROM feedback_events"
            )[0]
            aside = client.execute(
                "SELECT uniqExact(topic_id, `partition`, `offset`) FROM rejected_events"
                f" WHERE {REFUSED} AND topic IN %(topics)s",
                {"topics": tuple(topic.name for topic in EVENT_TOPICS)},
            )[0][0]
    except PASSING as error:
        raise unavailable(error) from error
    return Conservation(log=log, rows=rows, rows_twice=twice, set_aside=aside)
