"""Average run lengths against the printed tables (Montgomery, NIST, Lucas and Saccucci; R package spc)."""

import pytest

from schemas.errors import CatalogueError
from streams.core.detectors.run_length import (
    cusum_arl,
    ewma_arl,
    lattice_arl,
    limit_for,
    shewhart_arl,
    siegmund_arl,
    smallest_limit,
    two_sided,
    two_sided_cusum_arl,
)

SHIFTS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4)
CUSUM = {
    4: ("167.68", "74.22", "26.63", "13.29", "8.383", "4.747", "3.343", "2.620", "2.194", "1.708"),
    5: ("465.44", "139.49", "38.00", "17.05", "10.376", "5.747", "4.009", "3.114", "2.573", "2.013"),
}
EWMA = {
    (0.40, 3.054): ("499.95", "223.73", "71.20", "28.42", "14.26", "5.875", "3.522", "2.539", "2.019", "1.440"),
    (0.25, 2.998): ("499.84", "170.30", "48.29", "20.11", "11.14", "5.464", "3.614", "2.745", "2.258", "1.727"),
    (0.20, 2.962): ("499.74", "150.22", "41.76", "18.15", "10.54", "5.501", "3.743", "2.880", "2.381", "1.864"),
    (0.10, 2.814): ("499.58", "106.32", "31.30", "15.85", "10.33", "6.084", "4.362", "3.442", "2.868", "2.193"),
    (0.05, 2.615): ("499.93", "84.01", "28.76", "16.37", "11.38", "7.112", "5.225", "4.168", "3.496", "2.695"),
}
SHEWHART = ("370.40", "281.15", "155.22", "81.22", "43.89", "14.97", "6.303", "3.241", "2.000", "1.189")


def digits(value: float, printed: str) -> str:
    return f"{value:.{len(printed.split('.')[1])}f}"


@pytest.mark.parametrize("h", CUSUM)
def test_cusum_run_lengths_are_those_of_the_table(h: int) -> None:
    found = [digits(two_sided_cusum_arl(0.5, h, s), printed) for s, printed in zip(SHIFTS, CUSUM[h], strict=True)]
    assert tuple(found) == CUSUM[h]


@pytest.mark.parametrize(("smoothing", "limit"), EWMA)
def test_ewma_run_lengths_are_those_of_the_table(smoothing: float, limit: float) -> None:
    table = EWMA[smoothing, limit]
    assert tuple(digits(ewma_arl(smoothing, limit, s), p) for s, p in zip(SHIFTS, table, strict=True)) == table


def test_shewhart_run_lengths_are_those_of_the_table() -> None:
    assert tuple(digits(shewhart_arl(3, s), p) for s, p in zip(SHIFTS, SHEWHART, strict=True)) == SHEWHART


def test_one_sided_and_two_sided_run_lengths_belong_together() -> None:
    assert [round(cusum_arl(0.5, h), 2) for h in (4, 5)] == [335.37, 930.89]
    assert two_sided(335.37, 335.37) == pytest.approx(167.68, abs=0.01)
    assert round(cusum_arl(0.5, 4, 1), 2) == 8.38
    assert round(cusum_arl(0.5, 5, 1), 2) == 10.38


@pytest.mark.parametrize(("h", "shift", "arl"), [(4, 0, "148.70"), (4, 1, "5.287"), (5, 0, "430.39"), (5, 1, "6.347")])
def test_a_head_start_finds_early_what_was_wrong_from_the_beginning(h: int, shift: float, arl: str) -> None:
    assert digits(two_sided_cusum_arl(0.5, h, shift, h / 2), arl) == arl


@pytest.mark.parametrize(("h", "in_control", "shifted"), [(4, 338.1, 8.34), (5, 938.2, 10.34)])
def test_siegmund_is_close(h: int, in_control: float, shifted: float) -> None:
    assert siegmund_arl(0.5, h) == pytest.approx(in_control, abs=0.05)
    assert siegmund_arl(0.5, h, 1.0) == pytest.approx(shifted, abs=0.005)
    assert siegmund_arl(0.5, h, 0.5) == pytest.approx(siegmund_arl(0.5, h, 0.5 + 1e-6), rel=1e-4)


@pytest.mark.parametrize(
    ("k", "sides", "wanted", "h"),
    [
        (0.5, 2, 100, 3.502), (0.5, 2, 370.4, 4.775), (0.5, 2, 500, 5.071), (0.5, 2, 1000, 5.757), (0.5, 2, 5000, 7.361),
        (0.5, 1, 100, 2.849), (0.5, 1, 370.4, 4.097), (0.5, 1, 500, 4.389), (0.5, 1, 1000, 5.071), (0.5, 1, 5000, 6.669),
        (0.25, 2, 370.4, 8.010),
    ],
)  # fmt: skip
def test_cusum_limits_for_a_wanted_run_length(k: float, sides: int, wanted: float, h: float) -> None:
    arl = (lambda limit: cusum_arl(k, limit)) if sides == 1 else (lambda limit: two_sided_cusum_arl(k, limit))
    assert limit_for(arl, wanted) == pytest.approx(h, abs=0.0006)


@pytest.mark.parametrize(
    ("smoothing", "limits"),
    [(0.05, (2.490, 2.615, 2.884)), (0.1, (2.701, 2.814, 3.059)), (0.2, (2.859, 2.962, 3.187)),
     (0.25, (2.898, 2.998, 3.217)), (0.4, (2.959, 3.054, 3.263))],
)  # fmt: skip
def test_ewma_limits_for_a_wanted_run_length(smoothing: float, limits: tuple[float, ...]) -> None:
    found = [limit_for(lambda limit: ewma_arl(smoothing, limit), wanted) for wanted in (370.4, 500, 1000)]
    assert found == pytest.approx(limits, abs=0.0006)


def test_a_walk_that_only_climbs_takes_its_limit_in_steps() -> None:
    assert lattice_arl({1: 1.0}, 7) == pytest.approx(7)
    assert lattice_arl({3: 1.0}, 7) == pytest.approx(3)
    assert lattice_arl({1: 1.0}, 7, start=7) == 0
    assert lattice_arl({1: 0.5, -1: 0.5}, 2) == pytest.approx(6)  # L0 = 1 + L0/2 + L1/2, L1 = 1 + L0/2


def test_a_run_length_out_of_reach_is_refused() -> None:
    with pytest.raises(CatalogueError):
        smallest_limit(lambda limit: 1.0, 10.0)
    with pytest.raises(CatalogueError):
        limit_for(lambda limit: 1.0, 10.0)
