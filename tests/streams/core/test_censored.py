"""Response times with open messages: the rule by hand, statsmodels as oracle, and the bias that leaving them out makes."""

from collections import Counter
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from statsmodels.duration.survfunc import SurvfuncRight

from streams.core.censored import attained, survived, waited
from streams.core.intervals import wilson
from streams.core.sketch import EDGES, bucket_of, least_of, middle

HOUR = 3_600_000
buckets = st.integers(600, 640)
held = st.dictionaries(buckets, st.integers(1, 9), max_size=15)


def sketch(times: np.ndarray) -> Counter[int]:
    return Counter(bucket_of(int(one)) for one in times)


def test_an_open_message_younger_than_the_target_is_in_neither_count() -> None:
    answered = sketch(np.array([1, 2, 3, 3, 30]) * HOUR)
    waiting = sketch(np.array([1, 3, 5, 40]) * HOUR)
    found = attained(answered, waiting, 4 * HOUR, 0.95)
    assert (found.good, found.n) == (4, 7)
    assert found[2:] == pytest.approx((4 / 7, *wilson(4, 7, 0.95)))


def test_without_a_decided_message_there_is_no_share() -> None:
    assert attained({}, sketch(np.array([HOUR])), 4 * HOUR, 0.95) == (0, 0, None, None, None)


def known_truth() -> tuple[Counter[int], Counter[int], float]:
    """Messages that came evenly over 12 hours and wait a log-normal time of median 4 hours; seen at the end."""
    grid = (np.arange(400) + 0.5) / 400
    times, ages = np.meshgrid(4 * HOUR * np.exp(ndtri(grid)), 12 * HOUR * grid)
    done = times <= ages
    return sketch(times[done]), sketch(ages[~done]), 4.0 * HOUR


def test_leaving_out_the_open_ones_is_biased_and_the_curve_is_not() -> None:
    answered, waiting, median = known_truth()
    found = waited(answered, waiting, 0.5, 0.95)
    assert found.value == pytest.approx(median, rel=0.02)
    assert found.lo <= median <= found.hi

    nothing: Counter[int] = Counter()
    naive = waited(answered, nothing, 0.5, 0.95)
    assert naive.value < 0.7 * median
    mean = sum(middle(bucket) * count for bucket, count in answered.items()) / answered.total()
    assert mean < 0.5 * median * exp(0.5)  # the true mean of a log-normal of scale 1


def test_the_share_that_still_waits_is_the_true_one() -> None:
    answered, waiting, _ = known_truth()
    for target in (HOUR, 2 * HOUR, 6 * HOUR):
        end = EDGES[bucket_of(target)]
        truth = 1 - float(np.mean(4 * HOUR * np.exp(ndtri((np.arange(4000) + 0.5) / 4000)) <= end))
        found = survived(answered, waiting, target, 0.95)
        assert found.share == pytest.approx(truth, abs=0.004)
        assert found.lo <= truth <= found.hi


@given(held, held)
def test_the_curve_equals_statsmodels(answered: dict[int, int], waiting: dict[int, int]) -> None:
    if not answered:
        return
    rows = [(bucket, 1) for bucket, n in answered.items() for _ in range(n)]
    rows += [(bucket, 0) for bucket, n in waiting.items() for _ in range(n)]
    oracle = SurvfuncRight(*map(np.array, zip(*rows, strict=True)))
    for bucket, share, error in zip(oracle.surv_times, oracle.surv_prob, oracle.surv_prob_se, strict=True):
        found = survived(answered, waiting, EDGES[bucket], 0.95)
        assert found.share == pytest.approx(share, abs=1e-12)
        assert 0 <= found.lo <= found.share + 1e-12 and found.share <= found.hi + 1e-12 <= 1 + 1e-12
        if 0 < share < 1:
            on_scale = log(-log(share)) + 1.959964 * error / (share * -log(share))
            assert found.lo == pytest.approx(exp(-exp(on_scale)), abs=1e-6)


@given(held, held, st.sampled_from([0.25, 0.5, 0.9]))
def test_a_quantile_is_where_the_curve_of_statsmodels_falls(
    answered: dict[int, int], waiting: dict[int, int], q: float
) -> None:
    found = waited(answered, waiting, q, 0.95)
    assert found.lo <= found.hi
    if not answered:
        assert found == (None, 0, EDGES[-1])
        return
    rows = [(bucket, 1) for bucket, n in answered.items() for _ in range(n)]
    rows += [(bucket, 0) for bucket, n in waiting.items() for _ in range(n)]
    oracle = SurvfuncRight(*map(np.array, zip(*rows, strict=True)))
    # statsmodels wants the curve strictly below 1 - q; at equality both answers are quantiles.
    below = [b for b, share in zip(oracle.surv_times, oracle.surv_prob, strict=True) if share <= 1 - q + 1e-12]
    assert found.value == (middle(below[0]) if below else None)
    if found.value is not None:
        assert found.lo <= found.value <= found.hi


def test_the_interval_of_a_median_is_the_one_of_brookmeyer_and_crowley() -> None:
    rng = np.random.default_rng(2)
    times, ages = rng.exponential(4 * HOUR, 150), rng.uniform(0, 20 * HOUR, 150)
    seen = np.array([bucket_of(int(one)) for one in np.minimum(times, ages)])
    done = times <= ages
    lower, upper = SurvfuncRight(seen, done.astype(int)).quantile_ci(0.5)
    found = waited(Counter(map(int, seen[done])), Counter(map(int, seen[~done])), 0.5, 0.95)
    assert (found.lo, found.hi) == (least_of(int(lower)), EDGES[int(upper)])


def test_a_median_that_most_still_wait_for_is_not_told() -> None:
    found = waited(sketch(np.array([1, 2]) * HOUR), sketch(np.array([5] * 8) * HOUR), 0.5, 0.95)
    assert found.value is None
    assert found.hi == EDGES[-1]


@pytest.mark.parametrize("after", [0, HOUR])
def test_no_messages_say_nothing(after: int) -> None:
    assert survived({}, {}, after, 0.95) == (1, 0, 1)


def test_a_handful_answered_at_once_leaves_room_for_slow_ones() -> None:
    found = survived({600: 5}, {}, EDGES[600], 0.95)
    assert (found.share, found.lo) == (0, 0)
    assert found.hi == pytest.approx(1 - 0.025 ** (1 / 5))


def test_the_interval_covers_the_true_share_at_the_level() -> None:
    rng, truth, n = np.random.default_rng(9), exp(-1), 60
    covered = 0
    for _ in range(600):
        times, ages = rng.exponential(4 * HOUR, n), rng.uniform(0, 24 * HOUR, n)
        done = times <= ages
        found = survived(sketch(times[done]), sketch(ages[~done]), 4 * HOUR, 0.9)
        covered += found.lo <= truth <= found.hi
    assert covered / 600 == pytest.approx(0.9, abs=0.03)
