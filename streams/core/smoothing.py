"""Values that forget with a half-life: an answer of one half-life ago weighs half as much as one of now.

State is what it is everywhere: counts by bucket of time. The weights are applied when the value is read, so it is the
same in whatever order the counts came, and a correction of an old bucket needs no inverse.
"""

from collections.abc import Collection, Mapping
from math import fsum, sqrt
from typing import NamedTuple, cast

from scipy.special import stdtrit

from streams.core.intervals import two_sided, wilson


class Decayed(NamedTuple):
    """Weighted counts by bin, their sum, and how many equally weighted answers know as much (Kish 1965)."""

    bins: Mapping[int, float]
    weight: float
    n_eff: float


class Smoothed(NamedTuple):
    """A smoothed value with its interval and the effective number of answers."""

    value: float
    lo: float
    hi: float
    n_eff: float


def decayed(buckets: Mapping[int, Mapping[int, int]], at_ms: int, half_life_ms: int) -> Decayed:
    """Return the counts of `buckets` (time in ms -> bin -> count) as weighted at `at_ms`.

    All answers of a bucket stand at its time: give its middle, or keep buckets short beside the half-life. A bucket
    after `at_ms` weighs more than 1: leave it out if the value is to be as known at that moment.
    Effective n = (sum of weights)^2 / sum of squared weights.
    """
    weighted: dict[int, list[float]] = {}
    squares: list[float] = []
    for time_ms, bins in buckets.items():
        weight = 2.0 ** (-(at_ms - time_ms) / half_life_ms)
        for bin_, count in bins.items():
            weighted.setdefault(bin_, []).append(count * weight)
            squares.append(count * weight * weight)
    # fsum rounds the exact sum once: no order of addition shows.
    by_bin = {bin_: fsum(parts) for bin_, parts in sorted(weighted.items())}
    total, square = fsum(by_bin.values()), fsum(squares)
    return Decayed(by_bin, total, total * total / square if square else 0.0)


def smoothed_share(decay: Decayed, box: Collection[int], level: float) -> Smoothed:
    """Return the share of the bins in `box` with the Wilson interval on the effective n; n_eff > 0."""
    share = min(1.0, fsum(weight for bin_, weight in decay.bins.items() if bin_ in box) / decay.weight)
    # The formula knows no difference between whole and effective answers.
    lo, hi = wilson(cast("int", share * decay.n_eff), cast("int", decay.n_eff), level)
    return Smoothed(share, lo, hi, decay.n_eff)


def smoothed_mean(decay: Decayed, level: float, scale: tuple[int, int]) -> Smoothed:
    """Return the mean of the bins with the t interval on the effective n, clipped to the scale; n_eff > 0.

    Where no more than one answer's worth is left, the interval is the whole scale.
    """
    least, most = float(scale[0]), float(scale[1])
    mean = fsum(bin_ * weight for bin_, weight in decay.bins.items()) / decay.weight
    if decay.n_eff <= 1 + 1e-9:
        return Smoothed(mean, least, most, decay.n_eff)
    freedom = decay.n_eff - 1
    spread = fsum((bin_ - mean) ** 2 * weight for bin_, weight in decay.bins.items()) / decay.weight
    half = float(stdtrit(freedom, two_sided(level))) * sqrt(spread / freedom)
    return Smoothed(mean, max(least, mean - half), min(most, mean + half), decay.n_eff)
