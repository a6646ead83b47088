"""Ratios with day effects against scipy's beta-binomial, their mean wherever a day stands, and what days teach."""

from math import exp
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, chi2

from streams.core.detectors import beta_binomial
from streams.core.detectors.beta_binomial import Spread, crowding, effective, log_ratio, pooled, spread_of
from streams.core.detectors.likelihood import Bernoulli

shares = st.floats(0.01, 0.98)
rhos = st.floats(1e-4, 0.5)


def oracle(p: float, rho: float, n: int, bad: int) -> float:
    size = (1 - rho) / rho
    return float(betabinom.logpmf(bad, n, p * size, (1 - p) * size))


@pytest.mark.parametrize("rho", [0.001, 0.02, 0.3])
@pytest.mark.parametrize(("n", "bad"), [(1, 0), (1, 1), (7, 3), (16, 16), (40, 3), (900, 250), (900, 0)])
def test_the_ratio_of_a_day_is_that_of_two_beta_binomials(rho: float, n: int, bad: int) -> None:
    expected = oracle(0.25, rho, n, bad) - oracle(0.1, rho, n, bad)
    assert log_ratio(0.1, 0.25, rho, (0, 0), (n, bad)) == pytest.approx(expected, abs=1e-8)


@given(p0=shares, p1=shares, rho=rhos, dice=st.integers(0, 1000).map(Random))
def test_a_day_cut_into_panes_anywhere_says_the_same(p0: float, p1: float, rho: float, dice: Random) -> None:
    whole, n, bad = 0.0, 0, 0
    for _ in range(dice.randint(1, 8)):
        many = dice.choice([1, 1, 2, 5, 16, 17, 40])
        of = dice.randint(0, many)
        whole += log_ratio(p0, p1, rho, (n, bad), (many, of))
        n, bad = n + many, bad + of
    assert whole == pytest.approx(log_ratio(p0, p1, rho, (0, 0), (n, bad)), abs=1e-8)


@given(p0=shares, p1=shares, better=st.floats(0, 1), rho=rhos, before=st.tuples(st.integers(0, 50), st.integers(0, 50)))
def test_wherever_a_day_stands_the_next_answer_has_a_ratio_of_mean_1_and_less_where_the_truth_is_better(
    p0: float, p1: float, better: float, rho: float, before: tuple[int, int]
) -> None:
    """The parameters need not be those that the day began with: this is why a renewal may change them in its middle."""
    good, bad = before
    n, size = good + bad, (1 - rho) / rho

    def mean(p: float) -> float:
        chance = (p * size + bad) / (size + n)
        ratios = (log_ratio(p0, p1, rho, (n, bad), (1, 1)), log_ratio(p0, p1, rho, (n, bad), (1, 0)))
        return chance * exp(ratios[0]) + (1 - chance) * exp(ratios[1])

    assert mean(p0) == pytest.approx(1, rel=1e-9)
    assert mean(p0 * better if p1 > p0 else p0 + (1 - p0) * better) <= 1 + 1e-9


def test_with_hardly_any_correlation_it_is_the_ratio_of_independent_answers() -> None:
    independent = Bernoulli(0.1, 0.25).log_ratio(60, 11)
    assert log_ratio(0.1, 0.25, 1e-9, (300, 40), (60, 11)) == pytest.approx(independent, abs=1e-5)


def test_what_is_taken_back_says_nothing() -> None:
    assert log_ratio(0.1, 0.25, 0.02, (5, 1), (1, -1)) == log_ratio(0.1, 0.25, 0.02, (5, 1), (2, 0))
    assert log_ratio(0.1, 0.25, 0.02, (5, 1), (0, 0)) == 0


