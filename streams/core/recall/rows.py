"""Rows that are numbered as they come; the oldest are forgotten first."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streams.core.canonical import Ints

_LEAST = 64
NONE = -1
"""The number of no row."""


class Rows:
    """Columns of equal length, among them `arrived`, which never falls; row `number` stands at `number - first` of each."""

    def __init__(self, **kinds: DTypeLike) -> None:
        self.first = 0
        """The number of the oldest row held."""
        self._size = 0
        self._kept: dict[str, NDArray[Any]] = {name: np.empty(_LEAST, dtype=kind) for name, kind in kinds.items()}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column as it stands until rows are added; what is assigned to its elements is held."""
        return self._kept[name][: self._size]

    def coming(self, rows: int) -> Ints:
        """Return the numbers of the next rows."""
        return np.arange(self.first + self._size, self.first + self._size + rows)

    def add(self, oldest: int, **columns: NDArray[Any]) -> None:
        """Add rows; what arrived before `oldest` may be forgotten, and is when there is no more room."""
        more = len(columns["arrived"])
        if self._size + more > len(self._kept["arrived"]):
            self._forget(int(np.searchsorted(self["arrived"], oldest)), more)
        for name, values in columns.items():
            self._kept[name][self._size : self._size + more] = values
        self._size += more

    def _forget(self, rows: int, coming: int) -> None:
        """Forget the oldest rows, and make room for as many again as are left and come."""
        left = self._size - rows
        for name, column in self._kept.items():
            self._kept[name] = np.empty(max(_LEAST, 2 * (left + coming)), dtype=column.dtype)
            self._kept[name][:left] = column[rows : self._size]
        self.first, self._size = self.first + rows, left
