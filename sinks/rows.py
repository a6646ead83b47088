"""Records -> columns, pure: what a row of each table says, and where its record stands in the log. Times are integers, in ms."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blocks import from_record
from schemas.errors import InvalidEventError, UndecodableError
from schemas.event import FeedbackEvent
from schemas.outputs import digest

RAW_BYTES = 64 * 1024
Values = list[Any]
Record = dict[str, Any]


class Place(NamedTuple):
    """Where a record stands: topic without prefix, topic id, partition, offset, and its arrived time in ms."""

    topic: str
    topic_id: str
    partition: int
    offset: int
    arrived_at: int


PLACE_COLUMNS = Place._fields


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one table as columns of equal length. A column may be left out: the table's default stands for it."""

    columns: dict[str, Values]

    def __len__(self) -> int:
        return len(self.columns["offset"])

    def take(self, at: Sequence[int]) -> "Rows":
        """Return the rows at these positions."""
        return Rows({name: [values[i] for i in at] for name, values in self.columns.items()})

    def places(self) -> list[tuple[str, int, int]]:
        """Return (topic id, partition, offset) of each row."""
        return list(zip(self.columns["topic_id"], self.columns["partition"], self.columns["offset"], strict=True))


def place_columns(places: Sequence[Place]) -> dict[str, Values]:
    """Return the columns that say where the records of rows stand."""
    return {name: [place[i] for place in places] for i, name in enumerate(PLACE_COLUMNS)}


_TEXTS = (
    "event_id", "channel", "kind", "source", "subject", "conversation_ref", "in_reply_to", "direction", "survey_ref",
    "touchpoint", "product", "agent_ref", "text", "lang", "data_key_id", "consent", "corrects",
)  # fmt: skip
_ORDER_NUMBERS = ("amount_minor", "items", "promised_at", "delivered_at")
_NUMBERS = frozenset(f"order_{name}" for name in _ORDER_NUMBERS)
_ANSWER = ("question", "question_version", "score", "scale_min", "scale_max", "derived_by")
_FLAGS = ("backfill", "second_hand", "probe", "non_human")


def event_rows(events: pa.Table, columns: dict[str, Values]) -> Rows:
    """Return the rows of decoded events; `columns` holds their places (as `place_columns` gives them) and lanes."""
    events = events.combine_chunks()
    columns = dict(columns)
    for name in _TEXTS:
        _put(columns, name, _text(events.column(name)))
    columns["occurred_at"] = events.column("occurred_at").to_pylist()
    columns["received_at"] = events.column("received_at").to_pylist()
    cipher = events.column("text_ciphertext")
    if cipher.null_count < len(cipher):
        columns["text_ciphertext"] = [one or b"" for one in cipher.to_pylist()]
    order = events.column("order")
    if order.null_count < len(order):
        for name in ("ref", "currency"):
            _put(columns, f"order_{name}", _text(pc.struct_field(order, name)))
        for name in _ORDER_NUMBERS:
            _put(columns, f"order_{name}", pc.struct_field(order, name).to_pylist())
    _put(columns, "also_known_as", _lists(events.column("also_known_as"), ())["item"])
    for name, values in _lists(events.column("answers"), _ANSWER).items():
        columns[f"answer_{name}"] = values
    _put(columns, "attributes", [dict(one) for one in events.column("attributes").to_pylist()])
    _put(columns, "retract", events.column("retract").to_pylist())
    traits = events.column("traits")
    for name in _FLAGS:
        _put(columns, name, pc.struct_field(traits, name).to_pylist())
    _put(columns, "trait_reason", _text(pc.struct_field(traits, "reason")))
    return Rows(columns)


def _put(columns: dict[str, Values], name: str, values: Values | None) -> None:
    """Set a column unless its default says the same of every row: '', False, an empty list, or NULL, but never the number 0."""
    if values is None:
        return
    if any(values) or (name in _NUMBERS and any(one is not None for one in values)):
        columns[name] = values


def _text(column: pa.ChunkedArray) -> Values | None:
    """Return strings, '' for null; None if all are null."""
    if column.null_count == len(column):
        return None
    values: Values = column.fill_null("").to_pylist() if column.null_count else column.to_pylist()
    return values


