"""What stage 1 remembers of customers, so that a metric can speak of several events of one of them.

All that one customer says on one channel lies in one partition, in order. What is remembered is therefore a function of
the partition's log over a fixed span of arrived time (`reach_ms`, a constant of the catalogue): a process that restarts
reads that span again, and makes the same blocks. Nothing is known across channels, or across the lanes.
"""

from collections.abc import Collection, Hashable
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.blocks import Cells
from schemas.catalogue import Catalogue
from schemas.event import Channel
from schemas.metrics import MetricKind
from streams.core.canonical import Ints
from streams.core.columns import FIRST, RECALL
from streams.core.counting_plan import Group, plan_of
from streams.core.merging import merged
from streams.core.recall.contacts import Contacts
from streams.core.recall.firsts import Firsts
from streams.core.recall.heard import Heard
from streams.core.recall.responses import Responses

RESPONSES = frozenset({MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE})


class Recall:
    """The memory of one partition: every event goes through `take`, in order, and every pane that closes through `close`."""

    def __init__(
        self, catalogue: Catalogue, pane_ms: int, *, live: bool, channels: Collection[Channel] = tuple(Channel)
    ) -> None:
        self._live = live
        self._contacts: dict[str, Contacts] = {}
        self._firsts: dict[str, Firsts] = {}
        threads: dict[Hashable, list[Group]] = {}
        for group in plan_of(catalogue).groups:
            metric = group.metric
            if set(metric.channels).isdisjoint(channels):
                continue
            if metric.kind is MetricKind.REPEAT:
                self._contacts[RECALL + metric.name] = Contacts(metric)
            elif metric.kind in RESPONSES:
                same = frozenset(metric.events), frozenset(metric.channels), metric.target_ms, metric.memory_ms
                threads.setdefault(same, []).append(group)
            elif metric.one_per is not None:
                self._firsts[FIRST + metric.name] = Firsts(group)
        self._responses = [Responses(groups, catalogue, pane_ms) for groups in threads.values()]

    @property
    def reach_ms(self) -> int:
        """Return how much arrived time before a record decides what it counts for; 0 where nothing is remembered."""
        every: list[Contacts | Firsts | Responses] = [
            *self._contacts.values(),
            *self._firsts.values(),
            *self._responses,
        ]
        return max((one.reach_ms for one in every), default=0)

    @property
    def left_out(self) -> int:
        """Return how many answers `one_per` has left out so far."""
        return sum(one.left_out for one in self._firsts.values())

    def take(self, frame: pl.DataFrame, first: NDArray[np.bool_], arrived: Ints) -> pl.DataFrame:
        """Remember the events of a frame and return it with what is known of each.

        `first`: which rows are no repeated events; `arrived`: by row, never falling, not below an earlier call's.
        """
        heard = Heard(frame, first, arrived)
        added: dict[str, NDArray[Any]] = {}
        for name, contacts in self._contacts.items():
            added[name] = contacts.take(heard)
        for name, firsts in self._firsts.items():
            added[name] = firsts.take(heard)
        for one in self._responses:
            one.take(heard)
        return frame.with_columns(pl.Series(name, values) for name, values in added.items()) if added else frame

    def begin(self, pane: int) -> None:
        """Take what was remembered so far as counted, up to a pane that is closed."""
        for one in self._responses:
            one.begin(pane)

    def next_due(self) -> int | None:
        """Return the next pane that has cells though nothing may come in it; None where there is none."""
        found = [due for one in self._responses if (due := one.next_due()) is not None]
        return min(found, default=None)

    def close(self, pane: int) -> Cells:
        """Return the cells, beyond those of its events, of a pane that closes."""
        return merged([one.close(pane, live=self._live) for one in self._responses])
