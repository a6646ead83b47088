"""Likelihood ratios: mean one at the baseline, below it on its good side, by exact enumeration."""

from itertools import product
from math import comb, exp, factorial, log, prod

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from schemas.errors import CatalogueError
from streams.core.detectors.likelihood import Bernoulli, Counts, mixture, order_averaged, tilted
from streams.core.detectors.order_average import log_order_average
from streams.core.detectors.weighted import Ratio

shares = st.floats(0.005, 0.995)


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, bad) * p**bad * (1 - p) ** (n - bad) for bad in range(n + 1)]


@given(st.integers(0, 80), shares, shares, st.floats(0, 1))
def test_bernoulli_ratio_has_mean_at_most_one_where_the_null_bounds(n: int, p0: float, p1: float, part: float) -> None:
    assume(abs(p0 - p1) > 1e-6)
    change = Bernoulli(p0, p1)
    safe = p0 * part if p1 > p0 else p0 + (1 - p0) * part
    for truth in (p0, safe):
        chances = binomial(n, truth)
        mean = sum(c * exp(change.log_ratio(n, bad)) for bad, c in enumerate(chances) if c > 0)
        assert mean <= 1 + 1e-10
        assert truth == safe or mean == pytest.approx(1, abs=1e-10)


@given(st.integers(0, 50).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), shares, shares)
def test_bernoulli_ratio_is_that_of_the_binomial(pair: tuple[int, int], p0: float, p1: float) -> None:
    assume(p0 != p1)
    n, bad = pair
    expected = stats.binom.logpmf(bad, n, p1) - stats.binom.logpmf(bad, n, p0)
    assert Bernoulli(p0, p1).log_ratio(n, bad) == pytest.approx(expected, abs=1e-8)


SCORES = {"nps": (-1, 0, 1), "score": (1, 2, 3, 4, 5)}
BASES = {"nps": (0.2, 0.3, 0.5), "score": (0.05, 0.07, 0.13, 0.35, 0.40)}


@pytest.mark.parametrize("scale", SCORES)
@pytest.mark.parametrize("shift", [-0.4, -0.05, 0.05, 0.3])
def test_a_tilt_moves_the_mean_by_exactly_the_shift(scale: str, shift: float) -> None:
    change = tilted(SCORES[scale], BASES[scale], shift)
    before, after = np.dot(SCORES[scale], BASES[scale]), np.dot(SCORES[scale], change.p1)
    assert sum(change.p1) == pytest.approx(1, abs=1e-12)
    assert after - before == pytest.approx(shift, abs=1e-12)


@pytest.mark.parametrize("scale", SCORES)
@pytest.mark.parametrize("shift", [-0.4, 0.3])
def test_multinomial_ratio_has_mean_one_and_less_for_better_answers(scale: str, shift: float) -> None:
    change, n = tilted(SCORES[scale], BASES[scale], shift), 4
    cells = len(BASES[scale])
    moved = list(BASES[scale])  # mass moved to the side that the null allows
    giver, taker = (0, cells - 1) if shift < 0 else (cells - 1, 0)
    moved[taker] += moved[giver]
    moved[giver] = 0.0
    for truth, exact in ((BASES[scale], True), (moved, False)):
        mean = 0.0
        for counts in product(range(n + 1), repeat=cells):
            if sum(counts) == n:
                ways = factorial(n) / prod(factorial(count) for count in counts)
                chance = ways * prod(p**count for p, count in zip(truth, counts, strict=True))
                mean += chance * exp(change.log_ratio(counts))
        assert mean == pytest.approx(1, abs=1e-12) if exact else mean < 1


def test_a_multinomial_of_two_cells_is_bernoulli() -> None:
    change, plain = tilted((1, 0), (0.1, 0.9), 0.1), Bernoulli(0.1, 0.2)
    assert change.p1 == pytest.approx((0.2, 0.8))
    assert change.log_ratio((3, 5)) == pytest.approx(plain.log_ratio(8, 3), abs=1e-10)


def test_a_score_that_the_baseline_never_saw_has_a_finite_ratio() -> None:
    change = tilted((1, 2, 3), (0.0, 0.5, 0.5), -0.2)
    assert change.p1[0] == 0.0
    assert change.log_ratio((1, 0, 0)) > change.log_ratio((0, 1, 0)) > 0


@pytest.mark.parametrize(
    ("scores", "p0", "shift"),
    [((1, 2), (0.5, 0.5), -0.5), ((1, 2), (0.5, 0.5), 0.0), ((1, 2), (0.5, 0.6), -0.1), ((1, 2, 3), (0, 1, 0), -0.1)],
)
def test_a_shift_that_no_tilt_makes_is_refused(scores: list[float], p0: list[float], shift: float) -> None:
    with pytest.raises(CatalogueError):
        tilted(scores, p0, shift)


