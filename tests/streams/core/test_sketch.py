"""Buckets, quantiles and their interval against sorted values and numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from streams.core.sketch import (
    ACCURACY,
    EDGES,
    LAST,
    bucket_of,
    buckets_of,
    least_of,
    middle,
    quantile,
    quantile_interval,
)

values = st.integers(1, EDGES[-1])
quantiles = st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.9, 0.95, 0.99])


def sketch(numbers: list[int]) -> dict[int, int]:
    bins: dict[int, int] = {}
    for one in numbers:
        bins[bucket_of(one)] = bins.get(bucket_of(one), 0) + 1
    return bins


def test_the_buckets_reach_two_years_of_milliseconds() -> None:
    assert EDGES[LAST] > 2 * 365 * 86_400_000
    assert LAST == len(EDGES) - 1


@given(values)
def test_a_bucket_holds_its_values_and_its_middle_is_within_one_percent(value: int) -> None:
    bucket = bucket_of(value)
    assert least_of(bucket) <= value <= EDGES[bucket]
    assert abs(middle(bucket) - value) <= ACCURACY * value * (1 + 1e-9)
    assert bucket == np.ceil(round(np.log(value) / np.log(101 / 99), 9))  # the definition of DDSketch


def test_scalar_and_array_agree_at_every_edge() -> None:
    edges = np.array(EDGES, dtype=np.int64)
    near = np.unique(np.concatenate([[-5, 0, 1, 2, 10**15], edges - 1, edges, edges + 1]))
    assert buckets_of(near).tolist() == [bucket_of(int(one)) for one in near]


@pytest.mark.parametrize(("value", "bucket"), [(-3, 0), (0, 0), (1, 0), (2, 35), (10**18, LAST), (EDGES[-1] + 1, LAST)])
def test_values_beyond_the_buckets_are_counted_in_the_nearest(value: int, bucket: int) -> None:
    assert bucket_of(value) == bucket


@given(st.lists(values, min_size=1, max_size=200), quantiles)
def test_a_quantile_is_within_one_percent_of_the_sorted_values(numbers: list[int], q: float) -> None:
    exact = np.quantile(numbers, q, method="inverted_cdf")
    assert quantile(sketch(numbers), q) == pytest.approx(exact, rel=ACCURACY * (1 + 1e-9))


@given(st.lists(values, min_size=1, max_size=60), st.lists(values, min_size=1, max_size=60), quantiles)
def test_quantiles_of_merged_counts_are_those_of_all_values(one: list[int], other: list[int], q: float) -> None:
    first, second = sketch(one), sketch(other)
    merged = {bucket: first.get(bucket, 0) + second.get(bucket, 0) for bucket in {*first, *second}}
    assert quantile(merged, q) == quantile(sketch(one + other), q)


@given(st.lists(values, min_size=1, max_size=200), quantiles, st.sampled_from([0.8, 0.95]))
def test_the_interval_of_a_quantile_holds_the_quantile(numbers: list[int], q: float, level: float) -> None:
    found = quantile_interval(sketch(numbers), q, level)
    assert 0 <= found.lo <= found.value <= found.hi <= EDGES[-1]


@pytest.mark.parametrize(("q", "n"), [(0.5, 5), (0.5, 100), (0.9, 30), (0.9, 200), (0.99, 50)])
def test_the_ranks_of_the_interval_miss_the_true_quantile_no_more_than_promised(q: float, n: int) -> None:
    # With value i of rank i in a bucket of its own, the ends of the interval name their ranks.
    apart = [EDGES[1000 + rank] for rank in range(1, n + 1)]
    found = quantile_interval(sketch(apart), q, 0.95)
    lower = next((rank for rank in range(1, n + 1) if found.lo <= apart[rank - 1]), n) if found.lo else 0
    upper = next((rank for rank in range(1, n + 1) if apart[rank - 1] >= found.hi), n + 1)
    assert sum(binom.pmf(below, n, q) for below in range(lower, upper)) >= 0.95
    assert binom.cdf(lower - 1, n, q) <= 0.025 < binom.cdf(lower, n, q)
    assert binom.sf(upper - 1, n, q) <= 0.025


def test_too_few_values_leave_an_end_open() -> None:
    found = quantile_interval(sketch([100, 200, 300]), 0.5, 0.95)
    assert (found.lo, found.hi) == (0, EDGES[-1])


def test_the_interval_covers_the_median_of_skewed_times() -> None:
    rng = np.random.default_rng(5)
    held = [quantile_interval(sketch(list(map(int, rng.lognormal(13, 1.2, 40)))), 0.5, 0.9) for _ in range(600)]
    assert np.mean([one.lo <= np.exp(13) <= one.hi for one in held]) >= 0.9
