"""Who hears what: the cells of a pane, sorted to the rules on a metric and dimension, and to their days and hours."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.windows import DAY_MS, MINUTE_MS
from streams.core.baseline import DayCells
from streams.core.bins import Bins
from streams.core.counted import Counted
from streams.core.watching.hours import HourCells

_DAY_MINUTES = DAY_MS // MINUTE_MS


class Heard(NamedTuple):
    """The fresh counts of one key in one pane; occurred times in ms."""

    strata: dict[str, int]
    """stratum -> packed counts"""
    occurred_first: int
    occurred_last: int


def together(one: Heard | None, other: Heard) -> Heard:
    """Return both as one; strata of the same name add."""
    if one is None:
        return other
    strata = dict(one.strata)
    for stratum, packed in other.strata.items():
        strata[stratum] = strata.get(stratum, 0) + packed
    first, last = min(one.occurred_first, other.occurred_first), max(one.occurred_last, other.occurred_last)
    return Heard(strata, first, last)


class Ear:
    """What all rules on one metric and dimension hear; with `hours` for rules that watch how many events come."""

    __slots__ = ("bins", "cells", "hours")

    def __init__(self, bins: Bins, *, hours: bool) -> None:
        self.bins = bins
        self.cells = DayCells()
        self.hours = HourCells() if hours else None

    def take(self, one: Counted, key: str, pane: int, heard: dict[str, Heard]) -> None:
        """Add what came in `pane` to the days (and hours), and what is fresh to `heard`."""
        stratum = one.series.stratum
        for minute, packed in one.minutes.items():
            self.cells.add(key, stratum, minute // _DAY_MINUTES * DAY_MS, packed, pane)
        if self.hours is not None:
            for minute, packed in one.minutes.items():
                self.hours.add(key, minute * MINUTE_MS, self.bins.counts(packed), pane)
        if one.fresh:
            new = Heard({stratum: sum(one.fresh.values())}, min(one.fresh) * MINUTE_MS, max(one.fresh) * MINUTE_MS)
            before = heard.get(key)
            heard[key] = new if before is None else together(before, new)

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {"cells": self.cells.freeze(), "hours": None if self.hours is None else self.hours.freeze()}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self.cells.thaw(state["cells"])
        if self.hours is not None:
            self.hours.thaw(state["hours"])
