"""Perceived minus expected, of the same people."""

import pytest

from streams.core.bins import Bins
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import adjusted, assert_counts_equal_the_naive_count, metric_of

BOTH = {"question": "csat", "expected_question": "expected", "scale": (1, 5)}
GAP = metric_of("gap", **BOTH)


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(GAP, metric_of("gap", name="v1", question_version="1", **BOTH))


def test_bins_are_all_gaps_that_the_scale_allows():
    assert list(Bins(GAP).shifts) == list(range(-4, 5))


def test_the_mean_gap_has_its_sign_and_an_interval_over_all_gaps():
    counts = {-3: 2, -1: 5, 0: 7, 2: 3}
    found = value_of(GAP, counts)
    assert found[:3] == pytest.approx((-5 / 17, *adjusted(counts, -4, 4)))
    assert found.method == "adjusted_mean"
