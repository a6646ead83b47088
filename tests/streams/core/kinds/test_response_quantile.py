"""Quantiles of the time to the first answer, with messages that are still open."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.columns import RECALL, STILL_OPEN, Columns
from streams.core.frame import frame_of
from streams.core.kinds.response_quantile import ResponseQuantile, highest, lowest, middle, still_open
from streams.core.sketch import EDGES
from streams.core.values import Value, value_of
from tests.streams.core.kinds.conftest import metric_of, rich_events

HOUR = 3_600_000
FIELDS = {"events": ("question",), "target_ms": 24 * HOUR, "memory_ms": 72 * HOUR}
MEDIAN = metric_of("response_quantile", **FIELDS, quantile=0.5)
KIND = ResponseQuantile()


def bins_of(waited: list[int]) -> list[int]:
    frame = frame_of(rich_events(1, len(waited)))
    columns = Columns(frame.with_columns(**{RECALL + "m": np.array(waited, dtype=np.int64)}))
    found = KIND.select(columns, MEDIAN)
    assert found is not None
    assert found.rows.tolist() == list(range(len(waited)))
    return found.bins.tolist()


def said(waited: list[int], metric=MEDIAN) -> Value:
    return value_of(metric, Counter(bins_of(waited)))


@given(st.lists(st.integers(0, 100 * HOUR), min_size=1, max_size=40))
def test_every_waiting_time_lies_in_its_class_and_all_classes_are_bins(waited: list[int]) -> None:
    for one, bin_ in zip(waited, bins_of(waited), strict=True):
        assert bin_ in KIND.bins(MEDIAN)
        assert bin_ != still_open(MEDIAN)
        assert lowest(bin_) <= one
        assert one <= highest(bin_) or bin_ == still_open(MEDIAN) - 1
        if 0 < bin_ < still_open(MEDIAN) - 1:
            assert abs(middle(bin_) - one) <= 0.0401 * one


def test_the_bins_are_few_enough_to_be_kept_a_bucket() -> None:
    assert len(KIND.bins(MEDIAN)) < 120


@given(st.lists(st.integers(60_001, 70 * HOUR), min_size=1, max_size=60), st.sampled_from([0.1, 0.5, 0.9]))
def test_without_open_messages_it_is_the_quantile_within_4_percent(waited: list[int], q: float) -> None:
    found = said(waited, metric_of("response_quantile", **FIELDS, quantile=q))
    exact = float(np.quantile(waited, q, method="inverted_cdf"))
    assert found.value == pytest.approx(exact, rel=0.0401)
    assert found.lo <= exact <= found.hi


def test_open_messages_push_the_quantile_up_and_where_they_decide_it_it_is_not_known() -> None:
    answered = [HOUR] * 30 + [5 * HOUR] * 20
    assert said(answered).value == pytest.approx(HOUR, rel=0.04)
    some = said([*answered, *[STILL_OPEN] * 40])
    assert some.value == pytest.approx(5 * HOUR, rel=0.04)
    assert (some.n, some.hi) == (90, EDGES[-1])
    most = said([*answered, *[STILL_OPEN] * 51])
    assert (most.value, most.lo, most.hi, most.quality) == (None, None, None, "no_data")
    beyond = [HOUR] * 10 + [30 * HOUR] * 15
    assert said(beyond).value == pytest.approx(30 * HOUR, rel=0.04)
    assert said([*beyond, STILL_OPEN]).value is None


def test_the_interval_holds_the_true_median_as_often_as_it_says() -> None:
    dice, truth, held, known = random.Random(3), 10 * HOUR, 0, 0
    for _ in range(300):
        waited = [int(dice.lognormvariate(np.log(truth), 1.5)) for _ in range(35)]
        found = said([one if one <= 24 * HOUR or dice.random() < 0.3 else STILL_OPEN for one in waited])
        known += found.value is not None
        held += found.value is not None and found.lo <= truth <= found.hi
    assert known > 250
    assert held / known > 0.95
