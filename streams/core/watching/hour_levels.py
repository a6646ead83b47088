"""A bad share by weekday and hour: hours that do not differ beyond chance are one cell, and each cell has its own bound.

First neighbouring hours of the day are joined, midnight included, the most alike first, as long as they differ no more
than chance explains; then, in each run of hours that is left, neighbouring weekdays in the same way. So a cell of weekday
and hour stands alone where the data say so, else it shares the level of its hours, and else that of the stratum. What
chance explains is the log likelihood ratio of two shares, divided by how far the days lie apart around them.

A weekday wants 4 full days to stand apart from its hours, the hours want 4 full days to stand apart from the stratum. A
cell enters with its exact upper bound; the bounds of a stratum together miss as often as that of the whole may.
Source: Ward 1963 (joining); McCullagh and Nelder 1989, 4.5 (dispersion); Clopper and Pearson 1934; Bonferroni.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import log
from typing import NamedTuple

from schemas.windows import DAY_MS
from streams.core import special
from streams.core.baseline import REACH_MS, Stretch
from streams.core.detectors.beta_binomial import effective
from streams.core.watching.hours import HOURS

FULL_WEEKS = 4
"""Full days that a weekday wants, and that the hours of the day want in all."""
WEEKDAYS = 7
MORE_THAN_CHANCE = 15.0
"""Twice the log likelihood ratio at which two neighbours differ: of 24 hours alike, more than one run is left in 1 of 100 cases."""
Hours = Sequence[tuple[int, int]]
"""(answers, bad ones) by hour of a day"""


class Cell(NamedTuple):
    """What a cell has taught."""

    n: int
    bad: int
    crowd: float
    """How many of its answers share the day of one on average, itself included."""


class Taught(NamedTuple):
    """What the quiet full days teach about the hours."""

    of: tuple[int, ...] = ()
    """Which cell an hour belongs to, by hour of the week since the epoch, else by hour of the day; none: all are alike."""
    cells: tuple[Cell, ...] = ()

    def mirrored(self) -> "Taught":
        """Return the same of the good answers."""
        return self._replace(cells=tuple(one._replace(bad=one.n - one.bad) for one in self.cells))


def full_days(days: Mapping[int, Hours], stretch: Stretch) -> dict[int, Hours]:
    """Return the days that teach in full: not the first that is known, unless it is out of reach; empty ones count."""
    if not days:
        return {}
    begin = max(min(days) + DAY_MS, -(-(stretch.pane - REACH_MS) // DAY_MS) * DAY_MS)
    end = stretch.pane - stretch.lag_ms - DAY_MS
    none: Hours = ((0, 0),) * HOURS
    return {day: days.get(day, none) for day in range(begin, end + 1, DAY_MS) if stretch.holds(day)}


def taught(days: Mapping[int, Hours]) -> Taught:
    """Return what full days (ms -> hours) teach."""
    if len(days) < FULL_WEEKS:
        return Taught()
    by_weekday: list[list[Hours]] = [[] for _ in range(WEEKDAYS)]
    for day, hours in sorted(days.items()):
        by_weekday[day // DAY_MS % WEEKDAYS].append(hours)
    chance = MORE_THAN_CHANCE * _dispersion([hours[at] for hours in held] for held in by_weekday for at in range(HOURS))
    runs = joined([_total(hours[at] for hours in days.values()) for at in range(HOURS)], chance)
    full = [weekday for weekday, held in enumerate(by_weekday) if len(held) >= FULL_WEEKS]
    cells: list[Cell] = []
    of = [[0] * HOURS for _ in range(WEEKDAYS)]
    split = False
    for run in runs:
        of_run = [[_total(hours[at] for at in run) for hours in by_weekday[weekday]] for weekday in full]
        apart = joined([_total(held) for held in of_run], MORE_THAN_CHANCE * _dispersion(of_run))
        split = split or len(apart) > 1
        parts = [[full[at] for at in part] for part in apart] if len(apart) > 1 else []
        others = [weekday for weekday in range(WEEKDAYS) if not any(weekday in part for part in parts)]
        for weekdays, teach in [*((part, part) for part in parts), (others, range(WEEKDAYS))]:
            for weekday in weekdays:
                for at in run:
                    of[weekday][at] = len(cells)
            if weekdays:
                held = [hours for weekday in teach for hours in by_weekday[weekday]]
                cells.append(_cell([_total(hours[at] for at in run) for hours in held]))
    if len(cells) < 2:
        return Taught()
    return Taught(tuple(cell for hours in of for cell in hours) if split else tuple(of[0]), tuple(cells))


def _total(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    n = bad = 0
    for many, of in pairs:
        n, bad = n + many, bad + of
    return n, bad


def _cell(days: Sequence[tuple[int, int]]) -> Cell:
    n, bad = _total(days)
    return Cell(n, bad, sum([one * one for one, _ in days]) / n if n else 1.0)


def joined(places: Sequence[tuple[int, int]], chance: float) -> list[list[int]]:
    """Return runs of neighbouring places (the last and the first are neighbours) that do not differ beyond chance.

    places: (answers, bad ones); chance: twice the log likelihood ratio that still is chance.
    """
    runs, sums = [[at] for at in range(len(places))], list(places)
    apart = [_apart(one, sums[(at + 1) % len(sums)]) for at, one in enumerate(sums)]
    while len(runs) > 1:
        nearest = min(apart)
        if nearest > chance:
            break
        at = apart.index(nearest)
        after = (at + 1) % len(runs)
        runs[at] += runs[after]
        sums[at] = (sums[at][0] + sums[after][0], sums[at][1] + sums[after][1])
        del runs[after], sums[after], apart[after]
        at -= after < at
        for here in (at - 1, at):
            apart[here] = _apart(sums[here], sums[(here + 1) % len(sums)])
    return runs


def _apart(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Return twice the log likelihood ratio of two shares against a single one."""
    both = (one[0] + other[0], one[1] + other[1])
    return max(0.0, 2 * (_log_likelihood(*one) + _log_likelihood(*other) - _log_likelihood(*both)))


