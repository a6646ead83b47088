"""EWMA against NIST 6.3.2.4 and Montgomery chapter 9."""

import pytest

from streams.core.detectors.ewma import ewma

NIST = (
    52.0,
    47.0,
    53.0,
    49.3,
    50.1,
    47.0,
    51.0,
    50.1,
    51.2,
    50.5,
    49.6,
    47.6,
    49.9,
    51.3,
    47.8,
    51.2,
    52.6,
    52.4,
    53.6,
    52.1,
)
NIST_EWMA = (
    50.60, 49.52, 50.56, 50.18, 50.16, 49.21, 49.75, 49.85, 50.26, 50.33, 50.11, 49.36, 49.52, 50.05, 49.38, 49.92, 50.73,
    51.23, 51.94, 51.99,
)  # fmt: skip
MONTGOMERY = (
    9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08, 9.37, 10.62, 10.31,
    8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
)  # fmt: skip


def test_nist_6_3_2_4() -> None:
    found = ewma(NIST, 50, 2.0539, 0.3, 3, settled=True)
    assert [one.value for one in found] == pytest.approx(NIST_EWMA, abs=0.0051)
    assert found[0].upper == pytest.approx(52.5884, abs=5e-5)
    assert found[0].lower == pytest.approx(47.41157, abs=5e-6)
    assert not any(one.outside for one in found)


def test_montgomery_chapter_9() -> None:
    found = ewma(MONTGOMERY, 10, 1, 0.1, 2.7)
    assert [found[at - 1].value for at in (1, 2, 28, 29, 30)] == pytest.approx(
        [9.945, 9.7495, 10.57314, 10.64682, 10.63414], abs=6e-6
    )
    assert (found[0].lower, found[0].upper) == pytest.approx((9.73, 10.27), abs=1e-9)
    last = ewma(MONTGOMERY, 10, 1, 0.1, 2.7, settled=True)[0]
    assert (round(last.lower, 3), round(last.upper, 3)) == (9.381, 10.619)
    assert [at for at, one in enumerate(found, 1) if one.outside] == [29, 30]


def test_limits_widen_to_the_settled_ones() -> None:
    found, last = ewma([0.0] * 200, 0, 1, 0.2, 3), ewma([0.0], 0, 1, 0.2, 3, settled=True)[0]
    halves = [one.upper for one in found]
    assert halves == sorted(halves)
    assert halves[0] == pytest.approx(0.6)
    assert halves[-1] == pytest.approx(last.upper)
