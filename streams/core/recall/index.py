"""Codes of 128-bit words: an open-addressing table of numpy columns, looked up in batches."""

import numpy as np

from streams.core.canonical import Ints
from streams.core.recall.words import Words

_FREE = -1
_LEAST_BITS = 14
_ODD = np.uint64(0x9E3779B97F4A7C15)


class Index:
    """A code for each word, counted from 0."""

    def __init__(self, words: int = 0) -> None:
        """Make room for so many words, and as many again."""
        bits = max(_LEAST_BITS, (4 * words).bit_length())
        self._shift, self._mask = np.uint64(64 - bits), (1 << bits) - 1
        self._slots = np.full(1 << bits, _FREE, dtype=np.int64)
        self._words = np.empty((1 << (bits - 1), 2), dtype=np.uint64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def room(self) -> int:
        """Return how many words more may be added."""
        return len(self._words) - self._used

    @property
    def words(self) -> Words:
        """Return the words by code."""
        return self._words[: self._used]

    def codes_of(self, words: Words) -> Ints:
        """Return the code of each word, a new one where it is new; not more words than there is room."""
        at = ((((words[:, 0] * _ODD) ^ words[:, 1]) * _ODD) >> self._shift).astype(np.int64)
        codes = np.empty(len(words), dtype=np.int64)
        open_ = np.arange(len(words))
        while len(open_):
            here = at[open_]
            found = self._slots[here]
            free = found == _FREE
            if free.any():
                self._claim(here[free], words[open_[free]])
                found = self._slots[here]
            same = (self._words[found] == words[open_]).all(axis=1)
            codes[open_[same]] = found[same]
            open_ = open_[~same]
            at[open_] = (at[open_] + 1) & self._mask
        return codes

    def _claim(self, slots: Ints, words: Words) -> None:
        """Give free slots to words; of several that want the same the last has it."""
        order = np.arange(len(slots))
        self._slots[slots] = order
        won = np.flatnonzero(self._slots[slots] == order)
        end = self._used + len(won)
        self._slots[slots[won]] = np.arange(self._used, end)
        self._words[self._used : end] = words[won]
        self._used = end
