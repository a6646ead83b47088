"""The mean answer, against the answers written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.anytime import mean_sequence
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import adjusted, assert_counts_equal_the_naive_count, metric_of

MEAN = metric_of("mean", question="csat", scale=(1, 5))


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(MEAN)


@given(st.dictionaries(st.integers(1, 5), st.integers(1, 40), min_size=1))
def test_the_interval_is_the_adjusted_one_around_the_plain_mean(counts):
    answers = np.repeat(list(counts), list(counts.values()))
    found = value_of(MEAN, counts)
    assert found[:3] == pytest.approx((answers.mean(), *adjusted(counts, 1, 5)), rel=1e-9)
    assert (found.n, found.method) == (len(answers), "adjusted_mean")
    assert found.lo <= found.value <= found.hi


def test_anytime_bounds():
    counts = {1: 3, 4: 20, 5: 40}
    found = value_of(metric_of("mean", question="csat", scale=(1, 5), bounds="anytime"), counts)
    assert (found.lo, found.hi, found.method) == (*mean_sequence(counts, 0.95, (1, 5)), "anytime_mean")
