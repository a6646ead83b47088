"""The interval of a total: Garwood's for equal amounts, and its coverage for skewed ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.intervals import poisson_exact, two_sided, z_of
from streams.core.revenue import Amounts, amounts_of, total_interval
from streams.core.sketch import bucket_of

levels = st.sampled_from([0.8, 0.9, 0.95])


@given(st.integers(0, 2000), st.integers(1, 100_000), levels)
def test_equal_amounts_have_the_exact_interval_of_their_count(count: int, amount: int, level: float) -> None:
    found = total_interval(count * amount, Amounts(count * amount**2, amount), level)
    lo, hi = poisson_exact(count, level)
    assert found == pytest.approx((amount * lo, amount * hi), rel=1e-9)


@given(st.lists(st.integers(1, 500_000), min_size=1, max_size=60), levels)
def test_the_interval_holds_the_total_and_is_never_below_zero(amounts: list[int], level: float) -> None:
    total = sum(amounts)
    lo, hi = total_interval(total, Amounts(sum(one * one for one in amounts), max(amounts)), level)
    assert 0 <= lo <= total <= hi


@given(st.lists(st.integers(1, 500_000), min_size=1, max_size=60))
def test_what_the_sketch_knows_of_amounts_is_within_two_percent(amounts: list[int]) -> None:
    bins: dict[int, int] = {}
    for one in amounts:
        bins[bucket_of(one)] = bins.get(bucket_of(one), 0) + 1
    found = amounts_of(bins)
    assert found.squares == pytest.approx(sum(one * one for one in amounts), rel=0.0203)
    assert max(amounts) <= found.largest <= 1.0203 * max(amounts)


def test_nothing_sold_is_nothing_known_but_the_largest_order() -> None:
    assert total_interval(0, Amounts(0.0, 0), 0.95) == (0, 0)
    lo, hi = total_interval(0, Amounts(0.0, 500), 0.95)
    assert (lo, hi) == (0, pytest.approx(500 * 3.68888, rel=1e-5))
    assert amounts_of({}) == (0, 0)


@pytest.mark.parametrize("orders", [4, 20, 150])
def test_the_interval_covers_the_expected_total_of_skewed_amounts(orders: int) -> None:
    rng, level, runs = np.random.default_rng(6), 0.95, 1500
    truth, held, normal = orders * np.exp(8 + 0.5), 0, 0
    z = z_of(two_sided(level))
    for _ in range(runs):
        amounts = rng.lognormal(8, 1, rng.poisson(orders)).astype(int)
        total, squares = int(amounts.sum()), float((amounts.astype(float) ** 2).sum())
        lo, hi = total_interval(total, Amounts(squares, int(amounts.max(initial=10_000))), level)
        held += lo <= truth <= hi
        normal += total - z * squares**0.5 <= truth <= total + z * squares**0.5
    assert held / runs >= level - 0.012
    assert normal < held
