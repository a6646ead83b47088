"""What baselines learn from: counts by occurred day, live and admitted events alike.

Days younger than the lag, older than the reach of the day rung, or that overlap an alarm of the key are left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.windows import DAY_MS, WINDOWS
from streams.core.bins import from_bytes, to_bytes

REACH_MS = WINDOWS["28d"].span_ms

Span = tuple[int, int]
"""[start, end) of an alarm, arrived ms."""


class Stretch(NamedTuple):
    """Which days teach, seen from `pane`."""

    pane: int
    lag_ms: int
    spans: tuple[Span, ...] = ()
    """Alarms: their days are left out."""
    since: int = 0
    """The first day that counts: later than the reach after the acceptance of a new level."""

    def holds(self, day: int) -> bool:
        """Tell whether the day that starts at `day` teaches."""
        if not max(self.pane - REACH_MS, self.since) <= day <= self.pane - self.lag_ms - DAY_MS:
            return False
        return not any(day < end and start < day + DAY_MS for start, end in self.spans)


class DayCells:
    """Packed counts by (key, stratum) and occurred day."""

    __slots__ = ("_days", "_pruned")

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], dict[int, int]] = {}
        self._pruned = 0

    def add(self, key: str, stratum: str, day: int, packed: int, pane: int) -> None:
        """Count what happened on the day that starts at `day` (ms); once a day of panes, forget what is out of reach."""
        if pane >= self._pruned + DAY_MS:
            self._prune(pane)
        days = self._days.setdefault((key, stratum), {})
        days[day] = days.get(day, 0) + packed

    def _prune(self, pane: int) -> None:
        oldest = pane - REACH_MS - DAY_MS
        for at, days in list(self._days.items()):
            for day in [day for day in days if day < oldest]:
                del days[day]
            if not days:
                del self._days[at]
        self._pruned = pane // DAY_MS * DAY_MS

    def strata(self, pane: int) -> dict[str, list[str]]:
        """Return key -> strata with counts within reach of `pane`, both in order."""
        out: dict[str, list[str]] = {}
        for (key, stratum), days in sorted(self._days.items()):
            if any(day >= pane - REACH_MS for day in days):
                out.setdefault(key, []).append(stratum)
        return out

    def days(self, key: str, stratum: str) -> Mapping[int, int]:
        """Return day -> packed counts."""
        return self._days.get((key, stratum), {})

    def within(self, key: str, stratum: str, stretch: Stretch) -> tuple[int, int]:
        """Return the packed counts of the days that teach, and how many days have any."""
        held = [packed for day, packed in self.days(key, stratum).items() if stretch.holds(day)]
        return sum(held), len(held)

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        days = [
            [*at, [[day, to_bytes(packed)] for day, packed in sorted(days.items())]]
            for at, days in sorted(self._days.items())
        ]
        return {"pruned": self._pruned, "days": days}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._pruned = state["pruned"]
        self._days = {
            (key, stratum): {day: from_bytes(packed) for day, packed in days} for key, stratum, days in state["days"]
        }


def joined(spans: Iterable[Iterable[Span]]) -> tuple[Span, ...]:
    """Return the alarms of several rules as one tuple, in order."""
    return tuple(sorted({span for several in spans for span in several}))
