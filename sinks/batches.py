"""One batch of a sink: what was made of the records, how it is stored under its vector, and what is told of it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from sinks.aside import REFUSED, refused_rows
from sinks.ledger_lines import LEDGER_TABLE
from sinks.making import Made, Take
from sinks.progress import Progress
from sinks.quota import Quota
from sinks.ranges import Range, token
from sinks.refusals import Refusal
from sinks.rows import Rows
from sinks.storing import Doubt, RowPlace, stored_places
from sinks.tables import REJECTED_TABLE
from sinks.work import Work

LATENCY_SAMPLES = 500
EVENTS = "feedback_events"


class Batch(NamedTuple):
    """What was made of the records taken, those records, and how much of them may be set aside."""

    made: Made
    takes: list[Take]
    quota: Quota
    refused: list[Refusal]
    """Records that the store has refused so far."""


async def store_batch(work: Work, batch: Batch, vector: Sequence[Range], *, doubt: Doubt) -> None:
    """Insert the rows, and beside them, under the same vector, what is set aside, and last the ledger's lines.

    Raises TooManyRejectedError before anything is set aside.
    """
    inserter, name, made = work.inserter, work.table.name, batch.made
    if made.rows is not None:
        aside: set[RowPlace] = set()
        if doubt is not Doubt.NONE:
            aside = await inserter.ask(lambda client: stored_places(client, REJECTED_TABLE, vector, REFUSED))
            batch.quota.add(sorted(aside))
        refused = await inserter.store(
            name, made.rows, vector, token(name, vector), doubt=doubt, aside=aside,
            found=lambda one: batch.quota.refused(one.place), took=batch.quota.taken,
            cut=lambda: work.kill.reached("sink.mid_bisection"),
        )  # fmt: skip
        batch.refused.extend(refused)
        if refused:
            rows = refused_rows(refused, batch.takes, work.seals)
            await inserter.store(
                REJECTED_TABLE, rows, vector, f"{token(REJECTED_TABLE, vector)}:refused", doubt=Doubt.REPLAYED
            )
            for topic in sorted(set(rows.columns["source"])):
                many = rows.columns["source"].count(topic)
                work.telemetry.count("set_aside_total", many, table=name, topic=topic)
    for other, others in ((REJECTED_TABLE, made.rejected), (LEDGER_TABLE, made.ledger)):
        if others is not None:
            await inserter.store(other, others, vector, token(other, vector), doubt=doubt)


def tell_batch(
    work: Work, consumer: AIOKafkaConsumer, progress: Mapping[TopicPartition, Progress], batch: Batch
) -> None:
    """Count what became of a batch that is committed, and how far the sink is behind."""
    telemetry, name, now_ms, made = work.telemetry, work.table.name, work.clock(), batch.made
    for topic, repeats in made.repeats.items():
        telemetry.count("repeats_total", repeats, stage="sink", topic=topic)
    for topic, bad in made.undecodable.items():
        telemetry.count("undecodable_total", bad, stage="sink", topic=topic)
    out = {one.place for one in batch.refused}
    for table, rows in ((name, made.rows), (REJECTED_TABLE, made.rejected)):
        if rows is not None:
            stored = sum(place not in out for place in rows.places()) if out else len(rows)
            telemetry.count("inserted_rows_total", stored, table=table)
    if made.rows is not None and name == EVENTS:
        _latencies(work, made.rows, now_ms)
    work.ownership.check()
    for tp, one in progress.items():
        label = {"topic": one.topic.name, "partition": str(one.partition)}
        end = consumer.last_stable_offset(tp)
        if end is not None:
            telemetry.set("lag_records", max(0, end - one.committed), stage="sink", **label)
        if one.arrived:
            telemetry.set("lag_seconds", (now_ms - one.arrived) / 1000, stage="sink", **label)


def _latencies(work: Work, rows: Rows, now_ms: int) -> None:
    """Observe live rows from reception to storage; of a large insert evenly spaced ones."""
    every = max(1, len(rows) // LATENCY_SAMPLES)
    for lane, received in zip(rows.columns["lane"][::every], rows.columns["received_at"][::every], strict=True):
        if lane == "live":
            work.telemetry.observe("capture_to_row_seconds", max(0, now_ms - received) / 1000)
