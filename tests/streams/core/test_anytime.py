"""Bounds that hold at every look: exact coverage under peeking, brute-force inversion, and laws."""

from math import exp, lgamma, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.special import betaln

from streams.core.anytime import mean_sequence, nps_sequence, rate_sequence, share_sequence
from streams.core.intervals import wilson

counts = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.8, 0.9, 0.95, 0.99])
answers = st.dictionaries(st.integers(1, 5), st.integers(1, 300), min_size=1)


def never_missed(share: float, n: int, bounds: object, level: float) -> float:
    """The chance that `bounds` holds the share at each of the first n answers, counted path by path exactly."""
    chance = np.array([1.0])
    for size in range(1, n + 1):
        chance = np.convolve(chance, [1 - share, share])
        for good in range(size + 1):
            lo, hi = bounds(good, size, level)
            if not lo <= share <= hi:
                chance[good] = 0.0
    return float(chance.sum())


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.85])
def test_a_share_is_held_at_every_look_where_the_usual_interval_is_not(share: float) -> None:
    assert never_missed(share, 80, share_sequence, 0.9) >= 0.9
    assert never_missed(share, 80, wilson, 0.9) < 0.85


@given(counts, levels)
def test_the_ends_of_a_share_are_where_the_mixture_has_won_enough(pair: tuple[int, int], level: float) -> None:
    good, n = pair

    def wealth(share: float) -> float:
        mixed = betaln(0.5 + good, 0.5 + n - good) - betaln(0.5, 0.5)
        return mixed - (good * log(share) if good else 0) - ((n - good) * log(1 - share) if n - good else 0)

    lo, hi = share_sequence(good, n, level)
    for end in (lo, hi):
        if 0 < end < 1:
            assert wealth(end) == pytest.approx(-log(1 - level), abs=1e-6)
    assert (lo == 0) == (good == 0)
    assert (hi == 1) == (good == n)
    assert lo <= good / n <= hi


@given(counts, levels)
def test_a_bound_for_all_looks_is_wider_than_one_for_a_single_look(pair: tuple[int, int], level: float) -> None:
    good, n = pair
    lo, hi = share_sequence(good, n, level)
    once_lo, once_hi = wilson(good, n, level)
    assert hi - lo > once_hi - once_lo


@settings(max_examples=30)
@given(counts, levels)
def test_the_mean_of_two_points_is_the_share(pair: tuple[int, int], level: float) -> None:
    good, n = pair
    found = mean_sequence({0: n - good, 1: good}, level, (0, 1))
    assert found == pytest.approx(share_sequence(good, n, level), abs=1e-6)


@settings(max_examples=30)
@given(answers, levels)
def test_a_mean_lies_within_its_bounds_and_the_bounds_mirror(bins: dict[int, int], level: float) -> None:
    n = sum(bins.values())
    mean = sum(bin_ * count for bin_, count in bins.items()) / n
    lo, hi = mean_sequence(bins, level, (1, 5))
    assert 1 <= lo <= mean <= hi <= 5
    mirrored = mean_sequence({6 - bin_: count for bin_, count in bins.items()}, level, (1, 5))
    assert mirrored == pytest.approx((6 - hi, 6 - lo), abs=1e-9)
    assert mean_sequence(dict(reversed(bins.items())), level, (1, 5)) == (lo, hi)


def wealth_against(mean: float, bins: dict[int, int], least: int, most: int) -> float:
    """The wealth of the universal portfolio by numerical integration over the arcsine mixture."""

    def held(angle: float) -> float:
        node = np.sin(angle) ** 2
        total = 0.0
        for bin_, count in bins.items():
            point = (bin_ - least) / (most - least)
            total += count * log(node * point / mean + (1 - node) * (1 - point) / (1 - mean))
        return exp(total)

    return 2 / np.pi * integrate.quad(held, 0, np.pi / 2, limit=200)[0]


@pytest.mark.parametrize("bins", [{1: 2, 3: 5, 5: 20}, {2: 7, 4: 9}, {1: 1, 2: 1, 3: 1, 4: 1, 5: 1}, {3: 30}, {4: 1}])
def test_the_ends_of_a_mean_are_where_the_portfolio_has_won_enough(bins: dict[int, int]) -> None:
    for end in mean_sequence(bins, 0.95, (1, 5)):
        assert wealth_against((end - 1) / 4, bins, 1, 5) == pytest.approx(20, rel=1e-4)


def test_an_nps_is_the_mean_of_its_three_kinds_of_answer() -> None:
    lo, hi = nps_sequence(50, 20, 100, 0.95)
    assert lo < 30 < hi
    assert (lo / 100, hi / 100) == pytest.approx(mean_sequence({-1: 20, 0: 30, 1: 50}, 0.95, (-1, 1)), abs=1e-12)
    assert nps_sequence(20, 50, 100, 0.95) == pytest.approx((-hi, -lo), abs=1e-9)


@pytest.mark.parametrize(("promoters", "detractors"), [(0.5, 0.2), (0.9, 0.02)])
def test_an_nps_is_held_at_every_look_on_seeded_paths(promoters: float, detractors: float) -> None:
    rng, missed, paths = np.random.default_rng(7), 0, 50
    for _ in range(paths):
        kinds = rng.choice([1, -1, 0], p=[promoters, detractors, 1 - promoters - detractors], size=40)
        up, down = np.cumsum(kinds == 1), np.cumsum(kinds == -1)
        looks = (nps_sequence(int(up[n - 1]), int(down[n - 1]), n, 0.8) for n in [*range(1, 20), 22, 26, 30, 35, 40])
        missed += any(not lo <= 100 * (promoters - detractors) <= hi for lo, hi in looks)
    assert missed / paths <= 0.2


@given(st.integers(0, 5000), st.floats(0.01, 1000), levels, st.sampled_from([0.1, 1.0, 30.0]))
def test_the_ends_of_a_rate_are_where_the_mixture_has_won_enough(
    count: int, exposure: float, level: float, expected: float
) -> None:
    prior = 0.5 / expected

    def wealth(rate: float) -> float:
        mixed = 0.5 * log(prior) - lgamma(0.5) + lgamma(0.5 + count) - (0.5 + count) * log(prior + exposure)
        return mixed - (count * log(rate) if count else 0) + rate * exposure

    lo, hi = rate_sequence(count, exposure, level, expected)
    assert lo <= count / exposure < hi
    assert (lo == 0) == (count == 0)
    assert wealth(hi) == pytest.approx(-log(1 - level), abs=1e-6)
    if count:
        assert wealth(lo) == pytest.approx(-log(1 - level), abs=1e-6)


def test_a_rate_is_held_at_every_moment_on_seeded_paths() -> None:
    rng, missed, paths = np.random.default_rng(11), 0, 300
    for _ in range(paths):
        at = np.cumsum(rng.exponential(1 / 3.0, size=100))
        looks = [(count + extra, float(at[count])) for count in range(100) for extra in (0, 1)]
        missed += any(not lo <= 3.0 <= hi for lo, hi in (rate_sequence(*look, 0.8) for look in looks))
    assert 0 < missed / paths <= 0.2
