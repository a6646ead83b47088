"""Conversations that are remembered, and what was said in each, the newest first."""

from collections.abc import Iterable, Iterator

import numpy as np

from streams.core.canonical import Ints
from streams.core.recall.index import Index
from streams.core.recall.rows import NONE, Rows
from streams.core.recall.words import Words


class Conversations:
    """A code for each conversation heard of within the memory, and the number of the last row of each of some sides."""

    def __init__(self, memory_ms: int, sides: Iterable[str]) -> None:
        self._memory_ms = memory_ms
        self._index = Index()
        self._heard = np.empty(self._index.room, dtype=np.int64)
        self._last = {side: np.full(self._index.room, NONE, dtype=np.int64) for side in sides}

    def __len__(self) -> int:
        return len(self._index)

    def codes_of(self, words: Words, arrived: Ints) -> Ints:
        """Return the code of each conversation, which holds until the next call; `arrived`: by row, never falling."""
        if len(words) > self._index.room:
            self._forget(int(arrived[0]) - self._memory_ms, len(words))
        code = self._index.codes_of(words)
        self._heard[code] = arrived
        return code

    def last(self, side: str, code: Ints) -> Ints:
        """Return the number of the last row of each conversation; NONE where there is none."""
        return self._last[side][code]

    def add(self, side: str, code: Ints, numbers: Ints) -> Ints:
        """Add rows with numbers beyond all before, in order; return for each the number of the one before it."""
        order = np.argsort(code, kind="stable")
        placed = code[order]
        heads = np.ones(len(code), dtype=np.bool_)
        heads[1:] = placed[1:] != placed[:-1]
        before = np.empty(len(code), dtype=np.int64)
        before[1:] = numbers[order[:-1]]
        before[heads] = self._last[side][placed[heads]]
        previous = np.empty(len(code), dtype=np.int64)
        previous[order] = before
        self._last[side][code] = numbers
        return previous

    def _forget(self, oldest: int, coming: int) -> None:
        """Forget what was last heard of before `oldest`, and make room."""
        kept = np.flatnonzero(self._heard[: len(self._index)] >= oldest)
        words = self._index.words[kept]
        self._index = Index(len(kept) + coming)
        code, size = self._index.codes_of(words), len(kept) + self._index.room
        self._heard = _moved(self._heard[kept], code, size)
        self._last = {side: _moved(column[kept], code, size) for side, column in self._last.items()}


def _moved(values: Ints, code: Ints, size: int) -> Ints:
    out = np.full(size, NONE, dtype=np.int64)
    out[code] = values
    return out


def said_since(rows: Rows, last: Ints, since: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield which of several listeners hear which row: one earlier row for each of them at a time, until there is none.

    `last`: the number of the row from which each goes backwards; `since`: when the oldest that it hears arrived.
    `rows` has the columns `arrived` and `previous`. Yields places among the listeners, and places in the columns.
    """
    arrived, previous = rows["arrived"], rows["previous"]
    listener = np.flatnonzero(last >= rows.first)
    row = last[listener] - rows.first
    while len(listener):
        near = arrived[row] >= since[listener]
        listener, row = listener[near], row[near]
        if len(listener):
            yield listener, row
        earlier = previous[row] - rows.first
        held = earlier >= 0
        listener, row = listener[held], earlier[held]