def test_days_that_are_alike_teach_no_correlation() -> None:
    assert spread_of([(100, 10)] * 20).rho == 0
    assert spread_of([(100, 10)] * 20).enough
    assert not spread_of([(100, 10)] * 9).enough
    assert spread_of([(100, 0)] * 20) == Spread()
    assert spread_of([(1, 1)] * 9 + [(1, 0)] * 9) == Spread(), "single answers know no day"
    assert spread_of([]) == Spread()
    assert Spread().rho == 0


def test_a_correlation_is_what_chance_does_not_explain() -> None:
    """By hand: four days, mean share 1/4, squares 4 * 4.8 = 19.2 against 3, room (n - 1) * 3."""
    found = spread_of([(60, 3), (60, 27), (60, 3), (60, 27)])
    assert found == (pytest.approx(4 * 144 / (60 * 0.25 * 0.75)), 3, pytest.approx(59 * 3))
    assert found.rho == pytest.approx((found.squares / chi2.ppf(0.75, 3) - 1) / 59)
    assert spread_of([(60, 0), (60, 60)] * 10).rho == beta_binomial.MOST


@pytest.mark.parametrize("rho", [0.0, 0.01, 0.05])
def test_the_squares_of_days_are_on_average_what_the_correlation_makes_them(rho: float) -> None:
    """Days of unequal size; the mean over many worlds, within four standard errors."""
    rng, off = np.random.default_rng(3), []
    n = np.array([5, 10, 20, 40, 80, 160, 160, 300, 20, 40, 60, 80])
    for _ in range(3000):
        share = rng.beta(0.2 * (1 / rho - 1), 0.8 * (1 / rho - 1), len(n)) if rho else np.full(len(n), 0.2)
        found = spread_of(zip(n.tolist(), rng.binomial(n, share).tolist(), strict=True))
        off.append(found.squares - found.freedom - rho * found.room)
    # the mean share is estimated by a ratio, so a small bias is left
    assert abs(np.mean(off)) < 4 * np.std(off) / len(off) ** 0.5 + 0.02 * (11 + rho * 900)


def test_strata_are_pooled_each_around_its_own_mean() -> None:
    alike = [(100, 10)] * 6, [(100, 40)] * 6
    assert spread_of(alike[0] + alike[1]).rho > 0.05
    both = pooled(map(spread_of, alike))
    assert (both.rho, both.freedom, both.enough) == (0, 10, True)
    many = [spread_of([(50, bad), (70 + bad, 9), (31, 4)]) for bad in range(1, 40)]
    assert pooled(many) == pooled(reversed(many))


def test_answers_of_the_same_days_teach_less() -> None:
    assert crowding([100] * 5) == 100
    assert crowding([10, 30]) == 25
    assert crowding([]) == 1
    assert effective(500, 50, 0.0, 100.0) == (500, 50)
    assert effective(500, 50, 0.02, 100.0) == (167, 17)
    assert effective(3, 3, 0.5, 100.0) == (1, 1)


def false_alarms(rho: float) -> tuple[int, float]:
    """Answers one by one at keys whose days correlate by .03, against what is promised."""
    dice, alarms, keys, days, per_day, every = np.random.default_rng(5), 0, 60, 60, 60, 1000
    for _ in range(keys):
        r = 0.0
        for share in dice.beta(0.1 * (1 / 0.03 - 1), 0.9 * (1 / 0.03 - 1), days).tolist():
            n = bad = 0
            for worse in (dice.random(per_day) < share).tolist():
                said = log_ratio(0.1, 0.25, rho, (n, bad), (1, worse))
                r = (r + 1 / every) * exp(said)
                n, bad = n + 1, bad + worse
                if r >= 1:
                    r, alarms = 0.0, alarms + 1
    return alarms, keys * days * per_day / every


def test_false_alarms_stay_within_the_budget_on_good_and_bad_days_as_long_as_the_rule_knows_them() -> None:
    alarms, promised = false_alarms(0.03)
    assert 0.3 * promised < alarms < promised
    assert false_alarms(1e-6)[0] > 1.5 * promised
