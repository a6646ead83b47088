"""CUSUM charts against published examples, exact run lengths and each other."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import CatalogueError
from streams.core.detectors.cusum import (
    BernoulliCusum,
    bernoulli_cusum,
    gaussian,
    ordinal,
    ordinal_arl,
    reference_value,
)

NIST = (
    324.925, 324.675, 324.725, 324.350, 325.350, 325.225, 324.125, 324.525, 325.225, 324.600, 324.625, 325.150, 328.325,
    327.250, 327.825, 328.500, 326.675, 327.775, 326.875, 328.350,
)  # fmt: skip
MONTGOMERY = (
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62, 10.31,
    8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
)  # fmt: skip


def test_nist_6_3_2_3() -> None:
    sums = gaussian(NIST, 325, 0.3175, 4.1959)
    highs = dict.fromkeys(range(1, 21), 0.0) | {5: 0.0325, 13: 3.0075, 14: 4.94, 15: 7.4475, 16: 10.63, 17: 11.9875}
    highs |= {18: 14.445, 19: 16.0025, 20: 19.035}
    lows = dict.fromkeys(range(1, 21), 0.0) | {
        2: 0.0075,
        4: 0.3325,
        7: 0.5575,
        8: 0.715,
        9: 0.1725,
        10: 0.255,
        11: 0.3125,
    }
    assert [one.up for one in sums] == pytest.approx(list(highs.values()), abs=1e-9)
    assert [one.down for one in sums] == pytest.approx(list(lows.values()), abs=1e-9)
    assert [at for at, one in enumerate(sums, 1) if one.alarm] == list(range(14, 21))
    raw = np.cumsum(np.array(NIST) - 325)
    assert (raw[-1], raw.min(), raw.argmin()) == pytest.approx((19.075, -2.65, 10))


def test_montgomery_chapter_9() -> None:
    sums = gaussian(MONTGOMERY, 10, 0.5, 5)
    assert [round(sums[at - 1].up, 2) for at in (28, 29, 30)] == [4.47, 5.28, 5.30]
    assert [at for at, one in enumerate(sums, 1) if one.alarm] == [29, 30]
    assert sums[28].run_up == 7
    assert max((round(one.down, 2), at) for at, one in enumerate(sums, 1)) == (1.77, 3)


def test_lucas_and_crosier_head_start() -> None:
    x = (0.8, 1.9, 1.4, 2.0, 1.1, 0.7, 2.6)
    plain, started = gaussian(x, 0, 0.5, 5), gaussian(x, 0, 0.5, 5, start=2.5)
    assert [one.up for one in plain] == pytest.approx([0.3, 1.7, 2.6, 4.1, 4.7, 4.9, 7.0])
    assert [one.up for one in started] == pytest.approx([2.8, 4.2, 5.1, 6.6, 7.2, 7.4, 9.5])
    assert [at for at, one in enumerate(plain, 1) if one.alarm] == [7]
    assert next(at for at, one in enumerate(started, 1) if one.alarm) == 3


REFERENCE = (
    (0.10, 0.20, 7, 26, 556.45, 50.87), (0.10, 0.20, 7, 31, 1043.61, 63.08), (0.10, 0.20, 7, 45, 5393.31, 97.79),
    (0.10, 0.30, 5, 13, 501.48, 20.89), (0.10, 0.30, 5, 16, 1251.51, 26.59), (0.10, 0.30, 5, 21, 5806.66, 36.48),
    (0.02, 0.06, 27, 52, 533.99, 64.69), (0.02, 0.06, 27, 66, 1032.04, 83.68), (0.02, 0.06, 27, 100, 5211.56, 137.95),
    (0.05, 0.10, 14, 43, 524.74, 77.56), (0.05, 0.10, 14, 54, 1059.79, 103.67), (0.05, 0.10, 14, 82, 5235.21, 172.31),
)  # fmt: skip


@pytest.mark.parametrize(("p0", "p1", "m", "limit", "arl0", "arl1"), REFERENCE)
def test_exact_run_lengths_of_the_bernoulli_cusum(
    p0: float, p1: float, m: int, limit: int, arl0: float, arl1: float
) -> None:
    chart = BernoulliCusum(m, worse=True, limit=limit)
    assert (round(chart.arl(p0), 2), round(chart.arl(p1), 2)) == (arl0, arl1)


@pytest.mark.parametrize(
    ("p0", "p1", "g"), [(0.1, 0.2, 0.14524), (0.1, 0.3, 0.18617), (0.02, 0.06, 0.03655), (0.05, 0.1, 0.07236)]
)
def test_reference_values(p0: float, p1: float, g: float) -> None:
    assert round(reference_value(p0, p1), 5) == g


@pytest.mark.parametrize(
    ("p0", "p1", "wanted"), [(0.1, 0.2, 1000), (0.02, 0.06, 5000), (0.2, 0.1, 2000), (0.3, 0.5, 50)]
)
def test_the_limit_is_the_smallest_that_reaches_the_wanted_run_length(p0: float, p1: float, wanted: float) -> None:
    chart = bernoulli_cusum(p0, p1, wanted)
    lower = BernoulliCusum(chart.m, chart.worse, chart.limit - 1)
    assert lower.arl(p0) < wanted <= chart.arl(p0)
    assert chart.worse == (p1 > p0)
    assert chart.arl(p1) < chart.arl(p0) / 3


def test_the_chart_itself_takes_as_long_as_the_chain_says() -> None:
    rng = np.random.default_rng(3)
    for chart, p in ((BernoulliCusum(5, worse=True, limit=13), 0.3), (BernoulliCusum(5, worse=False, limit=9), 0.1)):
        runs = []
        for _ in range(2000):
            s, count = 0, 0
            while s < chart.limit:
                s, count = chart.after(s, bad=bool(rng.random() < p)), count + 1
            runs.append(count)
        assert np.mean(runs) == pytest.approx(chart.arl(p), abs=4 * np.std(runs) / 2000**0.5)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.5), st.floats(1.2, 1.9))
def test_an_ordinal_cusum_of_two_cells_is_the_bernoulli_cusum(answers: list[bool], p0: float, factor: float) -> None:
    p1 = p0 * factor
    up, down = log(p1 / p0), log((1 - p1) / (1 - p0))
    expected, s = [], 0.0
    for bad in answers:
        s = max(0.0, s + (up if bad else down))
        expected.append(s)
    assert ordinal([int(bad) for bad in answers], (1 - p0, p0), (1 - p1, p1)) == pytest.approx(expected, abs=1e-12)


def test_the_ordinal_run_length_of_two_cells_is_that_of_the_bernoulli_cusum() -> None:
    """In likelihood units and in steps of 1/7 it is the same chart when g is exactly 1/7."""
    p0, limit = 0.1, 31
    low, high = 0.11, 0.3
    for _ in range(60):
        p1 = (low + high) / 2
        low, high = (p1, high) if reference_value(p0, p1) < 1 / 7 else (low, p1)
    step = log(p1 * (1 - p0) / (p0 * (1 - p1))) / 7
    found = ordinal_arl((1 - p0, p0), (1 - p1, p1), (1 - p0, p0), limit * step, per_unit=1 / step)
    assert found == pytest.approx(BernoulliCusum(7, worse=True, limit=limit).arl(p0), rel=1e-9)


def test_an_ordinal_cusum_finds_what_the_bad_share_alone_finds_later() -> None:
    """Five levels, mean about 3.98 -> 3.55: throwing the levels away costs delay at the same false-alarm rate."""
    p0, p1 = (0.05, 0.07, 0.13, 0.35, 0.40), (0.09, 0.14, 0.17, 0.31, 0.29)
    bad0, bad1 = sum(p0[:2]), sum(p1[:2])
    limit = next(h / 50 for h in range(50, 500) if ordinal_arl(p0, p1, p0, h / 50) >= 1000)
    chart = bernoulli_cusum(bad0, bad1, 1000)
    assert ordinal_arl(p0, p1, p1, limit) < 0.95 * chart.arl(bad1)


@pytest.mark.parametrize(("p0", "p1"), [(0.0, 0.2), (0.2, 0.2), (0.2, 1.0)])
def test_impossible_changes_are_refused(p0: float, p1: float) -> None:
    with pytest.raises(CatalogueError):
        bernoulli_cusum(p0, p1, 100)
