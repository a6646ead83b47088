"""How likely the next rung is, and by when, if one rung can preclude another: competing risks.

A customer who made a remark may next write a letter, go to a dispute, or do nothing until today (censored). One minus
Kaplan-Meier for each cause, with the other causes as censored, adds up to more than what can happen; the
Aalen-Johansen estimate counts a cause only among those whom no other cause took first.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import exp, log, sqrt
from typing import NamedTuple

from streams.core.intervals import two_sided, z_of


class Row(NamedTuple):
    """One customer: how long observed (whole days or ms, >= 0), and what ended it; None: nothing yet (censored)."""

    time: int
    cause: str | None


class Step(NamedTuple):
    """From `time` on, this share has met the cause; `se` is its standard error, `at_risk` counts those just before."""

    time: int
    share: float
    lo: float
    hi: float
    se: float
    at_risk: int


class Incidence(NamedTuple):
    """The cumulative incidence of one cause: a step at each time at which any cause struck."""

    steps: Sequence[Step]
    n: int
    level: float

    def at(self, time: int) -> Step:
        """Return what is known of the share that meets the cause by `time`.

        Beyond the last observed time it is the last step: nobody was watched longer. Before the first step it is 0,
        and without rows 0 in 0..1.
        """
        found = bisect_right(self.steps, time, key=lambda step: step.time)
        if found:
            return self.steps[found - 1]
        return Step(time, 0.0, 0.0, _none_in(self.n, self.level), 0.0, self.n)


def cumulative_incidence(rows: Iterable[Row] | Mapping[Row, int], cause: str, level: float) -> Incidence:
    """Return the probability over time that `cause` comes, and comes first, from rows in any order or counts of them.

    At equal times causes come before censoring. Source: Aalen and Johansen 1978; the variance of Marubini and
    Valsecchi 1995 (10.12), for one cause Greenwood's; interval on the log(-log) scale, so within 0..1. Where the share
    is 0 or 1, where that scale has no value, the far end is the exact binomial bound for as many as are at risk.
    """
    counts = Counter(rows)
    n = at_risk = counts.total()
    by_time: dict[int, dict[str | None, int]] = {}
    for row, count in counts.items():
        by_time.setdefault(row.time, {})[row.cause] = count
    z = z_of(two_sided(level))
    steps: list[Step] = []
    share, free, variance = 0.0, 1.0, _Variance()
    for time, ended in sorted(by_time.items()):
        struck = sum(count for which, count in ended.items() if which is not None)
        if struck:
            own = ended.get(cause, 0)
            share += free * own / at_risk
            variance.add(share, free, own, struck, at_risk)
            free *= (at_risk - struck) / at_risk
            se = sqrt(max(0.0, variance.of(share)))
            steps.append(Step(time, share, *_bounds(share, se, z, at_risk, level), se, at_risk))
        at_risk -= sum(ended.values())
    return Incidence(steps, n, level)


class _Variance:
    """The sums of the variance, so that each step costs the same however many came before."""

    __slots__ = ("cross", "crossed", "hazard", "once", "own", "twice")

    def __init__(self) -> None:
        self.hazard = self.once = self.twice = self.own = self.cross = self.crossed = 0.0

    def add(self, share: float, free: float, own: int, struck: int, at_risk: int) -> None:
        """Take one time: `share` after it, `free` of all causes before it, and who was struck of those at risk."""
        if struck < at_risk:  # else nobody is left, and the share moves no more
            hazard = struck / (at_risk * (at_risk - struck))
            self.hazard += hazard
            self.once += share * hazard
            self.twice += share * share * hazard
        self.own += free * free * own * (at_risk - own) / at_risk**3
        cross = free * own / at_risk**2
        self.cross += cross
        self.crossed += share * cross

    def of(self, share: float) -> float:
        """Return the variance of the share as it is now."""
        moved = share * share * self.hazard - 2 * share * self.once + self.twice
        return moved + self.own - 2 * (share * self.cross - self.crossed)


def _bounds(share: float, se: float, z: float, at_risk: int, level: float) -> tuple[float, float]:
    if share <= 0:
        return 0.0, _none_in(at_risk, level)
    if share >= 1 - 1e-12:
        return 1 - _none_in(at_risk, level), 1.0
    stretch = z * se / (share * -log(share))
    return share ** exp(stretch), share ** exp(-stretch)


def _none_in(n: int, level: float) -> float:
    """Return the exact upper bound of a share of which none is seen in n; 1 for n = 0."""
    return 1 - ((1 - level) / 2) ** (1 / n) if n else 1.0
