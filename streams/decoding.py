"""Event records in bulk -> the frame that is counted, and which of the records are events."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import bulk
from streams.core.frame import ENVELOPE_SCHEMA, FRAME_SCHEMA, ORDER_SCHEMA


class Decoded(NamedTuple):
    """`frame`: a row for each event, in the order of the records; `good`: by record, whether it is an event."""

    frame: pl.DataFrame
    good: NDArray[np.bool_]


def decode_events(values: Sequence[bytes | None]) -> Decoded:
    """Return the events among the values of records (ticks left out by the caller)."""
    decoded = bulk.decode_events(values)
    good = np.zeros(len(values), dtype=np.bool_)
    good[decoded.good] = True
    counted, order = decoded.events.select(list(ENVELOPE_SCHEMA)), decoded.events.column("order")
    for name in ORDER_SCHEMA:
        counted = counted.append_column(name, pc.struct_field(order, name))
    frame = pl.from_arrow(counted)
    assert isinstance(frame, pl.DataFrame)
    return Decoded(frame.cast(FRAME_SCHEMA) if frame.schema != FRAME_SCHEMA else frame, good)
