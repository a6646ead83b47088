"""Response and completion: parts of wholes."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from schemas.outputs import Quality
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

RESPONSE = metric_of("part", events=("survey_answered",), among=("survey_sent",))
COMPLETION = metric_of("part", name="completion", events=("survey_answered",), among=("survey_opened",))


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(RESPONSE, COMPLETION)


def test_the_wholes_are_the_n():
    found = value_of(RESPONSE, {1: 12, 0: 80})
    assert found[:4] == pytest.approx((12 / 80, *proportion_confint(12, 80, alpha=0.05, method="wilson"), 80))


def test_parts_beyond_the_wholes_do_not_count():
    assert value_of(RESPONSE, {1: 12, 0: 5})[:4] == value_of(RESPONSE, {1: 5, 0: 5})[:4]


@pytest.mark.parametrize("counts", [{}, {1: 4}])
def test_parts_without_wholes_are_no_data(counts):
    found = value_of(RESPONSE, counts)
    assert (found.value, found.n, found.quality) == (None, 0, Quality.NO_DATA)
