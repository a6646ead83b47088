"""Messages answered in time."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from streams.core.censored import attained
from streams.core.sketch import bucket_of
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import metric_of

HOUR = 3_600_000
IN_TIME = metric_of("response", events=("question",), target_ms=24 * HOUR, memory_ms=72 * HOUR)


def test_the_value_is_the_share_in_time_with_wilson() -> None:
    found = value_of(IN_TIME, {0: 12, 1: 88})
    assert (found.value, found.n, found.method) == (0.88, 100, "wilson")
    assert (found.lo, found.hi) == pytest.approx(proportion_confint(88, 100, method="wilson"), abs=1e-12)


def test_it_says_what_the_censored_count_of_the_same_messages_says() -> None:
    answered = {bucket_of(HOUR): 70, bucket_of(20 * HOUR): 18, bucket_of(30 * HOUR): 7}
    open_ = {bucket_of(40 * HOUR): 5, bucket_of(2 * HOUR): 1_000}
    attained_ = attained(answered, open_, IN_TIME.target_ms, 0.95)
    assert attained_[2:] == value_of(IN_TIME, {1: 88, 0: 12})[:3]


def test_nothing_decided_is_no_data() -> None:
    assert value_of(IN_TIME, {}).quality == "no_data"
