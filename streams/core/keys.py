"""A bound on keys: per metric and dimension the first `max_keys` have series of their own, the rest share `__other__`.

First come, first served, in order of panes and of keys in a pane: the same log gives the same keys.
"""

from collections.abc import Mapping
from typing import Any

from schemas.blocks import Series
from schemas.catalogue import Catalogue
from schemas.metrics import OVERFLOW_KEY


class Keys:
    """The keys that were admitted."""

    __slots__ = ("_known", "_most", "overflow")

    def __init__(self, catalogue: Catalogue) -> None:
        self._most = {metric.identity: metric.max_keys for metric in catalogue.metric}
        self._known: dict[tuple[str, str], set[str]] = {}
        self.overflow = 0
        """Counts that went to an overflow key; whoever counts adds to it."""

    def admit(self, series: Series) -> str:
        """Return the key under which the counts of a series are kept."""
        known = self._known.get((series.metric, series.dimension))
        if known is None:
            known = self._known[series.metric, series.dimension] = set()
        if series.key in known:
            return series.key
        if len(known) < self._most[series.metric]:
            known.add(series.key)
            return series.key
        return OVERFLOW_KEY

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        known = [[*at, sorted(keys)] for at, keys in sorted(self._known.items())]
        return {"overflow": self.overflow, "known": known}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`, but for metrics that are gone."""
        self.overflow = state["overflow"]
        self._known = {
            (metric, dimension): set(keys) for metric, dimension, keys in state["known"] if metric in self._most
        }
