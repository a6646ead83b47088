"""The coverage of intervals that are looked at once."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.special import gammaln, xlogy
from scipy.stats import poisson

from deploy.simulation.covered import (
    ROUNDING,
    Bounds,
    Counts,
    Floats,
    Promise,
    Row,
    answer_mixes,
    nps_mixes,
    row_of,
    said,
    shares,
)
from streams.core.intervals import adjusted_wald_nps, poisson_exact, wilson


def share_once(n: int, level: float) -> Row:
    """Return the coverage of the Wilson interval of n answers, all outcomes enumerated."""
    truths = shares()
    mixes = np.stack([1 - truths, truths], axis=1)
    held = _enumerated(n, mixes, truths, lambda counts: wilson(counts[1], n, level))
    return row_of("share, Wilson", f"once, n = {n}", truths, held, level, at=[f"share {one:.3f}" for one in truths])


def nps_once(n: int, level: float) -> Row:
    """Return the coverage of the adjusted Wald interval of the NPS of n answers, all outcomes enumerated."""
    mixes = nps_mixes(0.05)
    truths = 100 * (mixes[:, 2] - mixes[:, 0])
    held = _enumerated(n, mixes, truths, lambda counts: adjusted_wald_nps(counts[2], counts[0], n, level))
    return row_of("NPS, adjusted Wald", f"once, n = {n}", truths, held, level, at=[said(mix) for mix in mixes])


SumsToBounds = Callable[[int, int, int, float, tuple[int, int]], Bounds]


def _of_counts(bounds: SumsToBounds, n: int, level: float, counts: Sequence[int]) -> Bounds:
    total = sum(point * count for point, count in enumerate(counts, 1))
    squares = sum(point * point * count for point, count in enumerate(counts, 1))
    return bounds(total, squares, n, level, (1, 5))


def mean_once(name: str, bounds: SumsToBounds, n: int, level: float) -> Row:
    """Return the coverage of an interval of the mean of n answers on 5 points, all outcomes enumerated."""
    mixes = answer_mixes()
    truths = mixes @ np.arange(1, 6)
    held = _enumerated(n, mixes, truths, partial(_of_counts, bounds, n, level))
    return row_of(name, f"once, n = {n}", truths, held, level, at=[said(mix) for mix in mixes])


def mean_drawn(name: str, bounds: SumsToBounds, n: int, level: float, draws: int, seed: int) -> Row:
    """Return the same for an n with too many outcomes, from draws."""
    mixes, rng = answer_mixes(), np.random.default_rng(seed)
    truths = mixes @ np.arange(1, 6)
    held = []
    for mix, truth in zip(mixes, truths, strict=True):
        ends = np.array([_of_counts(bounds, n, level, counts) for counts in rng.multinomial(n, mix, draws).tolist()])
        held.append(float(np.mean((ends[:, 0] <= truth + ROUNDING) & (truth - ROUNDING <= ends[:, 1]))))
    at = [said(mix) for mix in mixes]
    return row_of(name, f"once, n = {n}", truths, np.array(held), level, at=at, how=f"{draws:,} draws a truth")


def rate_once(top: int, level: float) -> Row:
    """Return the coverage of the exact Poisson interval for expected counts up to `top`."""
    truths = np.linspace(top / 400, top, 400)
    counts = np.arange(2 * top + 60)
    ends = np.array([poisson_exact(int(count), level) for count in counts])
    held = np.array([(poisson.pmf(counts, one) * ((ends[:, 0] <= one) & (one <= ends[:, 1]))).sum() for one in truths])
    at = [f"expected {one:.2f}" for one in truths]
    return row_of("count, exact Poisson", f"once, up to {top}", truths, held, level, at=at, promise=Promise.EACH)


def _enumerated(n: int, mixes: Floats, truths: Floats, bounds: Callable[[Sequence[int]], Bounds]) -> Floats:
    """Return the chance that `bounds` of the counts of n answers holds the truth, for each mix."""
    outcomes = compositions(n, mixes.shape[1])
    ways = gammaln(n + 1) - gammaln(outcomes + 1).sum(axis=1)
    ends = np.array([bounds(counts) for counts in outcomes.tolist()])
    held = np.empty(len(mixes))
    for at, (mix, truth) in enumerate(zip(mixes, truths, strict=True)):
        holds = (ends[:, 0] <= truth + ROUNDING) & (truth - ROUNDING <= ends[:, 1])
        held[at] = np.exp(ways[holds] + xlogy(outcomes[holds], mix).sum(axis=1)).sum()
    return held


def compositions(n: int, parts: int) -> Counts:
    """Return all ways to share n answers among so many bins, one a row."""
    if parts == 1:
        return np.array([[n]])
    rest = {left: compositions(left, parts - 1) for left in range(n + 1)}
    return np.concatenate(
        [np.column_stack([np.full(len(rest[n - first]), first), rest[n - first]]) for first in range(n + 1)]
    )
