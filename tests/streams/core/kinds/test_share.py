"""Share of answers in the box: top box, bottom box."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from schemas.outputs import Quality
from streams.core.anytime import share_sequence
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of, rich_events, value_over

CSAT = {"question": "csat", "scale": (1, 5)}
TOP, BOTTOM = metric_of("share", box=(4, 5), **CSAT), metric_of("share", name="bottom", box=(1, 2), good="low", **CSAT)


def test_counts_equal_the_naive_count_for_several_boxes_of_one_question():
    assert_counts_equal_the_naive_count(TOP, BOTTOM)


def test_only_the_declared_version_of_a_question_counts():
    first = metric_of("share", name="first", box=(4, 5), question_version="1", **CSAT)
    second = metric_of("share", name="second", box=(4, 5), question_version="2", **CSAT)
    assert_counts_equal_the_naive_count(first, second, TOP)


@pytest.mark.parametrize(("good", "n"), [(0, 10), (1, 10), (8, 10), (10, 10), (81, 263), (0, 1)])
def test_the_interval_is_wilsons(good, n):
    found = value_of(TOP, {5: good, 1: n - good})
    expected = proportion_confint(good, n, alpha=0.05, method="wilson")
    assert (found.value, found.n, found.method) == (good / n, n, "wilson")
    assert (found.lo, found.hi) == pytest.approx(expected)


def test_top_and_bottom_box_and_the_middle_are_all_answers():
    counts = {1: 3, 2: 4, 3: 5, 4: 6, 5: 7}
    assert value_of(TOP, counts).value + value_of(BOTTOM, counts).value == pytest.approx(1 - 5 / 25)


def test_anytime_bounds_are_said_to_be_so_and_are_wider():
    watched = metric_of("share", box=(4, 5), bounds="anytime", **CSAT)
    found, fixed = value_of(watched, {5: 80, 1: 20}), value_of(TOP, {5: 80, 1: 20})
    assert (found.lo, found.hi, found.method) == (*share_sequence(80, 100, 0.95), "anytime_share")
    assert found.lo < fixed.lo < fixed.hi < found.hi


def test_a_value_through_cells_is_that_of_the_answers():
    events = [one for one in rich_events(1, 300) if not one["retract"] and not one["traits"]["probe"]]
    scores = []
    for one in events:
        if not one["traits"]["second_hand"] and not one["traits"]["non_human"]:
            mine = [a["score"] for a in one["answers"] if a["question"] == "csat" and a["scale_max"] == 5]
            scores += [score for score in mine[:1] if score in range(1, 6)]
    found = value_over(TOP, events)
    assert (found.n, found.value) == (len(scores), pytest.approx(sum(score >= 4 for score in scores) / len(scores)))
    assert found.quality is Quality.OK
