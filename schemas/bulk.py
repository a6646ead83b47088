"""Event records in bulk: Avro bytes of many records -> one Arrow table, and which of them are no events.

One component for stage 1, the sinks and the gate, so that they always agree on what an event is.

pyruhvro decodes a list of records at once, but fails as a whole on a bad one, accepts trailing bytes and text that is no UTF-8,
and may panic. So each record gets an end mark that must come out again, text is checked, and a list that fails is halved until
few are left; of those schemas.codec decides one by one, as it does for everybody who reads events.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from schemas.codec import HEADER_BYTES, Kind, decode_as, encode, header, schema_text
from schemas.errors import UndecodableError

END = -0x2B6D_79E3_5A11_C0DE
_END_FIELD = "end_mark"
_SEALED = "text_ciphertext"
FEW = 128
"""Records that are decoded one by one when they fail together; a call for fewer costs more than that."""


def zigzag(number: int) -> bytes:
    """Return the Avro encoding of a long."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    out.append(left)
    return bytes(out)


END_BYTES = zigzag(END)
Bad = list[tuple[int, UndecodableError]]


class Decoded(NamedTuple):
    """`events`: a row for each event, in record order; `good`: their record numbers; `bad`: the others with their errors."""

    events: pa.Table
    good: list[int]
    bad: Bad


def decode_events(values: Sequence[bytes | None]) -> Decoded:
    """Return the events among the values of records (ticks left out by the caller)."""
    tables: list[pa.Table] = []
    bad: Bad = []
    framing = header(Kind.EVENT)
    framed = []
    for at, one in enumerate(values):
        if one is not None and one.startswith(framing):
            framed.append((at, one))
        else:
            _rewritten(at, one, framed, bad)
    _decode(framed, tables, bad)
    bad.sort(key=lambda one: one[0])
    left_out = {at for at, _ in bad}
    good = [at for at in range(len(values)) if at not in left_out] if bad else list(range(len(values)))
    return Decoded(pa.concat_tables(tables) if tables else arrow_schema().empty_table(), good, bad)


def _decode(framed: Sequence[tuple[int, bytes]], tables: list[pa.Table], bad: Bad) -> None:
    if not framed:
        return
    table = _decode_all([one for _, one in framed])
    if table is not None:
        tables.append(table)
    elif len(framed) <= FEW:
        for at, one in framed:
            _decode_one(at, one, tables, bad)
    else:
        half = len(framed) // 2
        _decode(framed[:half], tables, bad)
        _decode(framed[half:], tables, bad)


def _rewritten(at: int, value: bytes | None, framed: list[tuple[int, bytes]], bad: Bad) -> None:
    """Write an event of another version of the schema anew by today's; what has none or a foreign one is no event."""
    try:
        framed.append((at, encode(Kind.EVENT, decode_as(Kind.EVENT, value))))
    except UndecodableError as error:
        bad.append((at, error))


def _decode_one(at: int, value: bytes | None, tables: list[pa.Table], bad: Bad) -> None:
    try:
        tables.append(pa.Table.from_pylist([decode_as(Kind.EVENT, value)], schema=arrow_schema()))
    except UndecodableError as error:
        bad.append((at, error))
    except (pa.ArrowException, OverflowError, ValueError) as error:
        bad.append((at, UndecodableError("not_storable", f"EVENT: {error}")))


def _decode_all(values: Sequence[bytes]) -> pa.Table | None:
    """Return the table of records that are all well-formed events, else None."""
    if b"".join(values).find(END_BYTES) >= 0:
        return None
    bodies = [one[HEADER_BYTES:] + END_BYTES for one in values]
    try:
        batch = pyruhvro.deserialize_array(bodies, _schema())
    except ValueError:
        return None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        return None
    # sealed bytes were only named a string to be read; they are none, and are not checked to be one
    batch = batch.set_column(_sealed_at(), _SEALED, batch.column(_sealed_at()).cast(pa.binary()))
    try:
        batch.validate(full=True)  # pyruhvro takes any bytes for text; polars would crash on them
    except pa.ArrowInvalid:
        return None
    table = pa.Table.from_batches([batch])
    if not pc.all(pc.equal(table.column(_END_FIELD), END)).as_py():
        return None
    return table.drop_columns([_END_FIELD]).cast(arrow_schema())


@cache
def _sealed_at() -> int:
    return [field["name"] for field in json.loads(_schema())["fields"]].index(_SEALED)


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
def arrow_schema() -> pa.Schema:
    """Return the columns of decoded events."""
    found = pyruhvro.avro_to_arrow_schema(_schema())
    fields = [one for one in found if one.name != _END_FIELD]
    return pa.schema([one.with_type(pa.binary()) if one.name == _SEALED else one for one in fields])
