"""What moves with overall satisfaction, against scipy's rank correlation of the answers written out."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from schemas.outputs import Quality
from streams.core.rank_correlation import spearman
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import assert_counts_equal_the_naive_count, metric_of, rich_event, value_over

FIELDS = {"question": "delivery", "scale": (1, 7), "overall_question": "csat", "overall_scale": (1, 5)}
DRIVER = metric_of("driver", **FIELDS)


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(DRIVER, metric_of("driver", name="v1", question_version="1", **FIELDS))


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), min_size=5, max_size=60))
def test_rho_is_that_of_the_pairs(pairs):
    counts: dict[int, int] = {}
    for first, second in pairs:
        bin_ = (first - 1) * 5 + second - 1
        counts[bin_] = counts.get(bin_, 0) + 1
    found = value_of(DRIVER, counts)
    firsts, seconds = zip(*pairs, strict=True)
    if len(set(firsts)) == 1 or len(set(seconds)) == 1:
        assert (found.value, found.lo, found.hi, found.n, found.quality) == (
            None,
            None,
            None,
            len(pairs),
            Quality.NO_DATA,
        )
        return
    assert found.value == pytest.approx(stats.spearmanr(firsts, seconds).statistic, abs=1e-12)
    assert (found.n, found.method) == (len(pairs), "spearman_fisher")
    assert -1 <= found.lo <= found.value <= found.hi <= 1


def test_pairs_of_one_person_go_the_whole_way():
    dice = random.Random(4)
    events, pairs = [], []
    for _ in range(60):
        both = dice.randint(1, 7), dice.randint(1, 5)
        answers = [
            {"question": question, "question_version": "1", "score": float(score), "scale_min": 1.0, "scale_max": top,
             "derived_by": None} for question, score, top in (("csat", both[1], 5.0), ("delivery", both[0], 7.0))
        ]  # fmt: skip
        plain = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}
        events.append(rich_event(dice, answers=answers, retract=False, traits=plain))
        pairs.append(both)
    joint = {pair: pairs.count(pair) for pair in pairs}
    assert value_over(DRIVER, events)[:4] == spearman(joint, 0.95)
