"""Learned baselines: the bad share of a key and stratum from its day cells, as an upper confidence bound.

Days are occurred days, live and admitted events alike. Days younger than the lag, older than the reach of the day rung,
or that overlap an alarm of the key are left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from schemas.catalogue import BaselineKind, Rule
from schemas.windows import DAY_MS, WINDOWS
from streams.core.intervals import wilson_upper

REACH_MS = WINDOWS["28d"].span_ms


class Shares(NamedTuple):
    """The bad shares of one key and stratum: p0 as it is, p1 worth an alarm."""

    p0: float
    p1: float


class DayCells:
    """Answers and bad answers by (key, stratum) and occurred day."""

    __slots__ = ("_days", "_pruned")

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], dict[int, tuple[int, int]]] = {}
        self._pruned = 0

    def add(self, key: str, stratum: str, day: int, n: int, bad: int, pane: int) -> None:
        """Count answers of the day that starts at `day` (ms); once a day of panes, forget what is out of reach."""
        if pane >= self._pruned + DAY_MS:
            self._prune(pane)
        days = self._days.setdefault((key, stratum), {})
        held = days.get(day, (0, 0))
        days[day] = (held[0] + n, held[1] + bad)

    def _prune(self, pane: int) -> None:
        oldest = pane - REACH_MS - DAY_MS
        for at, days in list(self._days.items()):
            for day in [day for day in days if day < oldest]:
                del days[day]
            if not days:
                del self._days[at]
        self._pruned = pane // DAY_MS * DAY_MS

    def strata(self, pane: int) -> dict[str, list[str]]:
        """Return key -> strata with answers within reach of `pane`, both in order."""
        out: dict[str, list[str]] = {}
        for (key, stratum), days in sorted(self._days.items()):
            if any(day >= pane - REACH_MS for day in days):
                out.setdefault(key, []).append(stratum)
        return out

    def counted(
        self, key: str, stratum: str, pane: int, lag_ms: int, alarms: Iterable[tuple[int, int]]
    ) -> tuple[int, int]:
        """Return (n, bad) of the days that a baseline learns from at `pane`; `alarms`: [start, end) in arrived ms."""
        spans = list(alarms)
        n = bad = 0
        for day, (day_n, day_bad) in self._days.get((key, stratum), {}).items():
            in_reach = pane - REACH_MS <= day and day + DAY_MS <= pane - lag_ms
            if in_reach and not any(day < end and start < day + DAY_MS for start, end in spans):
                n += day_n
                bad += day_bad
        return n, bad

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        days = [[*at, [[day, *held] for day, held in sorted(days.items())]] for at, days in sorted(self._days.items())]
        return {"pruned": self._pruned, "days": days}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._pruned = state["pruned"]
        self._days = {(key, stratum): {day: (n, bad) for day, n, bad in days} for key, stratum, days in state["days"]}


def learned(rule: Rule, n: int, bad: int) -> Shares | str:
    """Return the shares that `n` answers teach, or the reason why they do not."""
    if n < rule.learn_min:
        return f"{n} answers to learn from, {rule.learn_min} wanted"
    return _worth(rule, wilson_upper(bad, n, rule.learn_confidence))


def _worth(rule: Rule, p0: float) -> Shares | str:
    p1 = max(rule.p1, p0 + rule.p1_margin)
    if not 0 < p0 < p1 < 1:
        return f"bad share {p0:.3f} leaves no room for a drop"
    return Shares(p0, p1)


def arm(
    rule: Rule, cells: DayCells, pane: int, alarms: Mapping[str, list[tuple[int, int]]]
) -> tuple[dict[str, dict[str, Shares]], dict[str, str]]:
    """Return key -> stratum -> shares for the keys that can be watched from `pane` on; key -> reason for the others.

    With a fixed baseline every key seen within reach is armed in all its strata.
    """
    armed: dict[str, dict[str, Shares]] = {}
    unarmed: dict[str, str] = {}
    for key, strata in cells.strata(pane).items():
        why = []
        for stratum in strata:
            if rule.baseline is BaselineKind.FIXED:
                assert rule.p0 is not None
                found = _worth(rule, rule.p0)
            else:
                found = learned(rule, *cells.counted(key, stratum, pane, rule.learn_lag_ms, alarms.get(key, ())))
            if isinstance(found, Shares):
                armed.setdefault(key, {})[stratum] = found
            else:
                why.append(f"{stratum}: {found}")
        if key not in armed:
            unarmed[key] = "; ".join(why)
    return armed, unarmed
