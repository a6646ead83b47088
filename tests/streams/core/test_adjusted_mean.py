"""The interval of a mean where answers agree, and its place between prior and data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.adjusted_mean import ADDED, adjusted_mean
from streams.core.intervals import t_mean, z_of

answers = st.lists(st.integers(1, 7), min_size=1, max_size=200)


def sums(scores: list[int]) -> tuple[int, int, int]:
    return sum(scores), sum(one * one for one in scores), len(scores)


@given(answers, st.sampled_from([0.9, 0.95]))
def test_the_interval_is_the_normal_one_of_the_answers_and_those_added(scores: list[int], level: float) -> None:
    points = range(1, 8)
    weights = [scores.count(point) + ADDED / 7 for point in points]
    n = sum(weights)
    mean = sum(point * weight for point, weight in zip(points, weights, strict=True)) / n
    spread = sum((point - mean) ** 2 * weight for point, weight in zip(points, weights, strict=True)) / n
    half = z_of(0.5 + level / 2) * (spread / n) ** 0.5
    found = adjusted_mean(*sums(scores), level, (1, 7))
    assert found == pytest.approx((max(1, mean - half), min(7, mean + half)), abs=1e-9)
    assert 1 <= found[0] < found[1] <= 7


@given(answers)
def test_it_mirrors_with_the_scale(scores: list[int]) -> None:
    lo, hi = adjusted_mean(*sums(scores), 0.95, (1, 7))
    assert adjusted_mean(*sums([8 - one for one in scores]), 0.95, (1, 7)) == pytest.approx((8 - hi, 8 - lo), abs=1e-9)


def test_agreement_of_all_is_no_certainty() -> None:
    assert t_mean(50, 250, 10, 0.95, (1, 5)) == (5, 5)
    lo, hi = adjusted_mean(50, 250, 10, 0.95, (1, 5))
    assert lo < 4.2
    assert hi == 5


def test_many_answers_forget_those_added() -> None:
    scores = [1, 3, 5, 6, 7, 7] * 2000
    assert adjusted_mean(*sums(scores), 0.95, (1, 7)) == pytest.approx(t_mean(*sums(scores), 0.95, (1, 7)), abs=1e-3)
