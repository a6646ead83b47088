"""Which events count by their kind alone.

What customers bring counts when they bring it: their kinds need direction `in`, so that a complaint which we pass on
does not count twice. Everything here leaves out second-hand notes and what no human did.
"""

from collections.abc import Collection, Hashable
from typing import Protocol

import numpy as np

from schemas.event import NO_CONTACT, UNDIRECTED
from schemas.metrics import Metric
from streams.core.columns import Columns, Flags
from streams.core.kinds.kind import Kind, Selected


class TwoSided(Kind, Protocol):
    """A kind with `events` in bin 1 and the other kinds of `among` in bin 0."""

    def bins(self, metric: Metric) -> range:
        """Return 0 and 1."""
        return range(2)

    def source(self, metric: Metric) -> Hashable:
        """Return the kinds on both sides."""
        return "two_sided", frozenset(metric.events), frozenset(metric.among), metric.probes

    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return the events of both sides."""
        kinds = {*metric.events, *metric.among}
        if kinds.isdisjoint(columns.kind.titles):
            return None
        rows = np.flatnonzero(_of_kinds(columns, metric, kinds))
        return Selected(rows, columns.kind.among(metric.events)[rows].astype(np.int64))


def contacts(columns: Columns, metric: Metric) -> Flags:
    """Return which events are contacts of customers."""
    welcome = columns.counted(probes=metric.probes) & columns.direct & columns.inbound
    return welcome & ~columns.kind.among(NO_CONTACT)


def _of_kinds(columns: Columns, metric: Metric, kinds: Collection[str]) -> Flags:
    counted = columns.kind.among(kinds) & columns.counted(probes=metric.probes) & columns.direct
    return counted & (columns.inbound | columns.kind.among(UNDIRECTED))
