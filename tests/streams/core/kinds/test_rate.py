"""Events per exposure, against scipy's exact Poisson interval."""

import pytest
from scipy import stats

from schemas.outputs import Quality
from streams.core.anytime import rate_sequence
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

FIELDS = {"events": ("complaint", "letter"), "among": ("order_placed",)}
RATE = metric_of("rate", **FIELDS)


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(RATE)


@pytest.mark.parametrize(("events", "exposure"), [(0, 300), (1, 7), (12, 400), (50, 20)])
def test_the_interval_is_the_exact_one_per_exposure(events, exposure):
    found = value_of(RATE, {1: events, 0: exposure})
    lo = stats.chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    hi = stats.chi2.ppf(0.975, 2 * events + 2) / 2
    assert found[:3] == pytest.approx((events / exposure, lo / exposure, hi / exposure))
    assert (found.n, found.method) == (exposure, "poisson_exact")


def test_the_rule_of_three():
    one_sided = metric_of("rate", level=0.9, **FIELDS)
    assert value_of(one_sided, {0: 300}).hi == pytest.approx(3 / 300, rel=0.01)


def test_events_without_exposure_are_no_data():
    assert value_of(RATE, {1: 9}).quality is Quality.NO_DATA


def test_anytime_bounds():
    found = value_of(metric_of("rate", bounds="anytime", **FIELDS), {1: 12, 0: 400})
    assert (found.lo, found.hi, found.method) == (*rate_sequence(12, 400, 0.95), "anytime_rate")
