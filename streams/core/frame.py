"""The frame that is counted: the fields of the envelope that decide what an event counts for, one row an event."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

_ANSWER = pl.Struct({
    "question": pl.String, "question_version": pl.String, "score": pl.Float64, "scale_min": pl.Float64,
    "scale_max": pl.Float64, "derived_by": pl.String,
})  # fmt: skip
_TRAITS = pl.Struct({
    "backfill": pl.Boolean, "second_hand": pl.Boolean, "probe": pl.Boolean, "non_human": pl.Boolean, "reason": pl.String,
})  # fmt: skip
_ENTRY = pl.Struct({"key": pl.String, "value": pl.String})
ENVELOPE_SCHEMA = pl.Schema({
    "event_id": pl.String(), "channel": pl.String(), "kind": pl.String(), "direction": pl.String(),
    "touchpoint": pl.String(), "occurred_at": pl.Int64(), "received_at": pl.Int64(), "answers": pl.List(_ANSWER),
    "traits": _TRAITS, "retract": pl.Boolean(), "product": pl.String(), "attributes": pl.List(_ENTRY),
    "subject": pl.String(), "conversation_ref": pl.String(), "corrects": pl.String(),
})  # fmt: skip
"""What is taken over as it stands."""
ORDER_SCHEMA = pl.Schema({"amount_minor": pl.Int64(), "currency": pl.String()})
"""What is taken out of the order."""
FRAME_SCHEMA = pl.Schema({**ENVELOPE_SCHEMA, **ORDER_SCHEMA})
_OPTIONAL: Mapping[str, Any] = {
    "retract": False, "product": None, "attributes": {}, "subject": None, "conversation_ref": None, "corrects": None,
}  # fmt: skip


def frame_of(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Return decoded events as the frame that is counted; other fields are left out."""
    arrow = pl.DataFrame(schema=FRAME_SCHEMA).to_arrow().schema
    columns = {
        name: pa.array([one[name] for one in records], arrow.field(name).type)
        for name in ENVELOPE_SCHEMA
        if name not in {"answers", "traits", *_OPTIONAL}
    }
    for name in _OPTIONAL.keys() - {"attributes"}:
        columns[name] = pa.array([one.get(name, _OPTIONAL[name]) for one in records], arrow.field(name).type)
    orders = [one.get("order") or {} for one in records]
    for name in ORDER_SCHEMA:
        columns[name] = pa.array([one.get(name) for one in orders], arrow.field(name).type)
    columns["traits"] = _structs([one["traits"] for one in records], arrow.field("traits").type)
    columns["answers"] = _lists([one["answers"] for one in records], arrow.field("answers").type)
    entries = [
        [{"key": key, "value": value} for key, value in (one.get("attributes") or {}).items()] for one in records
    ]
    columns["attributes"] = _lists(entries, arrow.field("attributes").type)
    frame = pl.from_arrow(pa.table(columns))
    assert isinstance(frame, pl.DataFrame)
    return frame.select(*FRAME_SCHEMA)


def _lists(records: Sequence[Sequence[Mapping[str, Any]]], kind: Any) -> Any:
    ends = np.cumsum([0, *map(len, records)], dtype=np.int64)
    flat = [one for several in records for one in several]
    return pa.LargeListArray.from_arrays(ends, _structs(flat, kind.value_type))


def _structs(records: Sequence[Mapping[str, Any]], kind: Any) -> Any:
    fields = [kind.field(i) for i in range(kind.num_fields)]
    columns = [pa.array([one.get(field.name) for one in records], field.type) for field in fields]
    return pa.StructArray.from_arrays(columns, fields=fields)
