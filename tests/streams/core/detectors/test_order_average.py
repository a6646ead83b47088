"""The order average against enumeration of all orders, its closed sum in fractions, and the promise it keeps."""

from fractions import Fraction
from itertools import permutations
from math import comb, exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.detectors.likelihood import Bernoulli
from streams.core.detectors.order_average import log_order_average, log_share_after, log_time_average, nodes


def binomial(n: int, p: float) -> list[float]:
    return [comb(n, bad) * p**bad * (1 - p) ** (n - bad) for bad in range(n + 1)]


def by_fractions(n: int, bad: int, r_bad: Fraction, r_good: Fraction) -> Fraction:
    """(1/n) sum over j of E[product of j ratios drawn without replacement], hypergeometric, exact."""
    total = Fraction(0)
    for j in range(1, n + 1):
        for k in range(max(0, j - n + bad), min(bad, j) + 1):
            total += Fraction(comb(bad, k) * comb(n - bad, j - k), comb(n, j)) * r_bad**k * r_good ** (j - k)
    return total / n


def per_answer(ratios: tuple[float, ...]) -> float:
    """The statistic per unit of budget after the answers in this order: w/n before each, from R = 0."""
    r = 0.0
    for ratio in ratios:
        r = (r + 1 / len(ratios)) * ratio
    return r


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_it_is_the_mean_of_the_per_answer_statistic_over_all_orders(logs: list[float]) -> None:
    orders = [per_answer(tuple(exp(one) for one in order)) for order in permutations(logs)]
    assert exp(log_order_average([(one, 1) for one in logs])) == pytest.approx(sum(orders) / len(orders), rel=1e-12)


@pytest.mark.parametrize(("n", "bad"), [(2, 1), (9, 0), (9, 9), (40, 7), (63, 30)])
def test_it_equals_the_exact_sum_of_hypergeometric_means(n: int, bad: int) -> None:
    exact = by_fractions(n, bad, Fraction(2), Fraction(8, 9))
    found = log_order_average([(log(2), bad), (log(8 / 9), n - bad)])
    assert found == pytest.approx(log(exact.numerator) - log(exact.denominator), abs=1e-10)


@pytest.mark.parametrize(("n", "bad"), [(64, 7), (200, 60), (260, 26)])
def test_large_panes_are_within_one_percent_of_it(n: int, bad: int) -> None:
    exact = by_fractions(n, bad, Fraction(2), Fraction(8, 9))
    found = log_order_average([(log(2), bad), (log(8 / 9), n - bad)])
    assert found == pytest.approx(log(exact.numerator) - log(exact.denominator), abs=0.01)


def test_one_answer_gives_its_own_ratio_to_the_bit() -> None:
    change = Bernoulli(0.1, 0.3)
    assert log_order_average(change.kinds(1, 1)) == change.log_ratio(1, 1)
    assert log_order_average(change.kinds(1, 0)) == change.log_ratio(1, 0)


@settings(max_examples=40)
@given(st.integers(1, 200), st.floats(0.01, 0.6), st.floats(0.01, 0.35), st.floats(0, 1), st.booleans())
def test_its_mean_is_at_most_one_under_the_null_and_on_its_good_side(
    n: int, p0: float, more: float, part: float, even: bool
) -> None:
    change = Bernoulli(p0, p0 + more)
    for truth in (p0, p0 * part):
        chances = binomial(n, truth)
        form = (
            (lambda bad: log_time_average(log_share_after(change.kinds(n, bad)), n))
            if even
            else (lambda bad: log_order_average(change.kinds(n, bad)))
        )
        mean = sum(chance * exp(form(bad)) for bad, chance in enumerate(chances) if chance > 1e-250)
        assert mean <= 1 + 1e-10
        if truth == p0:
            assert mean == pytest.approx(1, abs=1e-10)


def test_strata_mix_in_one_order_each_against_its_own_baseline() -> None:
    shop, mail = Bernoulli(0.1, 0.2), Bernoulli(0.4, 0.5)
    mean = 0.0
    for bad_shop, chance_shop in enumerate(binomial(5, 0.1)):
        for bad_mail, chance_mail in enumerate(binomial(3, 0.4)):
            both = [*shop.kinds(5, bad_shop), *mail.kinds(3, bad_mail)]
            mean += chance_shop * chance_mail * exp(log_order_average(both))
    assert mean == pytest.approx(1, abs=1e-12)


def test_an_even_flow_is_the_mean_over_a_change_at_any_moment() -> None:
    change = Bernoulli(0.1, 0.3)
    moments = (np.arange(200_000) + 0.5) / 200_000
    ratios = (1 - moments + moments * exp(change.log_bad)) ** 3 * (1 - moments + moments * exp(change.log_good)) ** 4
    assert exp(log_time_average(log_share_after(change.kinds(7, 3)), 7)) == pytest.approx(ratios.mean(), rel=1e-9)


@pytest.mark.parametrize("chance_of_more", [(0.0, 1.0), (1.0, 0.0)])
def test_an_even_flow_keeps_its_mean_when_answers_bring_answers(chance_of_more: tuple[float, float]) -> None:
    """A second answer comes only after a good (or only after a bad) first one: the number tells about the answers."""
    change = Bernoulli(0.3, 0.6)
    mean = 0.0
    for first, p_first in ((0, 0.7), (1, 0.3)):
        more = chance_of_more[first]
        alone = log_time_average(log_share_after(change.kinds(1, first)), 1)
        mean += p_first * (1 - more) * exp(alone)
        for second, p_second in ((0, 0.7), (1, 0.3)):
            two = log_time_average(log_share_after(change.kinds(2, first + second)), 2)
            mean += p_first * more * p_second * exp(two)
    assert mean == pytest.approx(1, abs=1e-12)


def test_the_nodes_are_those_of_gauss_and_legendre() -> None:
    for count in (1, 2, 16, 64):
        x, weights = np.polynomial.legendre.leggauss(count)
        found = sorted(nodes(count))
        assert [t for t, _ in found] == pytest.approx((x + 1) / 2, abs=1e-14)
        assert [exp(log_weight) for _, log_weight in found] == pytest.approx(weights / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("kinds"), [[(690.0, 500), (-0.1, 3)], [(-690.0, 500)], [(-900.0, 2), (900.0, 1)], [(0.0, 10**6)]]
)
def test_extreme_answers_stay_finite(kinds: list[tuple[float, int]]) -> None:
    assert -1e6 < log_order_average(kinds) < 1e6