def _log_likelihood(n: int, bad: int) -> float:
    return bad * log(bad / n) + (n - bad) * log((n - bad) / n) if 0 < bad < n else 0.0


def _dispersion(places: Iterable[Iterable[tuple[int, int]]]) -> float:
    """Return the variance of the days around the share of their place, in units of independent answers, at least 1."""
    squares, freedom = 0.0, 0
    for days in places:
        held = [(n, bad) for n, bad in days if n]
        total, worse = _total(held)
        if 0 < worse < total:
            share = worse / total
            squares += sum([(bad - n * share) ** 2 / n for n, bad in held]) / (share * (1 - share))
            freedom += len(held) - 1
    return max(1.0, squares / freedom) if freedom else 1.0


def _by_hour(found: Taught, value: Callable[[Cell], float]) -> tuple[float, ...]:
    held = [value(one) for one in found.cells]
    return tuple(held[cell] for cell in found.of)


def bounds(found: Taught, rho: float, miss: float) -> tuple[float, ...]:
    """Return the upper bounds of the bad share by hour of the week, else by hour of the day, none where all are alike.

    rho: correlation of two answers of a day; miss: how often the bounds together may.
    """
    return _by_hour(found, lambda one: upper(*effective(one.n, one.bad, rho, one.crowd), miss / len(found.cells)))


def upper(n: int, bad: int, miss: float) -> float:
    """Return the exact one-sided upper bound of a share; 1 without answers. Source: Clopper and Pearson 1934."""
    return float(special.betaincinv(bad + 1, n - bad, 1 - miss)) if bad < n else 1.0


def weights(found: Taught, share: float) -> tuple[float, ...]:
    """Return how many times the share of the whole, above 0, each hour has on average, for the hours of `bounds`."""
    return _by_hour(found, lambda one: (one.bad + share) / (one.n + 1) / share)
