"""Event records in bulk: Avro bytes of many records -> one Arrow table, and which of them are no events.

pyruhvro decodes a list of records at once, but fails as a whole on a bad one, accepts trailing bytes and may panic. So each
record gets an end mark that must come out again, and a list that fails is halved until the bad record stands alone; there
schemas.codec decides, as it does for everybody who reads events.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from schemas.codec import HEADER_BYTES, Kind, decode_as, schema_text
from schemas.errors import UndecodableError

HEADER = bytes(1) + int(Kind.EVENT).to_bytes(4, "big")
END = 0x4B3C_96A1_0F5E_D287
_END_FIELD = "end_mark"


class Decoded(NamedTuple):
    """`events`: a row for each event, in record order; `good`: their record numbers; `bad`: the others with their errors."""

    events: pa.Table
    good: list[int]
    bad: list[tuple[int, UndecodableError]]


def decode_events(values: Sequence[bytes | None]) -> Decoded:
    """Return the events among the values of records (ticks left out by the caller)."""
    tables: list[pa.Table] = []
    bad: list[tuple[int, UndecodableError]] = []
    _decode(values, 0, tables, bad)
    left_out = {at for at, _ in bad}
    good = [at for at in range(len(values)) if at not in left_out] if bad else list(range(len(values)))
    return Decoded(pa.concat_tables(tables) if tables else _arrow_schema().empty_table(), good, bad)


def _decode(
    values: Sequence[bytes | None], at: int, tables: list[pa.Table], bad: list[tuple[int, UndecodableError]]
) -> None:
    if not values:
        return
    table = _decode_all(values)
    if table is not None:
        tables.append(table)
    elif len(values) > 1:
        half = len(values) // 2
        _decode(values[:half], at, tables, bad)
        _decode(values[half:], at + half, tables, bad)
    else:
        try:
            tables.append(pa.Table.from_pylist([decode_as(Kind.EVENT, values[0])], schema=_arrow_schema()))
        except UndecodableError as error:
            bad.append((at, error))
        except (pa.ArrowException, OverflowError, ValueError) as error:
            bad.append((at, UndecodableError("not_storable", f"EVENT: {error}")))


def _decode_all(values: Sequence[bytes | None]) -> pa.Table | None:
    """Return the table of records that are all well-formed events, else None."""
    mark = _zigzag(END)
    bodies = [one[HEADER_BYTES:] + mark for one in values if one is not None and one.startswith(HEADER)]
    if len(bodies) != len(values):
        return None
    if b"".join(values).find(mark) >= 0:  # type: ignore[arg-type]  # none of them is None
        return None
    try:
        batch = pyruhvro.deserialize_array(bodies, _schema())
    except ValueError:
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None
    table = pa.Table.from_batches([batch])
    if not pc.all(pc.equal(table.column(_END_FIELD), END)).as_py():
        return None
    events = table.drop_columns([_END_FIELD]).cast(_arrow_schema())
    try:
        events.validate(full=True)  # pyruhvro lets strings through that are no UTF-8
    except pa.ArrowInvalid:
        return None
    return events


def _zigzag(number: int) -> bytes:
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


@cache
def _schema() -> str:
    """Return the event schema as pyruhvro can read it: bytes as strings (same on the wire), and the end mark last."""
    schema = json.loads(schema_text(Kind.EVENT))
    for field in schema["fields"]:
        field["type"] = _readable(field["type"])
    schema["fields"].append({"name": _END_FIELD, "type": "long"})
    return json.dumps(schema)


def _readable(kind: Any) -> Any:
    if isinstance(kind, list):
        return [_readable(one) for one in kind]
    return "string" if kind == "bytes" else kind


@cache
def _arrow_schema() -> pa.Schema:
    found = pyruhvro.avro_to_arrow_schema(_schema())
    fields = [one for one in found if one.name != _END_FIELD]
    return pa.schema([one.with_type(pa.binary()) if one.name == "text_ciphertext" else one for one in fields])
