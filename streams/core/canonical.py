"""Rows of counts in any order -> cells in canonical order."""

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from schemas.blocks import EMPTY, Cells, Series

Ints = NDArray[np.int64]
COLUMNS = ("series_ix", "minute", "bin", "fresh", "count", "sum")
_ONE_KEY = 1 << 62
"""Columns whose ranges multiply to less are sorted as one number."""


def canonical(names: Sequence[Series], table: Ints) -> Cells:
    """Return the cells of an n x 6 table (COLUMNS; series_ix into `names`, which may repeat), equal rows added.

    What adds up to nothing vanishes, so that an event and its retraction leave no trace.
    """
    if not len(table):
        return EMPTY
    in_order = sorted_in_place(names, table)
    rows, _ = added(table, ())
    return narrowed(in_order, rows)


def sorted_in_place(names: Sequence[Series], table: Ints) -> list[Series]:
    """Return the names in order, each once, and let the first column of the table point into them."""
    ranks: dict[Series, int] = {}
    renamed = [ranks.setdefault(one, len(ranks)) for one in names]
    in_order = sorted(ranks)
    place = np.empty(len(ranks), dtype=np.int64)
    place[[ranks[one] for one in in_order]] = np.arange(len(ranks))
    table[:, 0] = place[np.array(renamed, dtype=np.int64)[table[:, 0]]]
    return in_order


def added(table: Ints, before: Sequence[Ints]) -> tuple[Ints, list[Ints]]:
    """Return the rows sorted by the columns `before` and their own first four, equal ones added and zeros left out.

    The columns `before` come back with them.
    """
    by = [*before, *(table[:, i] for i in range(4))]
    order, changes = _sorted(by)
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1))
    rows, heads = table[order], order[starts]
    if len(starts) < len(rows):
        sums = np.add.reduceat(rows[:, 4:], starts, axis=0)
        rows = rows[starts]
        rows[:, 4:] = sums
    something = (rows[:, 4] != 0) | (rows[:, 5] != 0)
    if not something.all():
        rows, heads = rows[something], heads[something]
    return rows, [column[heads] for column in before]


def _sorted(by: Sequence[Ints]) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the order, and for each but the first in it whether it differs from the one before."""
    least = [int(column.min()) for column in by]
    widths = [int(column.max()) - low + 1 for column, low in zip(by, least, strict=True)]
    if prod(widths) < _ONE_KEY:
        key = np.zeros(len(by[0]), dtype=np.int64)
        for column, low, width in zip(by, least, widths, strict=True):
            key *= width
            key += column - low
        order = np.argsort(key)
        key = key[order]
        return order, key[1:] != key[:-1]
    order = np.lexsort(by[::-1])
    changes = np.zeros(len(order) - 1, dtype=np.bool_)
    for column in by:
        placed = column[order]
        changes |= placed[1:] != placed[:-1]
    return order, changes


def narrowed(names: Sequence[Series], rows: Ints) -> Cells:
    """Return the cells of rows in canonical order, with those of `names` (in order) that they point to."""
    if not len(rows):
        return EMPTY
    used = np.zeros(len(names), dtype=np.bool_)
    used[rows[:, 0]] = True
    rows[:, 0] = (np.cumsum(used) - 1)[rows[:, 0]]
    kept = [names[ix] for ix in np.flatnonzero(used).tolist()]
    return Cells(kept, {name: rows[:, i] for i, name in enumerate(COLUMNS)})
