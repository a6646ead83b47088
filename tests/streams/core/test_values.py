"""From counts by bin to a value with its n and interval."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.catalogue import load
from schemas.metrics import Metric
from schemas.outputs import Quality
from streams.core.bins import Bins, from_bytes, to_bytes
from streams.core.values import value_of, withheld

CATALOGUE = load()
METRICS = {metric.name: metric for metric in CATALOGUE.metric}


@pytest.mark.parametrize(
    ("name", "bins", "value", "method"),
    [
        ("csat", {1: 1, 3: 1, 4: 3, 5: 5}, 0.8, "wilson"),
        ("nps", {0: 10, 6: 10, 7: 15, 8: 15, 9: 30, 10: 20}, 30.0, "adjusted_wald"),
        ("ces", {1: 1, 7: 3}, 5.5, "adjusted_mean"),
        ("complaint_rate", {0: 3, 1: 1}, 0.25, "wilson"),
        ("volume", {1: 42}, 42.0, "poisson_exact"),
    ],
)
def test_each_kind_has_its_value_and_method(name: str, bins: dict[int, int], value: float, method: str) -> None:
    found = value_of(METRICS[name], bins)
    assert (found.value, found.n, found.method) == (value, sum(bins.values()), method)
    assert found.lo is not None
    assert found.hi is not None
    assert found.lo < value < found.hi


@pytest.mark.parametrize("metric", CATALOGUE.metric, ids=lambda metric: metric.name)
def test_no_answers_is_no_data_and_never_zero(metric: Metric) -> None:
    found = value_of(metric, {})
    assert (found.value, found.lo, found.hi, found.n, found.quality) == (None, None, None, 0, Quality.NO_DATA)


@pytest.mark.parametrize(("n", "quality"), [(29, Quality.LOW_N), (30, Quality.OK)])
def test_few_answers_are_said_to_be_few(n: int, quality: Quality) -> None:
    assert value_of(METRICS["csat"], {5: n}).quality is quality


@pytest.mark.parametrize(
    ("answered", "sent", "quality"),
    [
        (9, 100, Quality.WITHHELD),
        (10, 100, Quality.OK),
        (11, 100, Quality.OK),
        (5, 0, Quality.OK),
        (0, 100, Quality.WITHHELD),
    ],
)
def test_a_value_is_withheld_where_too_few_responded(answered: int, sent: int, quality: Quality) -> None:
    metric = structs.replace(METRICS["csat"], response_metric="response_rate", response_rate_min=0.1)
    value, response = value_of(metric, {5: 40}), value_of(METRICS["response_rate"], {1: answered, 0: sent})
    found = withheld(metric, value, response)
    assert (found.quality, found.n) == (quality, 40)
    assert (found.value is None) == (found.lo is None) == (found.hi is None) == (quality is Quality.WITHHELD)


def test_nothing_is_withheld_without_a_declared_rate_or_a_known_one() -> None:
    value = value_of(METRICS["csat"], {5: 40})
    assert withheld(METRICS["csat"], value, value_of(METRICS["response_rate"], {0: 100})) == value
    asked = structs.replace(METRICS["csat"], response_metric="response_rate", response_rate_min=0.1)
    assert withheld(asked, value, None) == value


@given(
    st.dictionaries(st.integers(1, 5), st.integers(1, 1 << 31)),
    st.dictionaries(st.integers(1, 5), st.integers(1, 1 << 31)),
)
def test_packed_counts_add_subtract_and_come_back(first: dict[int, int], second: dict[int, int]) -> None:
    bins = Bins(METRICS["csat"])
    both = {bin_: first.get(bin_, 0) + second.get(bin_, 0) for bin_ in sorted(first.keys() | second.keys())}
    total = bins.packed(first) + bins.packed(second)
    assert bins.counts(total) == both
    assert bins.counts(total - bins.packed(second)) == dict(sorted(first.items()))
    assert from_bytes(to_bytes(total)) == total
