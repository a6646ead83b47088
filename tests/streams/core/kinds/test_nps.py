"""The net promoter score, against the published intervals of the research notes."""

import pytest

from streams.core.anytime import nps_sequence
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of

NPS = metric_of("nps", question="nps", scale=(0, 10))


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(NPS)


@pytest.mark.parametrize(
    ("promoters", "passives", "detractors", "value", "lo", "hi"),
    [
        (50, 30, 20, 30.0, 14.05, 44.20),
        (500, 300, 200, 30.0, 25.08, 34.74),
        (26, 4, 6, 55.556, 27.05, 75.51),
        (9, 0, 2, 63.636, 8.00, 91.99),
        (3, 0, 0, 100.0, -6.58, 100.0),
        (0, 5, 0, 0.0, -30.01, 30.01),
        (1, 0, 0, 100.0, -48.50, 98.50),
    ],
)
def test_published_values(promoters, passives, detractors, value, lo, hi):
    found = value_of(NPS, {9: promoters, 8: passives, 6: detractors})
    assert (found.value, found.lo, found.hi) == pytest.approx((value, lo, hi), abs=0.01)
    assert (found.n, found.method) == (promoters + passives + detractors, "adjusted_wald")


def test_every_point_of_the_scale_is_on_its_side():
    sides = {point: value_of(NPS, {point: 1}).value for point in range(11)}
    assert sides == {**dict.fromkeys(range(7), -100.0), 7: 0.0, 8: 0.0, 9: 100.0, 10: 100.0}


def test_anytime_bounds():
    found = value_of(metric_of("nps", question="nps", scale=(0, 10), bounds="anytime"), {10: 50, 8: 30, 0: 20})
    assert (found.lo, found.hi, found.method) == (*nps_sequence(50, 20, 100, 0.95), "anytime_nps")
