"""Numbers of events."""

import pytest
from scipy import stats

from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

ALL, ORDERS = metric_of("count"), metric_of("count", name="orders", events=("order_placed",))


def test_counts_equal_the_naive_count_of_all_and_of_some_kinds():
    assert_counts_equal_the_naive_count(ALL, ORDERS)


@pytest.mark.parametrize("n", [1, 3, 42, 10_000])
def test_the_interval_is_garwoods(n):
    found = value_of(ORDERS, {1: n})
    assert found[:3] == pytest.approx((n, stats.chi2.ppf(0.025, 2 * n) / 2, stats.chi2.ppf(0.975, 2 * n + 2) / 2))
