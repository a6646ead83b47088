"""Intervals against published values, statsmodels and scipy, and the laws that they keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from streams.core.intervals import adjusted_wald_nps, poisson_exact, t_mean, wilson, wilson_upper

counts = st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(
    ("good", "n", "lo", "hi"),
    [
        (0, 10, 0.0, 0.277533), (1, 10, 0.017876, 0.404150), (5, 10, 0.236593, 0.763407), (8, 10, 0.490162, 0.943318),
        (10, 10, 0.722467, 1.0), (0, 1, 0.0, 0.793451), (15, 148, 0.062386, 0.160487), (81, 263, 0.255289, 0.366210),
    ],
)  # fmt: skip
def test_wilson_gives_the_published_values(good: int, n: int, lo: float, hi: float) -> None:
    assert wilson(good, n, 0.95) == pytest.approx((lo, hi), abs=1e-6)


@pytest.mark.parametrize(
    ("promoters", "detractors", "n", "lo", "hi"),
    [
        (50, 20, 100, 14.05, 44.20), (500, 200, 1000, 25.08, 34.74), (26, 6, 36, 27.05, 75.51), (9, 2, 11, 8.00, 91.99),
        (3, 0, 3, -6.58, 100.0), (0, 0, 5, -30.01, 30.01), (1, 0, 1, -48.50, 98.50),
    ],
)  # fmt: skip
def test_nps_interval_gives_the_published_values(promoters: int, detractors: int, n: int, lo: float, hi: float) -> None:
    assert adjusted_wald_nps(promoters, detractors, n, 0.95) == pytest.approx((lo, hi), abs=0.011)


@given(counts, levels)
def test_wilson_equals_statsmodels(pair: tuple[int, int], level: float) -> None:
    good, n = pair
    assert wilson(good, n, level) == pytest.approx(proportion_confint(good, n, 1 - level, method="wilson"), abs=1e-9)


@given(counts, st.sampled_from([0.9, 0.99, 0.999]))
def test_the_one_sided_bound_is_the_upper_end_of_the_wider_interval(pair: tuple[int, int], confidence: float) -> None:
    assert wilson_upper(*pair, confidence) == pytest.approx(wilson(*pair, 2 * confidence - 1)[1], abs=1e-12)


@given(counts, levels)
def test_wilson_holds_its_share_and_mirrors(pair: tuple[int, int], level: float) -> None:
    good, n = pair
    lo, hi = wilson(good, n, level)
    assert 0 <= lo <= good / n <= hi <= 1
    assert lo < hi
    assert wilson(n - good, n, level) == pytest.approx((1 - hi, 1 - lo), abs=1e-12)


@given(st.lists(st.integers(1, 7), min_size=2, max_size=60), levels)
def test_t_interval_equals_scipy_clipped_to_the_scale(answers: list[int], level: float) -> None:
    found = t_mean(sum(answers), sum(one * one for one in answers), len(answers), level, (1, 7))
    mean, spread = sum(answers) / len(answers), stats.sem(answers)
    lo, hi = stats.t.interval(level, len(answers) - 1, mean, spread) if spread else (mean, mean)
    assert found == pytest.approx((max(1.0, lo), min(7.0, hi)), abs=1e-9)


def test_one_answer_says_nothing_about_a_mean() -> None:
    assert t_mean(4, 16, 1, 0.95, (1, 7)) == (1.0, 7.0)


@given(st.integers(0, 10_000), levels)
def test_poisson_equals_the_chi_square_form(count: int, level: float) -> None:
    lo, hi = poisson_exact(count, level)
    tail = (1 - level) / 2
    assert lo == pytest.approx(stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0, rel=1e-9)
    assert hi == pytest.approx(stats.chi2.isf(tail, 2 * count + 2) / 2, rel=1e-9)
    assert lo <= count < hi
