"""Counts by occurred hour, for profiles: events of rules that watch how many come, answers of rules on their shares.

Hours are UTC. An hour of the week counts from the epoch, a Thursday.
"""

from collections.abc import Mapping
from typing import Any

from schemas.windows import DAY_MS, HOUR_MS
from streams.core.baseline import REACH_MS

HOURS = 24
WEEK_HOURS = 7 * HOURS
COUNTED_BIN = 1
"""The bin that holds the events; a rate has its exposure in bin 0."""


class HourCells:
    """Counts by key, day and hour; UTC."""

    __slots__ = ("_days", "_pruned")

    def __init__(self) -> None:
        self._days: dict[str, dict[int, list[int]]] = {}
        self._pruned = 0

    def add(self, key: str, occurred: int, counts: Mapping[int, int], pane: int) -> None:
        """Count the events (bin 1) of an occurred time (ms); once a day of panes, forget what is out of reach."""
        if pane >= self._pruned + DAY_MS:
            self._prune(pane)
        seen = counts.get(COUNTED_BIN, 0)
        days = self._days.setdefault(key, {})
        hours = days.get(occurred // DAY_MS * DAY_MS)
        if hours is None:
            hours = days[occurred // DAY_MS * DAY_MS] = [0] * HOURS
        hours[occurred % DAY_MS // HOUR_MS] += seen

    def _prune(self, pane: int) -> None:
        oldest = pane - REACH_MS - DAY_MS
        for key, days in list(self._days.items()):
            for day in [day for day in days if day < oldest]:
                del days[day]
            if not days:
                del self._days[key]
        self._pruned = pane // DAY_MS * DAY_MS

    def first_day(self, key: str) -> int | None:
        """Return the first day that is known of a key."""
        return min(self._days.get(key, ()), default=None)

    def day(self, key: str, day: int) -> list[int]:
        """Return the events of a day by hour; a day without any is all 0."""
        return self._days.get(key, {}).get(day) or [0] * HOURS

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        days = [
            [key, [[day, hours] for day, hours in sorted(days.items())]] for key, days in sorted(self._days.items())
        ]
        return {"pruned": self._pruned, "days": days}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._pruned = state["pruned"]
        self._days = {key: {day: list(hours) for day, hours in days} for key, days in state["days"]}


class AnswerHours:
    """Answers by key, stratum, day and hour, and how many of them the metric counts; UTC."""

    __slots__ = ("_days", "_pruned")

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], dict[int, list[int]]] = {}
        """(key, stratum) -> day -> answers by hour, then those that the metric counts by hour"""
        self._pruned = 0

    def add(self, key: str, stratum: str, occurred: int, pair: tuple[int, int], pane: int) -> None:
        """Count (answers, counted ones) of an occurred time (ms); once a day of panes, forget what is out of reach."""
        if pane >= self._pruned + DAY_MS:
            self._prune(pane)
        days = self._days.setdefault((key, stratum), {})
        day = occurred // DAY_MS * DAY_MS
        hours = days.get(day)
        if hours is None:
            hours = days[day] = [0] * (2 * HOURS)
        hour = occurred % DAY_MS // HOUR_MS
        hours[hour] += pair[0]
        hours[HOURS + hour] += pair[1]

    def _prune(self, pane: int) -> None:
        oldest = pane - REACH_MS - DAY_MS
        for at, days in list(self._days.items()):
            for day in [day for day in days if day < oldest]:
                del days[day]
            if not days:
                del self._days[at]
        self._pruned = pane // DAY_MS * DAY_MS

    def days(self, key: str, stratum: str) -> dict[int, list[tuple[int, int]]]:
        """Return day -> (answers, counted ones) by hour, days in order; never fewer than none, where some are taken back."""
        out = {}
        for day, hours in sorted(self._days.get((key, stratum), {}).items()):
            pairs = [(max(0, n), counted) for n, counted in zip(hours[:HOURS], hours[HOURS:], strict=True)]
            out[day] = [(n, min(n, max(0, counted))) for n, counted in pairs]
        return out

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        days = [[*at, [[day, hours] for day, hours in sorted(days.items())]] for at, days in sorted(self._days.items())]
        return {"pruned": self._pruned, "days": days}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._pruned = state["pruned"]
        self._days = {(key, stratum): {day: list(hours) for day, hours in days} for key, stratum, days in state["days"]}


def in_hour(stratum: str, hour: int) -> str:
    """Return what the answers of a stratum are called that were given in an hour of the week since the epoch."""
    return f"{stratum}@{hour}"


def parted(name: str) -> tuple[str, int]:
    """Return the stratum and the hour of the week of `in_hour`."""
    stratum, _, hour = name.rpartition("@")
    return stratum, int(hour)
