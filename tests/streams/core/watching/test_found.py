"""Promised delays of scores, parents and counts against simulation of the statistic with the ratios of the real detectors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from schemas.rules import BaselineKind, RuleKind
from schemas.windows import DAY_MS, HOUR_MS
from streams.core.bins import Bins
from streams.core.detectors.beta_binomial import log_ratio
from streams.core.detectors.found_within import (
    answers_finder,
    counts_finder,
    independent,
    mixed_finder,
    score_part,
    share_part,
    shifted,
)
from streams.core.detectors.likelihood import Bernoulli
from streams.core.detectors.likelihood import Counts as Changed
from streams.core.watching.bad_share import BadShare
from streams.core.watching.counts import EventCounts, Flow
from streams.core.watching.profile import Profile
from streams.core.watching.score import Score, badness_of
from tests.streams.core.watching.worlds import CSAT, NPS, PANE, START, VOLUME, rule

Ratios = np.ndarray[Any, np.dtype[np.float64]]
Draw = Callable[[np.random.Generator, int, bool], Ratios]
"""(generator, how many, whether the change has come) -> log ratio by change and run"""
QUIET = 600
"""Steps before the change: the statistic is steady by then."""
MOST = 24
"""Counts of a pane and child, less one; more are as good as never drawn."""
RATE = 1_000.0
"""Answers a day in the promises: one a pane, so that steps are answers."""
LEARNED = {"baseline": BaselineKind.LEARNED, "p0": None}


def simulated(draw: Draw, weights: Sequence[float], w: float, runs: int = 1000) -> float:
    """Return the mean steps to the alarm after a long quiet time; alarms before restart the statistic."""
    rng, added = np.random.default_rng(4), w * np.array(weights)[:, None]
    r, found = np.zeros((len(weights), runs)), np.zeros(runs)
    for _ in range(QUIET):
        r = (r + added) * np.exp(draw(rng, runs, False))
        r[:, r.sum(axis=0) >= 1] = 0
    for step in range(1, 20_000):
        r = (r + added) * np.exp(draw(rng, runs, True))
        found[(found == 0) & (r.sum(axis=0) >= 1)] = step
        if found.all():
            return float(found.mean())
    raise AssertionError("some change was never found")


def outcomes(ratios: Sequence[Sequence[float]], null: Sequence[float], truth: Sequence[float]) -> Draw:
    """Return how answers are drawn; ratios: outcome -> change."""
    table = np.array(ratios).T

    def draw(rng: np.random.Generator, many: int, changed: bool) -> Ratios:
        drawn: Ratios = table[:, rng.choice(len(null), many, p=truth if changed else null)]
        return drawn

    return draw


@pytest.mark.parametrize(
    ("metric", "p1", "mean", "w", "within"),
    [(CSAT, (0.35,), 0.35, 1e-3, 0.07), (CSAT, (0.35,), 0.30, 1e-2, 0.07), (NPS, (0.4,), 0.45, 1e-3, 0.07),
     (CSAT, (0.3, 0.4), 0.30, 1e-3, 0.25), (CSAT, (0.3, 0.4), 0.5, 1e-3, 0.25), (NPS, (0.35, 0.45, 0.6), 0.4, 1e-2, 0.25)],
)  # fmt: skip
def test_the_delay_of_a_score_is_close_to_its_simulation(
    metric: Any, p1: tuple[float, ...], mean: float, w: float, within: float
) -> None:
    bins = Bins(metric)
    kind = Score(rule(RuleKind.SCORE, metric.name, p1=p1, **LEARNED), metric, bins)
    of = badness_of(metric)
    cells = sorted(set(of.values()))
    seen = {cell: 4.0 ** -(place % 3) for place, cell in enumerate(cells)}
    shape = [seen[cell] / sum(seen.values()) for cell in cells]
    shape = shifted(cells, shape, 0.2)
    bin_of = {cell: bin_ for bin_, cell in of.items()}
    taught = kind.teach({bin_of[cell]: round(50_000 * p) for cell, p in zip(cells, shape, strict=True)}, 50_000)
    assert not isinstance(taught, str)
    part = score_part(1.0, cells, shape, taught.p0, taught.tilts)
    ratios = []
    for cell in cells:
        said = kind.seen({"card": taught}, {"card": bins.packed({bin_of[cell]: 1})}, START)
        assert said is not None
        ratios.append([ratio.whole for ratio in said.ratios])
    size = (mean - taught.p0) / (1 - taught.p0)
    draw = outcomes(ratios, part.chances(0.0), part.chances(size))
    finder = mixed_finder([part], kind.weights, RATE, w * RATE, PANE)
    found = (finder.delay_days(mean) - PANE / DAY_MS) * RATE
    assert found == pytest.approx(simulated(draw, kind.weights, w), rel=within)


@pytest.mark.parametrize(
    ("p1", "size", "w", "within"),
    [((0.25,), 0.15, 1e-3, 0.07), ((0.25,), 0.3, 1e-2, 0.07), ((0.2, 0.4), 0.2, 1e-3, 0.25)],
)
def test_the_delay_of_a_parent_is_close_to_its_simulation(
    p1: tuple[float, ...], size: float, w: float, within: float
) -> None:
    """Three children at their own rates and baselines; all of them change, each from its own baseline on."""
    bins = Bins(CSAT)
    kind = BadShare(rule(RuleKind.DROP, p1=p1, strata="children", dimension="*", day_effect=0.0, **LEARNED), CSAT, bins)
    rates, levels = (0.6, 0.3, 0.1), (0.05, 0.1, 0.2)
    baseline, parts, ratios = {}, [], []
    for name, (rate, level) in enumerate(zip(rates, levels, strict=True)):
        one = kind.declared(level, {}, 0)
        assert not isinstance(one, str)
        baseline[str(name)] = one
        parts.append(share_part(rate, [Bernoulli(one.p0, each) for each in one.p1]))
        for counts in ({1: 1}, {5: 1}):
            said = kind.seen({str(name): one}, {str(name): bins.packed(counts)}, START)
            assert said is not None
            ratios.append([ratio.whole for ratio in said.ratios])
    null, truth = ([part.share * chance for part in parts for chance in part.chances(at)] for at in (0.0, size))
    bad = sum(rate * (level + size * (1 - level)) for rate, level in zip(rates, levels, strict=True))
    finder = mixed_finder(parts, kind.weights, RATE, w * RATE, PANE)
    found = (finder.delay_days(bad) - PANE / DAY_MS) * RATE
    assert found == pytest.approx(simulated(outcomes(ratios, null, truth), kind.weights, w), rel=within)


@pytest.mark.parametrize(("rho", "many", "truth"), [(0.02, 50, 0.25), (0.1, 50, 0.3), (0.05, 20, 0.25)])
def test_the_delay_with_good_and_bad_days_is_close_to_its_simulation(rho: float, many: int, truth: float) -> None:
    """Days' shares are drawn from a beta distribution, and the statistic takes each answer after those of its day."""
    p0, p1, budget, runs = 0.1, 0.25, 1 / 140, 300
    table = np.array([
        [[log_ratio(p0, p1, rho, (n, min(n, bad)), (1, one)) for one in (0, 1)] for bad in range(many)]
        for n in range(many)
    ])  # fmt: skip
    rng, size = np.random.default_rng(1), (1 - rho) / rho
    r, found, steps = np.zeros(runs), np.zeros(runs), 0
    for day in range(200):
        p = p0 if day < 30 else truth
        share, bad = rng.beta(p * size, (1 - p) * size, runs), np.zeros(runs, dtype=int)
        for n in range(many):
            one = (rng.random(runs) < share).astype(int)
            r = (r + budget / many) * np.exp(table[n, bad, one])
            bad += one
            steps += day >= 30
            found[(found == 0) & (r >= 1) & (day >= 30)] = steps
            if day < 30:
                r[r >= 1] = 0
    assert found.all()
    finder = answers_finder([(Bernoulli(p0, p1), 1.0)], independent(many, rho), budget, PANE)
    assert finder.delay_days(truth) == pytest.approx(found.mean() / many, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "factors", "truth", "dispersions", "per_pane", "within"),
    [(RuleKind.COUNT_DROP, (0.5,), 0.5, (1.0, 1.0), (1.5, 0.5), 0.07),
     (RuleKind.COUNT_DROP, (0.5,), 0.2, (2.0, 2.0), (1.5, 0.5), 0.07),
     (RuleKind.COUNT_DROP, (0.5,), 0.3, (1.0, 1.0), (0.03, 0.01), 0.07),
     (RuleKind.COUNT_RISE, (2.0,), 1.7, (1.0, 1.0), (1.5, 0.5), 0.07),
     (RuleKind.COUNT_RISE, (1.5,), 2.0, (1.5, 3.0), (1.5, 0.5), 0.25),
     (RuleKind.COUNT_RISE, (1.5, 3.0), 1.7, (1.0, 1.0), (1.5, 0.5), 0.25),
     (RuleKind.SILENCE, (0.05,), 0.0, (1.0, 1.0), (1.5, 0.5), 0.07),
     (RuleKind.SILENCE, (0.05,), 0.0, (1.0, 1.0), (0.03, 0.01), 0.07)],
)  # fmt: skip
def test_the_delay_of_counts_of_a_parent_is_close_to_its_simulation(
    kind: RuleKind, factors: tuple[float, ...], truth: float, dispersions: tuple[float, float],
    per_pane: tuple[float, float], within: float,
) -> None:  # fmt: skip
    """Two children; the finder takes them as one with the mean dispersion."""
    bins, w = Bins(VOLUME), 1e-3 * sum(per_pane)
    of = EventCounts(rule(kind, "volume", factors=factors, strata="children", dimension="*"), VOLUME, bins, PANE)
    names, panes_an_hour = ("a", "b"), HOUR_MS / PANE
    baseline = {
        name: Flow(Profile((mean * panes_an_hour,), dispersion, 1, 1), factors, 1.0, fixed=True)
        for name, mean, dispersion in zip(names, per_pane, dispersions, strict=True)
    }
    (counted,) = bins.shifts

    def ratio(seen: tuple[int, int]) -> list[float]:
        strata = {name: bins.packed({counted: count}) for name, count in zip(names, seen, strict=True) if count}
        said: Any = of.seen(baseline, strata, START) if strata else of.quiet(baseline, START)
        return [one.whole for one in said.ratios]

    table = np.array([[ratio((one, other)) for other in range(MOST)] for one in range(MOST)])

    def draw(rng: np.random.Generator, many: int, changed: bool) -> Ratios:
        seen = []
        for mean, dispersion in zip(per_pane, dispersions, strict=True):
            now = mean * (truth if changed else 1.0)
            over = mean / (dispersion - 1) if dispersion > 1 else 0.0
            drawn = rng.negative_binomial(over, over / (over + now), many) if over else rng.poisson(now, many)
            seen.append(np.minimum(drawn, MOST - 1))
        return np.asarray(table[seen[0], seen[1]].T)

    total, panes_a_day = sum(per_pane), DAY_MS / PANE
    dispersion = sum(mean * each for mean, each in zip(per_pane, dispersions, strict=True)) / total
    changes = [(Changed(factor, dispersion), pi) for factor, pi in zip(factors, of.weights, strict=True)]
    finder = counts_finder(changes, total * panes_a_day, w * panes_a_day, PANE)
    found = finder.delay_days(truth) * panes_a_day - 1
    assert found == pytest.approx(simulated(draw, of.weights, w, 800), rel=within)


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.1, 0.5, 0.9, 1.0])
def test_a_shape_is_shifted_to_any_mean(mean: float) -> None:
    cells, shape = (0.0, 0.25, 0.5, 0.75, 1.0), (0.5, 0.3, 0.1, 0.05, 0.05)
    found = shifted(cells, shape, mean)
    assert sum(found) == pytest.approx(1)
    assert sum(one * p for one, p in zip(cells, found, strict=True)) == pytest.approx(mean, abs=1e-7)


def test_parts_alike_promise_what_a_share_does() -> None:
    family = [Bernoulli(0.15, 0.25), Bernoulli(0.15, 0.4)]
    one = answers_finder([(change, 0.5) for change in family], 100, 1 / 140, PANE)
    other = mixed_finder([share_part(0.5, family), share_part(0.5, family)], (0.5, 0.5), 100, 1 / 140, PANE)
    assert other.findable().by_days == pytest.approx(one.findable().by_days)
    assert other.delay_days(0.3) == pytest.approx(one.delay_days(0.3))
