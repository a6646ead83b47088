"""What a rule can find at a key: the smallest change found within a day, a week, a month, or that it cannot.

"Found within" means that the mean delay from the change to the alarm, from the steady state of the statistic, is at most
the horizon and at most a quarter of the mean time between false alarms at this key (a later alarm tells too little).
One pane is added, since answers speak when their pane ends. A key costs 0.1-0.2 s: for reports, not for every pane.

Answers of several strata, or of a parent's children, are compared each with its own baseline: an answer is of a stratum
and in a cell, and has the ratio of both (`Part`). What is sought changes all strata together, from their baselines on.

One change's delay is within 5 % of simulation. Several share the statistic: the first of them to find it alone, with
its own weight, is too slow (to 1.8 times at large budgets), with all of the weight too fast (to 0.8 times). A geometric
mean with 1/3 of the former was within -11 .. +20 % of simulation for three families, budgets of 1e-2 to 1e-5 an answer.
Scores, children of a parent and counts were within 3 % of simulation for one change, within -3 .. +8 % for several.
"""

from collections.abc import Callable, Sequence
from math import exp
from typing import NamedTuple, Protocol, TypeVar

from scipy.optimize import brentq

from schemas.windows import DAY_MS
from streams.core.detectors.delay import Answers, Chain, Steps
from streams.core.detectors.likelihood import Bernoulli, Counts

HORIZONS_DAYS = (1, 7, 30)
LAST_DAYS = 90
_TRUSTED = 4
_HALVINGS = 10
_COUNTS_A_STEP = (0.25, 100.0)
_MOST_FACTOR = 100.0
_OWN_WEIGHT = 1 / 3
_STEEPEST = 500.0
"""Tilt beyond which all answers are as bad (or as good) as can be."""
_Truth_contra = TypeVar("_Truth_contra", contravariant=True)
_T = TypeVar("_T")


class Delays(Protocol[_Truth_contra]):
    """The delay of one change, in answers or steps, by what is true."""

    def mean_delay(self, truth: _Truth_contra, /) -> float:
        """Return the mean delay."""
        ...


def _family_delay(own: Sequence[Delays[_T]], whole: Sequence[Delays[_T]], truth: _T) -> float:
    alone = min(delays.mean_delay(truth) for delays in whole)
    if len(own) == 1:
        return alone
    return float(min(delays.mean_delay(truth) for delays in own) ** _OWN_WEIGHT * alone ** (1 - _OWN_WEIGHT))


class Findable(NamedTuple):
    """The smallest change found within each horizon, None where even the largest is not."""

    by_days: dict[int, float | None]
    """Horizon in days -> bad share, or factor of the counts."""
    within_last: float | None
    """The same for 90 days; None: it cannot be found here, use the parent."""


class Finder(NamedTuple):
    """Delays of one key's statistic, by what is true."""

    delay_days: Callable[[float], float]
    """Bad share (or factor of the counts) -> mean days to the alarm."""
    of_size: Callable[[float], float]
    """Size 0..1 (nothing changed .. the most that can) -> bad share, or factor."""
    false_alarm_days: float
    """Mean days between false alarms at this key, at least."""

    def within(self, days: float) -> float | None:
        """Return the smallest change found within `days`, to 1/1024 of the largest; None when there is none."""
        wanted = min(days, self.false_alarm_days / _TRUSTED)
        if self.delay_days(self.of_size(1.0)) > wanted:
            return None
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.delay_days(self.of_size(middle)) <= wanted else (middle, high)
        return self.of_size(high)

    def findable(self) -> Findable:
        """Return what is found within each horizon."""
        return Findable({days: self.within(days) for days in HORIZONS_DAYS}, self.within(LAST_DAYS))


def answers_finder(
    changes: Sequence[tuple[Bernoulli, float]], answers_per_day: float, budget_per_day: float, pane_ms: int
) -> Finder:
    """Return the finder of a bad share.

    changes: (change, its weight pi), all of one baseline and one direction; answers_per_day > 0: the key's rate;
    budget_per_day > 0: expected false alarms a day that this key may spend.
    """
    w = budget_per_day / answers_per_day
    own = [Answers(change, w * share) for change, share in changes]
    whole = [Answers(change, w) for change, _ in changes]
    p0, worse = changes[0][0].p0, changes[0][0].p1 > changes[0][0].p0
    end = 1.0 if worse else 0.0

    def delay_days(p: float) -> float:
        return _family_delay(own, whole, p) / answers_per_day + pane_ms / DAY_MS

    return Finder(delay_days, lambda size: p0 + size * (end - p0), 1 / budget_per_day)


def independent(answers_per_day: float, rho: float) -> float:
    """Return how many independent answers a day say as much as these, of which two of a day have the correlation rho.

    Delays from it were within -4 .. +5 % of simulation, rho up to .1, 20 to 200 answers a day. Source: Kish 1965.
    """
    return answers_per_day / (1 + rho * max(0.0, answers_per_day - 1))