def mean_ratio(change: Counts, mu: float, truth: float, dispersion: float) -> float:
    """E[LR] when counts have the mean `truth` and this dispersion; the sum reaches far beyond all mass."""
    seen = np.arange(4000)
    if dispersion == 1:
        chances = stats.poisson.logpmf(seen, truth)
    else:
        chances = stats.nbinom.logpmf(seen, truth / (dispersion - 1), 1 / dispersion)
    return float(np.exp(chances + [change.log_ratio(int(one), mu) for one in seen]).sum())


@pytest.mark.parametrize("dispersion", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("factor", [0.5, 1.3, 2.0])
@pytest.mark.parametrize("mu", [0.02, 3.0, 60.0])
def test_count_ratio_has_mean_one_and_less_on_the_good_side(mu: float, factor: float, dispersion: float) -> None:
    change = Counts(factor, dispersion)
    assert mean_ratio(change, mu, mu, dispersion) == pytest.approx(1, abs=1e-10)
    assert mean_ratio(change, mu, mu * (0.7 if factor > 1 else 1.4), dispersion) < 1
    assert mean_ratio(change, mu, mu, 1.0) <= 1 + 1e-12  # less dispersion than stated


@pytest.mark.parametrize("dispersion", [1.0, 1.5, 4.0])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_count_ratio_is_that_of_the_distributions(factor: float, dispersion: float) -> None:
    mu = 7.0
    for seen in (0, 3, 40):
        if dispersion == 1:
            expected = stats.poisson.logpmf(seen, factor * mu) - stats.poisson.logpmf(seen, mu)
        else:
            size = mu / (dispersion - 1)
            after = stats.nbinom.logpmf(seen, size, size / (size + factor * mu))
            expected = after - stats.nbinom.logpmf(seen, size, size / (size + mu))
        assert Counts(factor, dispersion).log_ratio(seen, mu) == pytest.approx(expected, abs=1e-9)


def test_poisson_is_the_limit_of_dispersion_one() -> None:
    near, limit = Counts(1.7, 1 + 1e-7), Counts(1.7)
    assert near.log_ratio(9, 4.0) == pytest.approx(limit.log_ratio(9, 4.0), abs=1e-6)
    assert limit.log_ratio(9, 4.0) == pytest.approx(9 * log(1.7) - 4 * 0.7)


def test_a_change_inside_the_pane_is_a_smaller_factor() -> None:
    change = Counts(2.0, 1.5)
    assert change.log_ratio_after(9, 4.0, 1.0) == change.log_ratio(9, 4.0)
    assert change.log_ratio_after(9, 4.0, 0.0) == 0.0
    assert change.log_ratio_after(9, 4.0, 0.5) == pytest.approx(Counts(1.5, 1.5).log_ratio(9, 4.0))


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0.01, 20), st.floats(0.01, 20), st.floats(1, 5))
def test_counts_may_be_cut_anywhere(a: int, b: int, mu_a: float, mu_b: float, dispersion: float) -> None:
    change = Counts(1.4, dispersion)
    apart = change.log_ratio(a, mu_a) + change.log_ratio(b, mu_b)
    assert change.log_ratio(a + b, mu_a + mu_b) == pytest.approx(apart, abs=1e-9)


def test_only_panes_of_eight_answers_and_more_are_order_averaged() -> None:
    change = Bernoulli(0.1, 0.2)
    assert order_averaged(change.kinds(7, 2)) == Ratio(pytest.approx(change.log_ratio(7, 2)))
    found = order_averaged([*change.kinds(5, 2), *change.kinds(3, 0)])
    assert found.whole == pytest.approx(change.log_ratio(8, 2))
    assert found.inside == pytest.approx(log_order_average(change.kinds(8, 2)))


def test_a_mixture_of_ratios_is_a_ratio() -> None:
    family, weights = [Bernoulli(0.1, 0.15), Bernoulli(0.1, 0.4)], (0.3, 0.7)
    mean = sum(
        chance * exp(mixture(weights, [change.log_ratio(9, bad) for change in family]))
        for bad, chance in enumerate(binomial(9, 0.1))
    )
    assert mean == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("p0", "p1"), [(0.0, 0.1), (0.1, 1.0), (0.2, 0.2)])
def test_shares_without_room_for_a_change_are_refused(p0: float, p1: float) -> None:
    with pytest.raises(CatalogueError):
        Bernoulli(p0, p1)


@pytest.mark.parametrize(("factor", "dispersion"), [(1.0, 1.0), (0.0, 1.0), (2.0, 0.9)])
def test_factors_that_are_no_change_are_refused(factor: float, dispersion: float) -> None:
    with pytest.raises(CatalogueError):
        Counts(factor, dispersion)
