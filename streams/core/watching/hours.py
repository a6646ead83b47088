"""Events by key and occurred hour, for the profiles of rules that watch how many events come."""

from collections.abc import Mapping
from typing import Any

from schemas.windows import DAY_MS, HOUR_MS
from streams.core.baseline import REACH_MS

HOURS = 24
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
