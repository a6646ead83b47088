"""Cumulative sums: of normal values, of answers by kind, and of yes-or-no answers on a lattice with exact run lengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

from schemas.errors import CatalogueError
from streams.core.detectors.run_length import lattice_arl, smallest_limit


class Sums(NamedTuple):
    """Where a two-sided CUSUM stands after a value, in the value's own units or in sigma, as k and h are."""

    up: float
    down: float
    run_up: int
    """Values since `up` was last 0 (N+ in Montgomery): the estimated time of change."""
    run_down: int
    alarm: bool


def gaussian(values: Iterable[float], target: float, k: float, h: float, *, start: float = 0.0) -> list[Sums]:
    """Return the tabular CUSUM: C+ = max(0, C+ + x - target - k), C- = max(0, C- + target - x - k), alarm above h.

    k: half the shift to find, h: the limit, both in the units of the values. start: the head start of both sums (FIR:
    h / 2), which finds early what was wrong from the beginning. Sources: Page 1954; Lucas and Crosier 1982.
    """
    out = []
    up = down = start
    run_up = run_down = 0
    for value in values:
        up, down = max(0.0, up + value - target - k), max(0.0, down + target - value - k)
        run_up, run_down = (run_up + 1 if up else 0), (run_down + 1 if down else 0)
        out.append(Sums(up, down, run_up, run_down, up > h or down > h))
    return out


def ordinal(answers: Iterable[int], p0: Sequence[float], p1: Sequence[float]) -> list[float]:
    """Return S = max(0, S + ln(p1[x] / p0[x])) after each answer x, a cell; two cells give the Bernoulli CUSUM.

    p0, p1: chances by cell, all above 0. Source: Page 1954, likelihood ratio form; Ryan, Wells and Woodall 2011.
    """
    ratios = [log(after / before) for before, after in zip(p0, p1, strict=True)]
    out, held = [], 0.0
    for answer in answers:
        held = max(0.0, held + ratios[answer])
        out.append(held)
    return out


def ordinal_arl(
    p0: Sequence[float], p1: Sequence[float], truth: Sequence[float], h: float, *, per_unit: float = 50.0
) -> float:
    """Return the ARL of the ordinal CUSUM with its ratios rounded to 1 / per_unit, alarm at S >= h, answers ~ truth."""
    steps: dict[int, float] = {}
    for before, after, chance in zip(p0, p1, truth, strict=True):
        step = round(per_unit * log(after / before))
        steps[step] = steps.get(step, 0.0) + chance
    return lattice_arl(steps, max(1, round(per_unit * h)))


def reference_value(p0: float, p1: float) -> float:
    """Return g of the Bernoulli CUSUM S = max(0, S + x - g): between p0 and p1. Source: Reynolds and Stoumbos 1999."""
    _demand_change(p0, p1)
    return log((1 - p0) / (1 - p1)) / log(p1 * (1 - p0) / (p0 * (1 - p1)))


def _demand_change(p0: float, p1: float) -> None:
    if not (0 < p0 < 1 and 0 < p1 < 1 and p0 != p1):
        raise CatalogueError("impossible_change", f"no change from the share {p0} to {p1}")


@dataclass(frozen=True, slots=True)
class BernoulliCusum:
    """A CUSUM of yes-or-no answers in whole steps of 1 / m, with g rounded to 1 / m: all run lengths are exact.

    worse: a bad answer adds m - 1, a good one takes 1; better: the other way round. Alarm at S >= limit, in steps.
    """

    m: int
    worse: bool
    limit: int

    def _steps(self, p: float) -> dict[int, float]:
        return {self.m - 1: p, -1: 1 - p} if self.worse else {1 - self.m: p, 1: 1 - p}

    def after(self, s: int, *, bad: bool) -> int:
        """Return S, in steps, after one answer."""
        return max(0, s + (self.m - 1 if bad else -1) * (1 if self.worse else -1))

    def arl(self, p: float, start: int = 0) -> float:
        """Return the mean number of answers until an alarm when the bad share is p."""
        return lattice_arl(self._steps(p), self.limit, start)


def bernoulli_cusum(p0: float, p1: float, wanted_arl: float) -> BernoulliCusum:
    """Return the CUSUM of p0 against p1 with the smallest limit whose run length at p0 is at least `wanted_arl` answers."""
    m = max(2, round(1 / reference_value(p0, p1)))
    worse = p1 > p0
    limit = smallest_limit(lambda steps: BernoulliCusum(m, worse, steps).arl(p0), wanted_arl)
    return BernoulliCusum(m, worse, limit)
