"""Repeat contacts."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from streams.core.values import value_of
from tests.streams.core.kinds.conftest import metric_of

CALLS = metric_of("repeat", events=("question",), within_ms=604_800_000, good="low")


def test_the_value_is_the_share_of_repeats_with_wilson() -> None:
    found = value_of(CALLS, {0: 37, 1: 13})
    assert (found.value, found.n, found.method) == (0.26, 50, "wilson")
    assert (found.lo, found.hi) == pytest.approx(proportion_confint(13, 50, method="wilson"), abs=1e-12)
    assert value_of(CALLS, {}).value is None


def test_bounds_that_hold_at_all_looks_are_wider() -> None:
    usual = value_of(CALLS, {0: 37, 1: 13})
    anytime = value_of(metric_of("repeat", events=("question",), within_ms=1, bounds="anytime"), {0: 37, 1: 13})
    assert anytime.method == "anytime_share"
    assert anytime.lo < usual.lo < usual.hi < anytime.hi