def _lists(column: pa.ChunkedArray, fields: Sequence[str]) -> dict[str, Values]:
    """Return a column of lists as Python lists: one column for each field of its structs, or `item`."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    flat = array.flatten()
    if not len(flat) and fields:
        return {}
    start = array.offsets[0].as_py() if len(array) else 0
    ends = [one - start for one in array.offsets.to_pylist()]
    parts = {name: flat.field(name) for name in fields} if fields else {"item": flat}
    out = {}
    for name, values in parts.items():
        plain = values.fill_null("").to_pylist() if values.null_count else values.to_pylist()
        out[name] = [plain[a:b] for a, b in pairwise(ends)]
    return out


_READING = (
    "metric", "metric_version", "dimension", "key", "window", "window_end", "as_of", "revision", "status", "quality", "n",
    "value", "lo", "hi", "level", "method", "bins", "catalogue_hash", "seq",
)  # fmt: skip
_TRANSITION = (
    "transition_id", "alarm_id", "sequence", "rule", "definition_hash", "metric", "dimension", "key", "direction",
    "severity", "state", "pane", "first_pane", "statistic", "weight", "p0", "p1", "n", "bad", "change_pane",
    "occurred_first", "occurred_last", "event_id", "actor", "note", "evidence", "seq",
)  # fmt: skip
_REJECTED = (
    "rejected_id", "stage", "channel", "source", "reason", "field", "detail", "raw", "raw_bytes", "received_at", "replays",
)  # fmt: skip
_BLANK = {"channel", "event_id"}
"""Strings that may be null in the record and are '' in the table."""


def plain_rows(names: Iterable[str], records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return one row a record, its fields under their own names."""
    columns = {name: [one[name] for one in records] for name in names}
    for name in _BLANK & columns.keys():
        columns[name] = [one or "" for one in columns[name]]
    return Rows({**columns, **place_columns(places)})


def reading_rows(records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return the rows of readings."""
    return plain_rows(_READING, records, places)


def transition_rows(records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return the rows of alarm transitions."""
    return plain_rows(_TRANSITION, records, places)


def rejected_rows(records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return the rows of rejected inputs."""
    return plain_rows(_REJECTED, records, places)


def undecodable_record(value: bytes | None, place: Place, channel: str, error: UndecodableError) -> Record:
    """Return the rejection of a record that is none of ours; its id follows from its place, so a replay gives the same row."""
    raw = value or b""
    return {
        "rejected_id": digest(place.topic_id, place.partition, place.offset), "stage": "sink", "channel": channel,
        "source": place.topic, "reason": error.reason, "field": "", "detail": error.detail, "raw": raw[:RAW_BYTES],
        "raw_bytes": len(raw), "received_at": place.arrived_at, "replays": 0,
    }  # fmt: skip


def refused_record(event: FeedbackEvent, error: InvalidEventError) -> Record:
    """Return the rejection of an event that the gate cannot apply; the same event, the same rejection."""
    raw = msgspec.json.encode(event)
    return {
        "rejected_id": digest("gate", event.event_id), "stage": "gate", "channel": event.channel, "source": event.source,
        "reason": error.reason, "field": error.field, "detail": error.plain_detail, "raw": raw[:RAW_BYTES],
        "raw_bytes": len(raw), "received_at": event.received_at, "replays": 0,
    }  # fmt: skip


_BLOCK = {
    "source_topic": "topic", "source_topic_id": "topic_id", "source_partition": "partition", "from_pane": "from_pane",
    "to_pane": "to_pane", "pane_ms": "pane_ms", "block_arrived_at": "arrived_ms", "next_offset": "next_offset",
    "catalogue_hash": "catalogue_hash", "events": "events", "repeats": "repeats", "ticks": "ticks", "undecodable": "undecodable",
}  # fmt: skip
_SERIES = ("metric", "dimension", "key", "stratum")
_CELL = ("bin", "fresh", "count", "sum")


def tally_rows(records: Sequence[Record], places: Sequence[Place]) -> Rows:
    """Return the rows of blocks: one a cell and bin, beside the fields of its block. Raises UndecodableError."""
    columns: dict[str, Values] = {
        name: [] for name in (*_BLOCK, *_SERIES, "minute", *_CELL, *PLACE_COLUMNS)
    }  # fmt: skip
    for record, place in zip(records, places, strict=True):
        block = from_record(record)
        cells, size = block.cells, len(block.cells)
        for name, field in _BLOCK.items():
            columns[name].extend([getattr(block, field)] * size)
        series = cells.series_ix.tolist()
        for i, name in enumerate(_SERIES):
            names = [one[i] for one in cells.series]
            columns[name].extend([names[ix] for ix in series])
        columns["minute"].extend((cells.minute.astype("int64") * 60).clip(0, 2**32 - 1).tolist())
        for name in _CELL:
            columns[name].extend(getattr(cells, name).tolist())
        for name, value in zip(PLACE_COLUMNS, place, strict=True):
            columns[name].extend([value] * size)
    return Rows(columns)


MakeRows = Callable[[Sequence[Record], Sequence[Place]], Rows]
