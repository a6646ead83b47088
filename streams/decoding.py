"""Event records in bulk: Avro bytes of many records -> one frame, and which of them are no events.

pyruhvro decodes a list of records at once, but fails as a whole on a bad one, accepts trailing bytes and text that is no UTF-8,
and may panic. So each record gets an end mark that must come out again, text is checked, and a list that fails is halved until
few are left; of those schemas.codec decides one by one. A test holds that both agree on every record.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyruhvro
from numpy.typing import NDArray

from schemas.codec import HEADER_BYTES, Kind, decode_as, schema_text
from schemas.errors import UndecodableError
from streams.core.counting import FRAME_SCHEMA, frame_of

HEADER = bytes(1) + int(Kind.EVENT).to_bytes(4, "big")
END = -0x2B6D_79E3_5A11_C0DE
_END_FIELD = "end_mark"
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


class Decoded(NamedTuple):
    """`frame`: a row for each event, in the order of the records; `good`: by record, whether it is an event."""

    frame: pl.DataFrame
    good: NDArray[np.bool_]


def decode_events(values: Sequence[bytes | None]) -> Decoded:
    """Return the events among the values of records (ticks left out by the caller)."""
    framed = [one for one in values if one is not None and one.startswith(HEADER)]
    good = np.ones(len(framed), dtype=np.bool_)
    frames: list[pl.DataFrame] = []
    _decode(framed, 0, frames, good)
    if len(framed) < len(values):
        among = np.array([one is not None and one.startswith(HEADER) for one in values], dtype=np.bool_)
        among[among] = good
        good = among
    if not frames:
        return Decoded(frame_of([]), good)
    return Decoded(frames[0] if len(frames) == 1 else pl.concat(frames), good)


def _decode(values: Sequence[bytes], at: int, frames: list[pl.DataFrame], good: NDArray[np.bool_]) -> None:
    if not values:
        return
    frame = _decode_all(values)
    if frame is not None:
        frames.append(frame)
    elif len(values) <= FEW:
        frames.append(_decode_each(values, at, good))
    else:
        half = len(values) // 2
        _decode(values[:half], at, frames, good)
        _decode(values[half:], at + half, frames, good)


def _decode_each(values: Sequence[bytes], at: int, good: NDArray[np.bool_]) -> pl.DataFrame:
    records = []
    for here, value in enumerate(values, at):
        try:
            records.append(decode_as(Kind.EVENT, value))
        except UndecodableError:
            good[here] = False
    return frame_of(records)


def _decode_all(values: Sequence[bytes]) -> pl.DataFrame | None:
    """Return the frame of records that are all well-formed events, else None."""
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
    try:
        batch.validate(full=True)  # pyruhvro takes any bytes for text; polars would crash on them
    except pa.ArrowInvalid:
        return None
    table = pa.Table.from_batches([batch])
    if (table.column(_END_FIELD).to_numpy() != END).any():
        return None
    frame = pl.from_arrow(table.select(list(FRAME_SCHEMA)))
    assert isinstance(frame, pl.DataFrame)
    return frame.cast(FRAME_SCHEMA) if frame.schema != FRAME_SCHEMA else frame


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
