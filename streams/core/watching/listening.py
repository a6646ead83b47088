"""Who hears what: the cells of a pane, sorted to the rules on a metric and dimension, and to their days and hours."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.baseline import DayCells
from streams.core.bins import Bins
from streams.core.counted import Counted
from streams.core.watching.hours import WEEK_HOURS, AnswerHours, HourCells, in_hour

_DAY_MINUTES = DAY_MS // MINUTE_MS
_HOUR_MINUTES = HOUR_MS // MINUTE_MS
Pair = Callable[[Mapping[int, int]], tuple[int, int]]
"""Counts by bin -> answers, and how many of them the metric counts."""
_NOTHING: Mapping[str, int] = MappingProxyType({})


class Heard(NamedTuple):
    """The fresh counts of one key in one pane; occurred times in ms."""

    strata: dict[str, int]
    """stratum -> packed counts"""
    occurred_first: int
    occurred_last: int
    by_hour: Mapping[str, int] = _NOTHING
    """`in_hour` of a stratum -> packed counts, where a rule with a profile on shares listens"""


def together(one: Heard | None, other: Heard) -> Heard:
    """Return both as one; strata of the same name add."""
    if one is None:
        return other
    first, last = min(one.occurred_first, other.occurred_first), max(one.occurred_last, other.occurred_last)
    by_hour = _sum(one.by_hour, other.by_hour) if one.by_hour or other.by_hour else one.by_hour
    return Heard(_sum(one.strata, other.strata), first, last, by_hour)


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    out = dict(one)
    for name, packed in other.items():
        out[name] = out.get(name, 0) + packed
    return out


class Ear:
    """What all rules on one metric and dimension hear.

    With `hours` for rules that watch how many events come, with `pair` for rules with a profile on shares.
    """

    __slots__ = ("answers", "bins", "cells", "hours", "pair")

    def __init__(self, bins: Bins, *, hours: bool, pair: Pair | None = None) -> None:
        self.bins = bins
        self.cells = DayCells()
        self.hours = HourCells() if hours else None
        self.pair = pair
        self.answers = None if pair is None else AnswerHours()

    @property
    def parts(self) -> frozenset[str]:
        """Return which hours it remembers beside the days."""
        held = {"hours": self.hours, "answers": self.answers}
        return frozenset(name for name, one in held.items() if one is not None)

    def take(self, one: Counted, key: str, pane: int, heard: dict[str, Heard]) -> None:
        """Add what came in `pane` to the days (and hours), and what is fresh to `heard`."""
        stratum = one.series.stratum
        for minute, packed in one.minutes.items():
            self.cells.add(key, stratum, minute // _DAY_MINUTES * DAY_MS, packed, pane)
        if self.hours is not None:
            for minute, packed in one.minutes.items():
                self.hours.add(key, minute * MINUTE_MS, self.bins.counts(packed), pane)
        by_hour: Mapping[str, int] = _NOTHING
        if self.answers is not None and self.pair is not None:
            for minute, packed in one.minutes.items():
                self.answers.add(key, stratum, minute * MINUTE_MS, self.pair(self.bins.counts(packed)), pane)
            if one.fresh:
                by_hour = _hourly(stratum, one.fresh)
        if one.fresh:
            first, last = min(one.fresh) * MINUTE_MS, max(one.fresh) * MINUTE_MS
            new = Heard({stratum: sum(one.fresh.values())}, first, last, by_hour)
            before = heard.get(key)
            heard[key] = new if before is None else together(before, new)

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        out = {"cells": self.cells.freeze(), "hours": None if self.hours is None else self.hours.freeze()}
        return out if self.answers is None else out | {"answers": self.answers.freeze()}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self.cells.thaw(state["cells"])
        if self.hours is not None:
            self.hours.thaw(state["hours"])
        if self.answers is not None:
            self.answers.thaw(state["answers"])


def parts_of(state: Mapping[str, Any]) -> frozenset[str]:
    """Return the `parts` of the ear that was frozen to `state`."""
    return frozenset(name for name in ("hours", "answers") if state.get(name) is not None)


def _hourly(stratum: str, minutes: Mapping[int, int]) -> dict[str, int]:
    out: dict[str, int] = {}
    for minute, packed in minutes.items():
        name = in_hour(stratum, minute // _HOUR_MINUTES % WEEK_HOURS)
        out[name] = out.get(name, 0) + packed
    return out
