"""What of a message is counted, and the frame in which the metrics and their dimensions read it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from schemas.metrics import ATTRIBUTE
from streams.core.canonical import Ints
from streams.core.columns import Coded, Columns
from streams.core.frame import FRAME_SCHEMA

PLAIN = ("channel", "touchpoint", "product")
Texts = NDArray[np.object_]
_ENTRIES = pl.DataFrame(schema={"attributes": FRAME_SCHEMA["attributes"]}).to_arrow().schema.field("attributes").type


def attributes_of(dimensions: Iterable[str]) -> list[str]:
    """Return those of some columns of dimensions that are attributes."""
    return sorted({one for one in dimensions if one.startswith(ATTRIBUTE)})


def texts_of(columns: Columns, rows: Ints, attributes: Sequence[str]) -> dict[str, Texts]:
    """Return the texts of rows by the names of their columns: PLAIN and attributes; None where there is none."""
    found: dict[str, Coded] = {name: getattr(columns, name) for name in PLAIN}
    found |= {name: columns.attribute(name.removeprefix(ATTRIBUTE)) for name in attributes}
    return {name: np.array(one.titles, dtype=np.object_)[one.code[rows]] for name, one in found.items()}


def frame_of_told(texts: Mapping[str, Texts], numbers: Mapping[str, NDArray[Any]]) -> pl.DataFrame:
    """Return texts, from `texts_of`, and columns of numbers or flags as a frame to be counted."""
    columns = [pl.Series(name, texts[name].tolist(), dtype=pl.String) for name in PLAIN]
    columns += [pl.Series(name, values) for name, values in numbers.items()]
    attributes = {name.removeprefix(ATTRIBUTE): values for name, values in texts.items() if name not in PLAIN}
    if attributes:
        columns.append(pl.Series("attributes", _entries(attributes)))
    return pl.DataFrame(columns)


def _entries(attributes: Mapping[str, Texts]) -> Any:
    several = np.column_stack(list(attributes.values()))
    key, value = _ENTRIES.value_type
    values = pa.array(several.ravel().tolist(), value.type)
    held = values.is_valid().to_numpy(zero_copy_only=False).reshape(several.shape)
    keys = pa.array(list(attributes), key.type).take(pa.array(np.nonzero(held)[1]))
    ends = np.concatenate(([0], np.cumsum(held.sum(axis=1))))
    return pa.LargeListArray.from_arrays(
        ends, pa.StructArray.from_arrays([keys, values.drop_null()], fields=[key, value])
    )
