"""Half-life smoothing: the published effective n, a naive sum over events, and order that does not show."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from streams.core.intervals import t_mean, wilson
from streams.core.smoothing import decayed, smoothed_mean, smoothed_share

HOUR = 3_600_000
histories = st.dictionaries(
    st.integers(0, 200).map(lambda minute: minute * 60_000),
    st.dictionaries(st.integers(1, 5), st.integers(1, 20), min_size=1),
    min_size=1,
    max_size=20,
)


def test_ten_events_an_hour_with_a_half_life_of_six_hours_weigh_the_published_n() -> None:
    steady = {-step * HOUR // 10: {1: 1} for step in range(10 * 24 * 30)}
    found = decayed(steady, 0, 6 * HOUR)
    # The published figures are those of a continuous flow: 10 / lambda and 20 / lambda.
    assert found.weight == pytest.approx(10 * 6 / log(2), rel=0.01)
    assert round(10 * 6 / log(2), 1) == 86.6
    assert found.n_eff == pytest.approx(173, abs=0.5)


def test_answers_of_one_half_life_ago_weigh_half() -> None:
    found = decayed({0: {5: 4}, HOUR: {1: 3}}, HOUR, HOUR)
    assert found == ({1: 3.0, 5: 2.0}, 5.0, 25 / 4)


@given(histories, st.randoms(use_true_random=False))
def test_the_order_in_which_counts_came_does_not_show(history: dict[int, dict[int, int]], random: object) -> None:
    times = list(history)
    random.shuffle(times)
    shuffled = {}
    for time in times:
        bins = list(history[time].items())
        random.shuffle(bins)
        shuffled[time] = dict(bins)
    first, second = decayed(history, 12_000_000, HOUR), decayed(shuffled, 12_000_000, HOUR)
    assert first == second
    assert list(first.bins) == list(second.bins)
    assert smoothed_mean(first, 0.95, (1, 5)) == smoothed_mean(second, 0.95, (1, 5))


@given(histories)
def test_a_smoothed_value_equals_the_weighted_mean_of_the_events(history: dict[int, dict[int, int]]) -> None:
    at = 12_000_000
    events = [
        (bin_, 0.5 ** ((at - time) / HOUR))
        for time, bins in history.items()
        for bin_, n in bins.items()
        for _ in range(n)
    ]
    oracle = DescrStatsW([bin_ for bin_, _ in events], [weight for _, weight in events])
    found = decayed(history, at, HOUR)
    mean = smoothed_mean(found, 0.95, (1, 5))
    assert mean.value == pytest.approx(oracle.mean, abs=1e-9)
    assert mean.n_eff == pytest.approx(sum(w for _, w in events) ** 2 / sum(w * w for _, w in events))
    assert 1 <= mean.lo <= mean.value + 1e-9 and mean.value - 1e-9 <= mean.hi <= 5
    share = smoothed_share(found, {4, 5}, 0.95)
    assert share.value == pytest.approx(sum(w for bin_, w in events if bin_ >= 4) / sum(w for _, w in events))
    assert 0 <= share.lo <= share.value <= share.hi <= 1


@given(st.dictionaries(st.integers(1, 5), st.integers(1, 50), min_size=1))
def test_answers_of_one_moment_are_not_smoothed_at_all(bins: dict[int, int]) -> None:
    found = decayed({7: bins}, 7, HOUR)
    n, good = sum(bins.values()), bins.get(4, 0) + bins.get(5, 0)
    total, squares = (sum(bin_**power * count for bin_, count in bins.items()) for power in (1, 2))
    assert found.n_eff == pytest.approx(n)
    assert smoothed_share(found, {4, 5}, 0.9)[:3] == pytest.approx((good / n, *wilson(good, n, 0.9)), abs=1e-9)
    assert smoothed_mean(found, 0.9, (1, 5))[1:3] == pytest.approx(t_mean(total, squares, n, 0.9, (1, 5)), abs=1e-9)


def test_one_answer_left_says_nothing_about_a_mean() -> None:
    assert smoothed_mean(decayed({0: {4: 1}}, HOUR, HOUR), 0.95, (1, 5))[:3] == (4.0, 1.0, 5.0)
