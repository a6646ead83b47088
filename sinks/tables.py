"""The registry of the tables that a sink fills: topics, and how records become rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.codec import Kind, decode_as
from schemas.errors import UndecodableError
from schemas.topics import ALARMS, EVENT_TOPICS, IMMEDIATE, LEDGER, READINGS, REJECTED, TALLIES, Topic
from sinks.ledger_lines import LEDGER_TABLE, line_rows
from sinks.making import Ids, Made, Make, Memory, Take, one_row_each
from sinks.making_events import event_ids, make_events
from sinks.making_tallies import make_tallies
from sinks.rows import Rows, reading_rows, rejected_rows, transition_rows

REJECTED_TABLE = "rejected_events"
BATCH_BYTES = 32 << 20
BLOCK_BATCH_BYTES = 8 << 20
"""Bytes of blocks in one vector: even of cells alone they stay below what one insert may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `windows`: topic -> W of its repeat filter, with `ids` giving the ids of records for the warm-up.

    `counts`: whether the ledger says what became of the records of its topics.
    """

    name: str
    topics: tuple[Topic, ...]
    make: Make
    windows: Mapping[str, int] = field(default_factory=dict)
    ids: Ids | None = None
    batch_bytes: int = BATCH_BYTES
    counts: bool = True


def _make_rejected(takes: Sequence[Take], memory: Memory) -> Made:
    """Return the rows of rejected_events: what others rejected, and what is no rejection either."""
    made = one_row_each(Kind.REJECTED, rejected_rows)(takes, memory)
    if made.rows is not None and made.rejected is not None:
        columns = made.rejected.columns
        made.rows = Rows({name: values + columns[name] for name, values in made.rows.columns.items()})
        made.rejected = None
    return made


def transition_ids(values: Sequence[bytes | None]) -> tuple[list[int], list[str]]:
    """Return positions and ids of the transitions among values."""
    at, ids = [], []
    for i, value in enumerate(values):
        try:
            ids.append(decode_as(Kind.TRANSITION, value)["transition_id"])
        except UndecodableError:
            continue
        at.append(i)
    return at, ids


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            name="feedback_events", topics=EVENT_TOPICS, make=make_events, ids=event_ids,
            windows={one.name: one.repeat_window_ms for one in EVENT_TOPICS if one.repeat_window_ms is not None},
        ),
        Table(name="tallies", topics=(TALLIES,), make=make_tallies, batch_bytes=BLOCK_BATCH_BYTES, counts=False),
        Table(name="readings", topics=(READINGS,), make=one_row_each(Kind.READING, reading_rows)),
        Table(
            name="alarm_transitions", topics=(ALARMS, IMMEDIATE), ids=transition_ids,
            make=one_row_each(Kind.TRANSITION, transition_rows, "transition_id"),
            windows={one.name: one.repeat_window_ms or one.retention_ms for one in (ALARMS, IMMEDIATE)},
        ),
        Table(name=REJECTED_TABLE, topics=(REJECTED,), make=_make_rejected),
        Table(name=LEDGER_TABLE, topics=(LEDGER,), make=one_row_each(Kind.LEDGER, line_rows), counts=False),
    )
}  # fmt: skip
