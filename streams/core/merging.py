"""The sum of cells."""

import numpy as np

from schemas.blocks import EMPTY, Cells, Series
from streams.core.canonical import COLUMNS, canonical


def merged(parts: list[Cells]) -> Cells:
    """Return the sum of cells, whatever the order of the parts."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return EMPTY
    if len(parts) == 1:
        return parts[0]
    names: dict[Series, int] = {}
    tables = []
    for part in parts:
        index = np.array([names.setdefault(one, len(names)) for one in part.series], dtype=np.int64)
        rest = (getattr(part, name) for name in COLUMNS[1:])
        tables.append(np.column_stack((index[part.series_ix], *rest)).astype(np.int64))
    return canonical(list(names), np.concatenate(tables))
