"""Ten seeds of `make simulate`: the drop is found, and the false alarms fit their budget on both sides.

One a week over ten months would give too few false alarms to tell a budget kept from a detector asleep, so the months in
which nothing happens are played with a budget of twenty a week here; `make simulate` uses the catalogue's own over 100 seeds.
"""

from functools import partial

import pytest

from deploy.demo.simulate import Played, Summary, play, pool, summarise

pytestmark = pytest.mark.long

SEEDS = range(1, 11)


@pytest.fixture(scope="module")
def summary() -> Summary:
    with pool() as workers:
        return summarise(list(workers.map(partial(play, null_budget_per_week=20.0), SEEDS)))


def test_the_drop_is_found_within_the_day_at_nine_of_ten_seeds(summary: Summary) -> None:
    assert summary.found >= 9
    assert summary.delay_answers_median is not None and summary.delay_answers_median < 100


def test_false_alarms_lie_between_a_third_of_the_budget_and_the_budget(summary: Summary) -> None:
    assert 0.3 <= summary.ratio <= 1.0
    assert summary.passed


def test_learned_baselines_cost_no_more_than_the_budget(summary: Summary) -> None:
    assert summary.false_alarms <= summary.false_budget


def one(*, found: bool, null_alarms: int) -> Played:
    return Played(
        seed=1,
        delay_answers=50 if found else None,
        delay_h=3.0 if found else None,
        false_alarms=0,
        null_alarms=null_alarms,
        null_budget=1.0,
    )


@pytest.mark.parametrize(
    ("found", "null_alarms", "passed"), [(90, 60, True), (89, 60, False), (100, 29, False), (100, 101, False)]
)
def test_the_check_can_fail_on_every_side(found: int, null_alarms: int, passed: bool) -> None:
    months = [
        one(found=index < found, null_alarms=(null_alarms > index) + (null_alarms > 100 and index == 0))
        for index in range(100)
    ]
    assert summarise(months).passed is passed
