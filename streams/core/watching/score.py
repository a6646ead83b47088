"""A distribution of scores that moves to its bad end (or to its good one): the multinomial likelihood ratio.

A score has a badness, 0 at the best end of the scale and 1 at the worst; of an NPS promoters have 0, passives 1/2 and
detractors 1. The changes sought are means of it, reached by an exponential tilt. On a scale of two points this is the
drop of a share.

The learned distribution enters as a bound: of each share "at least so bad" the Wilson bound, together with the stated
confidence. Every distribution that is better throughout has ratios of mean <= 1, whatever its shape. A declared mean
knows no shape at all: it enters as the two ends alone, which bounds all distributions of that mean or a better one.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import exp, log, log1p

import msgspec

from schemas.errors import CatalogueError
from schemas.metrics import Metric, MetricKind
from schemas.rules import Rule
from streams.core.bins import Bins
from streams.core.detectors.likelihood import tilted
from streams.core.intervals import wilson_upper
from streams.core.watching.answered import Answered, Counts

PROMOTER, PASSIVE = 9, 7

tilt_of = lru_cache(8_192)(tilted)


class Scores(msgspec.Struct, frozen=True, array_like=True):
    """The mean badness of one stratum in quiet times and those that are sought, each with its tilt."""

    p0: float
    p1: tuple[float, ...]
    tilts: tuple[tuple[float, float], ...]
    """(tilt, log E0[exp(tilt * badness)])"""
    n: int
    bad: float
    fixed: bool


class Score(Answered[Scores]):
    """The mean badness rises or falls."""

    taught = Scores

    def __init__(self, rule: Rule, metric: Metric, bins: Bins) -> None:
        super().__init__(rule, metric, bins)
        self.badness = badness_of(metric)
        self._cells = sorted(set(self.badness.values()))

    @property
    def rises(self) -> bool:
        """Tell whether the badness rises in an alarm."""
        return self.rule.way == "down"

    def pair(self, counts: Counts) -> tuple[int, float]:
        """Return how many answers there are and the sum of their badness."""
        return sum(counts.values()), sum([count * self.badness[bin_] for bin_, count in sorted(counts.items())], 0.0)

    def teach(self, counts: Counts, n: int) -> Scores | str:
        """Return the bound of the distribution and the tilts from there."""
        bound = self._bound(counts, n)
        p0 = sum([share * cell for share, cell in zip(bound, self._cells, strict=True)])
        changes = self.sought(p0)
        if isinstance(changes, str):
            return changes
        try:
            found = [tilt_of(tuple(self._cells), bound, p1 - p0) for p1 in changes]
        except CatalogueError as error:
            return error.detail
        return Scores(p0, changes, tuple((one.tilt, one.log_mean) for one in found), *self.pair(counts), fixed=False)

    def _bound(self, counts: Counts, n: int) -> tuple[float, ...]:
        """Return the shares by cell of the distribution that bounds the learned one on its bad side."""
        cells = self._cells
        confidence = 1 - (1 - self.rule.learn_confidence) / (len(cells) - 1)
        beyond = [1.0]
        for cell in cells[1:]:
            held = sum([count for bin_, count in counts.items() if self.badness[bin_] >= cell])
            upper = wilson_upper(held, n, confidence) if self.rises else 1 - wilson_upper(n - held, n, confidence)
            beyond.append(upper)
        return tuple(max(0.0, one - after) for one, after in zip(beyond, [*beyond[1:], 0.0], strict=True))

    def declared(self, p0: float, counts: Counts, n: int) -> Scores | str:
        """Return the tilts between the two ends."""
        changes = self.sought(p0)
        if isinstance(changes, str):
            return changes
        tilts = []
        for p1 in changes:
            tilt = log(p1 / p0) - log((1 - p1) / (1 - p0))
            tilts.append((tilt, log1p(p0 * (exp(tilt) - 1))))
        return Scores(p0, changes, tuple(tilts), *self.pair(counts), fixed=True)

    def log_ratio(self, taught: Scores, change: int, pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio of (n, sum of badness)."""
        tilt, log_mean = taught.tilts[change]
        return tilt * pair[1] - log_mean * pair[0]

    def kinds(self, taught: Scores, change: int, counts: Counts) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many)."""
        tilt, log_mean = taught.tilts[change]
        return [(tilt * self.badness[bin_] - log_mean, count) for bin_, count in sorted(counts.items())]

    def shown(self, taught: Scores, change: int, pair: tuple[float, float]) -> dict[str, float]:
        """Return counts and levels."""
        n, bad = pair
        return {"n": n, "bad": bad, "score": bad / n, "baseline": taught.p0, "p0": taught.p0, "p1": taught.p1[change]}

    def target(self) -> float | None:
        """Return the target as a mean badness; a share's target is no mean."""
        metric, target = self.metric, self.metric.target
        if target is None or metric.kind is MetricKind.SHARE:
            return None
        if metric.kind is MetricKind.NPS:
            return (1 - target / 100) / 2
        assert metric.scale is not None
        low, high = metric.scale
        return (high - target) / (high - low) if metric.good == "high" else (target - low) / (high - low)


def badness_of(metric: Metric) -> Mapping[int, float]:
    """Return bin -> badness, 0 best to 1 worst."""
    assert metric.scale is not None
    low, high = metric.scale
    if metric.kind is MetricKind.NPS:
        return {bin_: 0.0 if bin_ >= PROMOTER else 0.5 if bin_ >= PASSIVE else 1.0 for bin_ in range(low, high + 1)}
    worst_first = metric.good == "high"
    return {bin_: (high - bin_ if worst_first else bin_ - low) / (high - low) for bin_ in range(low, high + 1)}
