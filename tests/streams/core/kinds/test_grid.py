"""Observation grids of mystery shoppers."""

import random
from fractions import Fraction

import pytest

from schemas.metrics import whole_weights
from streams.core.counting import count_events, frame_of
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import (
    adjusted,
    assert_counts_equal_the_naive_count,
    catalogue_of,
    metric_of,
    rich_event,
    rich_events,
    value_over,
)

GRID = metric_of("grid", grid={"greeting": 2, "advice": 0.7}, scale=(0, 4), probes=True)
PLAIN = {"backfill": False, "second_hand": False, "probe": True, "non_human": False, "reason": None}


@pytest.fixture
def visit():
    """Make one visit with these answers."""

    def make(**scores):
        answers = [
            {"question": name, "question_version": "1", "score": float(score), "scale_min": 0.0, "scale_max": 4.0,
             "derived_by": None} for name, score in scores.items()
        ]  # fmt: skip
        return rich_event(random.Random(1), answers=answers, traits=PLAIN, retract=False)

    return make


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(GRID)


def test_probes_count_for_metrics_of_probes_and_for_no_other():
    customers = metric_of("grid", name="customers", grid={"greeting": 1.0}, scale=(0, 4))
    assert_counts_equal_the_naive_count(GRID, customers)
    probes = [one for one in rich_events(5, 200) if one["traits"]["probe"]]
    found = count_events(frame_of(probes), catalogue_of(GRID, customers, metric_of("count", name="all")), live=True)
    assert {series.metric for series in found.series} == {GRID.identity}


@pytest.mark.parametrize(
    ("scores", "percent"),
    [
        ({"greeting": 4, "advice": 4}, 100),
        ({"greeting": 0, "advice": 0}, 0),
        ({"greeting": 3}, 75),
        ({"advice": 1}, 25),
        ({"greeting": 4, "advice": 0}, 74),  # 200 / 2.7 = 74.07
        ({"greeting": 0, "advice": 4}, 26),
    ],
)
def test_the_score_is_the_weighted_percent_of_what_was_observed(visit, scores, percent):
    assert value_over(GRID, [visit(**scores)]).value == percent


def test_halves_are_rounded_up(visit):
    even = metric_of("grid", grid={"greeting": 1, "advice": 1}, scale=(0, 4), probes=True)
    assert value_over(even, [visit(greeting=0, advice=1)]).value == 13  # 12.5
    assert value_over(even, [visit(greeting=4, advice=3)]).value == 88  # 87.5


def test_a_visit_without_answers_is_none(visit):
    assert value_over(GRID, [visit()]).n == 0


def test_weights_are_exact():
    assert whole_weights({"a": 0.1, "b": 0.2, "c": 1.0}) == {"a": 1, "b": 2, "c": 10}
    whole = whole_weights({"a": 1.25, "b": 0.3})
    assert Fraction(whole["a"], whole["b"]) == Fraction(125, 30)


def test_the_mean_score_has_an_interval_within_the_percents():
    found = value_of(GRID, {50: 2, 70: 2})
    assert found[:3] == pytest.approx((60.0, *adjusted({50: 2, 70: 2}, 0, 100)))
    assert value_of(GRID, {100: 1}).hi == 100.0
