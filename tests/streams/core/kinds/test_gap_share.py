"""Satisfied and delighted: shares of gaps."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

BOTH = {"question": "csat", "expected_question": "expected", "scale": (1, 5)}
SATISFIED, DELIGHTED = metric_of("gap_share", **BOTH), metric_of("gap_share", name="delighted", at_least=1, **BOTH)


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(SATISFIED, DELIGHTED, metric_of("gap", name="gap", **BOTH))


@pytest.mark.parametrize(("metric", "good"), [(SATISFIED, 11), (DELIGHTED, 4)], ids=["satisfied", "delighted"])
def test_the_share_of_gaps_that_are_large_enough(metric, good):
    found = value_of(metric, {-2: 9, 0: 7, 1: 3, 4: 1})
    assert found[:3] == pytest.approx((good / 20, *proportion_confint(good, 20, alpha=0.05, method="wilson")))