class Part(NamedTuple):
    """The answers of one stratum: outcomes of an answer, and what they say of each change."""

    share: float
    """Its part of all answers; over all parts 1."""
    log_ratios: tuple[tuple[float, ...], ...]
    """change -> outcome -> log ratio of an answer"""
    chances: Callable[[float], Sequence[float]]
    """Size 0..1 of what has happened (0: nothing) -> chance of each outcome."""
    ends: tuple[float, float]
    """Bad share, or mean badness, of sizes 0 and 1; in between it goes evenly."""


def share_part(share: float, changes: Sequence[Bernoulli]) -> Part:
    """Return a stratum of which a bad share is watched; changes: all of one baseline and one direction."""
    p0, end = changes[0].p0, 1.0 if changes[0].p1 > changes[0].p0 else 0.0

    def chances(size: float) -> tuple[float, float]:
        p = p0 + size * (end - p0)
        return p, 1 - p

    return Part(share, tuple((one.log_bad, one.log_good) for one in changes), chances, (p0, end))


def score_part(
    share: float, badness: Sequence[float], shape: Sequence[float], p0: float, tilts: Sequence[tuple[float, float]]
) -> Part:
    """Return a stratum of which a mean badness is watched.

    badness: of each cell, rising from 0 to 1; shape: how often each cell is seen in quiet times, all above 0; it is tilted
    to the mean p0 of the baseline, and on from there; tilts: (tilt, log E0[exp(tilt * badness)]) of each change.
    """
    end = 1.0 if tilts[0][0] > 0 else 0.0

    def chances(size: float) -> list[float]:
        return shifted(badness, shape, p0 + size * (end - p0))

    ratios = tuple(tuple(tilt * one - log_mean for one in badness) for tilt, log_mean in tilts)
    return Part(share, ratios, chances, (p0, end))


def shifted(badness: Sequence[float], shape: Sequence[float], mean: float) -> list[float]:
    """Return the distribution on the exponential tilt of `shape` that has this mean, 0..1; at the ends a single cell."""

    def tilted(tilt: float) -> list[float]:
        raised = [p * exp(tilt * (one - (1.0 if tilt > 0 else 0.0))) for one, p in zip(badness, shape, strict=True)]
        return [one / sum(raised) for one in raised]

    def excess(tilt: float) -> float:
        return sum([one * p for one, p in zip(badness, tilted(tilt), strict=True)]) - mean

    if excess(_STEEPEST) <= 0:
        return tilted(_STEEPEST)
    if excess(-_STEEPEST) >= 0:
        return tilted(-_STEEPEST)
    return tilted(float(brentq(excess, -_STEEPEST, _STEEPEST, xtol=1e-9)))


def mixed_finder(
    parts: Sequence[Part], weights: Sequence[float], answers_per_day: float, budget_per_day: float, pane_ms: int
) -> Finder:
    """Return the finder of a bad share, or mean badness, over all parts; weights: pi of each change, sum 1."""

    def outcomes(size: float) -> list[float]:
        return [part.share * chance for part in parts for chance in part.chances(size)]

    w, null = budget_per_day / answers_per_day, outcomes(0.0)
    ratios = [[one for part in parts for one in part.log_ratios[change]] for change in range(len(weights))]
    whole = [Chain(one, null, w) for one in ratios]
    own = [Chain(one, null, w * pi) for one, pi in zip(ratios, weights, strict=True)] if len(weights) > 1 else whole
    begin, end = (sum([part.share * part.ends[at] for part in parts]) for at in (0, 1))

    def delay_days(level: float) -> float:
        size = min(1.0, max(0.0, (level - begin) / (end - begin)))
        return _family_delay(own, whole, outcomes(size)) / answers_per_day + pane_ms / DAY_MS

    return Finder(delay_days, lambda size: begin + size * (end - begin), 1 / budget_per_day)


def counts_finder(
    changes: Sequence[tuple[Counts, float]], expected_per_day: float, budget_per_day: float, pane_ms: int
) -> Finder:
    """Return the finder of a factor of counts, up to 100 or down to 0; arguments as for answers.

    Where a pane expects less than a quarter of a count, several panes make a step; where more than 100, a part of it.
    """
    least, most = _COUNTS_A_STEP
    expected = min(most, max(least, expected_per_day * pane_ms / DAY_MS))
    step_days = expected / expected_per_day
    w = budget_per_day * step_days
    own = [Steps(change, expected, w * share) for change, share in changes]
    whole = [Steps(change, expected, w) for change, _ in changes]
    rise = changes[0][0].factor > 1

    def delay_days(factor: float) -> float:
        return _family_delay(own, whole, factor) * step_days + pane_ms / DAY_MS

    def of_size(size: float) -> float:
        return _MOST_FACTOR**size if rise else 1 - size

    return Finder(delay_days, of_size, 1 / budget_per_day)
