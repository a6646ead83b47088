"""The sum of cells, and the parts of a sum."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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


def parted(cells: Cells, wanted: Callable[[Series], bool]) -> tuple[Cells, Cells]:
    """Return the cells of the series that are wanted, and the others."""
    chosen = np.array([wanted(one) for one in cells.series], dtype=np.bool_)
    if chosen.all():
        return cells, EMPTY
    return _only(cells, chosen), _only(cells, ~chosen)


def _only(cells: Cells, chosen: NDArray[np.bool_]) -> Cells:
    if not chosen.any():
        return EMPTY
    rows, index = chosen[cells.series_ix], np.cumsum(chosen) - 1
    columns = {name: getattr(cells, name)[rows] for name in COLUMNS}
    columns["series_ix"] = index[columns["series_ix"]]
    return Cells([one for one, kept in zip(cells.series, chosen, strict=True) if kept], columns)
