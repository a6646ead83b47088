"""Rows of counts in any order -> cells in canonical order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.blocks import EMPTY, Cells, Series

Ints = NDArray[np.int64]
COLUMNS = ("series_ix", "minute", "bin", "fresh", "count", "sum")


def canonical(names: Sequence[Series], table: Ints) -> Cells:
    """Return the cells of an n x 6 table (COLUMNS; series_ix into `names`, which may repeat), equal rows added."""
    if not len(table):
        return EMPTY
    used = np.unique(table[:, 0])
    series = sorted({names[ix] for ix in used.tolist()})
    rank = {one: ix for ix, one in enumerate(series)}
    renamed = np.zeros(len(names), dtype=np.int64)
    renamed[used] = [rank[names[ix]] for ix in used.tolist()]
    at = renamed[table[:, 0]]
    order = np.lexsort((table[:, 3], table[:, 2], table[:, 1], at))
    rows = table[order]
    rows[:, 0] = at[order]
    head = np.ones(len(rows), dtype=np.bool_)
    head[1:] = (rows[1:, :4] != rows[:-1, :4]).any(axis=1)
    starts = np.flatnonzero(head)
    out = rows[starts]
    out[:, 4:] = np.add.reduceat(rows[:, 4:], starts, axis=0)
    return Cells(series, {name: out[:, i] for i, name in enumerate(COLUMNS)})
