"""The coverage of intervals that are looked at after every answer: the chance that they hold at all looks."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import poisson

from deploy.simulation.covered import (
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
from streams.core.anytime import NODES, log_factors, rate_sequence


def share_watched(
    name: str, bounds: Callable[[int, int, float], Bounds], n: int, level: float, promise: Promise
) -> Row:
    """Return the chance that an interval of a share never misses up to n answers, all paths counted."""
    truths = shares()
    chance = np.ones((1, len(truths)))  # of good answers so far x truth, of the paths that never missed
    for size in range(1, n + 1):
        grown = np.zeros((size + 1, len(truths)))
        grown[:-1] += chance * (1 - truths)
        grown[1:] += chance * truths
        ends = np.array([bounds(good, size, level) for good in range(size + 1)])
        chance = np.where((ends[:, :1] <= truths) & (truths <= ends[:, 1:]), grown, 0.0)
    at = [f"share {one:.3f}" for one in truths]
    return row_of(name, _looks(n), truths, chance.sum(axis=0), level, at=at, promise=promise)


def nps_watched(n: int, levels: Sequence[float]) -> list[Row]:
    """Return, by level, the chance that the anytime-valid interval of the NPS never misses up to n answers.

    All paths are counted. A truth is in the interval while the wealth against it is below the bar, which is what the
    interval inverts.
    """
    mixes, points = nps_mixes(0.3), np.array([0.0, 0.5, 1.0])
    bars = -np.log1p(-np.array(levels))
    held = []
    for mix in mixes:
        factors = np.array([log_factors(float(point), float(mix @ points)) for point in points])
        chance = np.zeros((len(levels), n + 1, n + 1))  # by level, detractors and promoters
        chance[:, 0, 0] = 1
        for size in range(1, n + 1):
            grown = mix[1] * chance
            grown[:, 1:] += mix[0] * chance[:, :-1]
            grown[:, :, 1:] += mix[2] * chance[:, :, :-1]
            down, up = np.nonzero(grown.max(axis=0) > 1e-13)  # a path less likely than this decides nothing
            wealth = _log_wealth(np.stack([down, size - down - up, up], axis=1), factors)
            chance = np.zeros_like(grown)
            chance[:, down, up] = np.where(wealth < bars[:, None], grown[:, down, up], 0.0)
        held.append(chance.sum(axis=(1, 2)))
    at, by_level = [said(mix) for mix in mixes], np.array(held).T
    return [
        row_of("NPS, anytime-valid", _looks(n), mixes, one, level, at=at, promise=Promise.EACH)
        for level, one in zip(levels, by_level, strict=True)
    ]


def mean_watched(n: int, levels: Sequence[float], paths: int, seed: int) -> list[Row]:
    """Return, by level, the share of drawn paths on which the anytime-valid interval of a mean holds up to n answers."""
    mixes, points, rng = answer_mixes()[::8], np.arange(5) / 4, np.random.default_rng(seed)
    bars = -np.log1p(-np.array(levels))
    held = []
    for mix in mixes:
        factors = np.array([log_factors(float(point), float(mix @ points)) for point in points])
        drawn = (np.cumsum(rng.multinomial(1, mix, n), axis=0) for _ in range(paths))
        highest = np.array([_log_wealth(counts, factors).max() for counts in drawn])
        held.append([np.mean(highest < bar) for bar in bars])
    at, by_level, how = [said(mix) for mix in mixes], np.array(held).T, f"{paths:,} paths a truth"
    return [
        row_of("mean, anytime-valid", _looks(n), mixes, one, level, at=at, promise=Promise.EACH, how=how)
        for level, one in zip(levels, by_level, strict=True)
    ]


def rate_watched(n: int, level: float) -> Row:
    """Return the chance that the anytime-valid interval of a rate never misses until n events are expected.

    Looked at 20 times an expected event; all counts at those moments are followed.
    """
    truths, often = np.array([0.1, 1.0, 10.0]), 20
    most = int(n + 10 * n**0.5 + 20)
    came = poisson.pmf(np.arange(9), 1 / often)
    held = []
    for truth in truths:
        spans = np.array([_span_of(count, float(truth), level) for count in range(most + 1)])
        chance = np.zeros(most + 1)
        chance[0] = 1
        for look in range(1, n * often + 1):
            exposure = look / (often * truth)
            chance = np.convolve(chance, came)[: most + 1]
            chance[(exposure < spans[:, 0]) | (spans[:, 1] < exposure)] = 0
        held.append(chance.sum())
    names, looks = [f"rate {one:g}" for one in truths], f"20 times an event up to {n:,}"
    return row_of("rate, anytime-valid", looks, truths, np.array(held), level, at=names, promise=Promise.EACH)


def _span_of(count: int, rate: float, level: float) -> Bounds:
    """Return from which to which exposure the interval of this count holds the rate."""

    def crossing(end: int) -> float:
        low, high = 1e-9, 1e6
        for _ in range(45):
            middle = (low * high) ** 0.5
            if rate_sequence(count, middle, level)[end] > rate:
                low = middle
            else:
                high = middle
        return low

    return (crossing(0) if count else 0.0), crossing(1)


def _log_wealth(counts: Counts, factors: Floats) -> Floats:
    logs = counts @ factors
    peak = logs.max(axis=1)
    wealth: Floats = peak + np.log(np.exp(logs - peak[:, None]).sum(axis=1) / NODES)
    return wealth


def _looks(n: int) -> str:
    return f"after every answer up to {n:,}"
