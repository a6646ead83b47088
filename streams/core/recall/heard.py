"""A batch of events as memories take it: what several of them read is read once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from streams.core.canonical import Ints
from streams.core.columns import Columns
from streams.core.recall.words import Words, hashed_words, joined_words, words_of


class Named(NamedTuple):
    """A column of names: which rows have one, and the words of each (0 where there is none)."""

    known: NDArray[np.bool_]
    words: Words


class Heard:
    """Events of a partition in order.

    `first`: which rows are no repeated events; `arrived`: by row, never falling, not below that of an earlier batch.
    """

    def __init__(self, frame: pl.DataFrame, first: NDArray[np.bool_], arrived: Ints) -> None:
        self.columns, self.first, self.arrived = Columns(frame), first, arrived
        self._frame = frame
        self._named: dict[str, Named] = {}

    def named(self, column: str) -> Named:
        """Return a column of names."""
        held = self._named.get(column)
        if held is None:
            held = self._named[column] = Named(*words_of(self._frame[column]))
        return held

    def within(self, column: str, rows: Ints, contexts: Sequence[str], context: Ints) -> Words:
        """Return the words of the names in some rows, each within a context; `context`: by row, which of `contexts`."""
        return joined_words(self.named(column).words[rows], hashed_words(contexts)[context])

    def conversations(self, rows: Ints) -> Words:
        """Return the words of channel, customer and conversation of some rows, which name both."""
        channel = self.columns.channel
        customers = self.within("subject", rows, [str(title) for title in channel.titles], channel.code[rows])
        return joined_words(customers, self.named("conversation_ref").words[rows])
