"""Shares of events among contacts, or among other events."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

CONTACTS = metric_of("event_share", events=("complaint", "letter"))
PRAISE = metric_of("event_share", name="praise", events=("praise",), among=("praise", "comment", "complaint"))


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(CONTACTS, PRAISE)


@pytest.mark.parametrize("metric", [CONTACTS, PRAISE], ids=["contacts", "among"])
def test_the_share_has_wilsons_interval(metric):
    found = value_of(metric, {1: 15, 0: 133})
    assert found[:3] == pytest.approx((15 / 148, *proportion_confint(15, 148, alpha=0.05, method="wilson")))
    assert (found.n, found.method) == (148, "wilson")
