"""What a source partition remembers while its records are counted: which ids it has seen, and what customers did."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue
from schemas.metrics import MetricKind
from schemas.repeats import RepeatFilter, id_words
from schemas.topics import LIVE
from streams.core.canonical import Ints
from streams.core.recall import RESPONSES, Recall


class Memory:
    """The ids of one partition and what the metrics of its catalogue need to know of customers.

    Events go through `take` in order, panes that close through `close`. `repeat_filter`: None where the topic has none.
    """

    def __init__(
        self, catalogue: Catalogue, pane_ms: int, topic: str, repeat_filter: RepeatFilter | None, *, live: bool
    ) -> None:
        channels = [one for one in LIVE if LIVE[one].name == topic] or LIVE
        recall = Recall(catalogue, pane_ms, live=live, channels=channels)
        self._topic, self._pane_ms, self._live = topic, pane_ms, live
        self._wanted = _wanted(catalogue, topic)
        self._filter = repeat_filter
        self._recall = recall if recall.reach_ms else None
        self._begun = False

    @property
    def window_ms(self) -> int | None:
        """Return how long an id is remembered; None where none is."""
        return None if self._filter is None else self._filter.window_ms

    @property
    def reach_ms(self) -> int:
        """Return how much arrived time before the next record decides what it counts for; 0 where nothing does.

        What is remembered leaves out repeats, so their ids must be known for as long again.
        """
        return (self.window_ms or 0) + (0 if self._recall is None else self._recall.reach_ms)

    @property
    def left_out(self) -> int:
        """Return how many answers `one_per` has left out so far."""
        return 0 if self._recall is None else self._recall.left_out

    def kept(self, catalogue: Catalogue) -> "Memory | None":
        """Return the memory that goes on under another catalogue; None if that one wants to know what this one does not."""
        wanted = _wanted(catalogue, self._topic)
        if wanted == self._wanted:
            return self
        if wanted[0]:
            return None
        return Memory(catalogue, self._pane_ms, self._topic, self._filter, live=self._live)

    def take(self, frame: pl.DataFrame, arrived: Ints) -> tuple[NDArray[np.bool_], pl.DataFrame]:
        """Remember the events of a frame; return by row whether it is no repeat, and the frame with what is known of each.

        `arrived`: by row, never falling, not below an earlier call's.
        """
        if self._filter is None:
            first = np.ones(frame.height, dtype=np.bool_)
        else:
            first = self._filter.first(id_words(frame["event_id"].to_list()), arrived)
        return first, frame if self._recall is None else self._recall.take(frame, first, arrived)

    def begin(self, pane: int) -> None:
        """Take what was remembered before anything counts as counted, up to a pane that is closed; later calls change nothing."""
        if self._recall is not None and not self._begun:
            self._recall.begin(pane)
        self._begun = True

    def next_due(self) -> int | None:
        """Return the next pane that has cells though nothing may come in it; None where there is none."""
        return None if self._recall is None else self._recall.next_due()

    def close(self, pane: int) -> Cells:
        """Return the cells, beyond those of its events, of a pane that closes."""
        return EMPTY if self._recall is None else self._recall.close(pane)


def _wanted(catalogue: Catalogue, topic: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Return what decides what is remembered of customers and how it counts: metrics in order, and the places above places."""
    channels = [one for one in LIVE if LIVE[one].name == topic] or LIVE
    metrics = [
        one.identity
        for one in catalogue.metric
        if (one.kind in RESPONSES or one.kind is MetricKind.REPEAT or one.one_per is not None)
        and not set(one.channels).isdisjoint(channels)
    ]
    return metrics, sorted((one.name, one.parent) for one in catalogue.touchpoint if one.parent is not None)
