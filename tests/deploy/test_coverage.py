"""What the intervals promise of their coverage, on a small grid; the report has the large one."""

import numpy as np
import pytest
from scipy.stats import binom

from deploy.simulation.coverage import SMALL, coverage, markdown
from deploy.simulation.coverage_once import compositions, mean_drawn, share_once
from deploy.simulation.coverage_watched import mean_watched, share_watched
from deploy.simulation.covered import Promise, Row, nps_mixes
from streams.core.adjusted_mean import adjusted_mean
from streams.core.anytime import share_sequence
from streams.core.intervals import t_mean, wilson

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return coverage(SMALL, seed=1)


def test_mean_coverage_is_within_one_point_of_the_level(rows: list[Row]) -> None:
    usual = [row for row in rows if row.promise is Promise.MEAN and row.interval != "mean, t"]
    assert {row.interval for row in usual} == {"share, Wilson", "NPS, adjusted Wald", "mean, adjusted"}
    for row in usual:
        assert row.mean == pytest.approx(row.level, abs=0.01), row
        assert row.least < row.mean


def test_exact_and_anytime_valid_intervals_hold_at_every_truth(rows: list[Row]) -> None:
    sure = [row for row in rows if row.promise is Promise.EACH]
    assert {row.interval for row in sure} == {
        "count, exact Poisson",
        "share, anytime-valid",
        "NPS, anytime-valid",
        "mean, anytime-valid",
        "rate, anytime-valid",
    }
    for row in sure:
        assert row.least >= row.level, row
        assert row.kept


def test_a_usual_interval_looked_at_after_every_answer_misses_much_more_often(rows: list[Row]) -> None:
    watched = [row for row in rows if row.promise is Promise.NONE]
    assert watched
    assert all(row.mean < row.level - 0.2 and row.kept is None for row in watched)


def test_the_t_interval_of_few_skewed_answers_falls_short(rows: list[Row]) -> None:
    short = {row.looks for row in rows if row.interval == "mean, t" and not row.kept}
    assert short == {"once, n = 5", "once, n = 10"}


def test_enumeration_counts_what_scipy_counts() -> None:
    ends = [wilson(good, 7, 0.9) for good in range(8)]
    truths = np.arange(1, 200) / 200
    held = [sum(binom.pmf(good, 7, one) for good, (lo, hi) in enumerate(ends) if lo <= one <= hi) for one in truths]
    found = share_once(7, 0.9)
    assert (found.mean, found.least) == pytest.approx((np.mean(held), min(held)))
    assert found.least_at == f"share {truths[int(np.argmin(np.round(held, 12)))]:.3f}"


def test_a_single_look_is_the_first_of_many() -> None:
    once = share_watched("share", wilson, 1, 0.9, Promise.NONE)
    assert (once.mean, once.least) == pytest.approx((share_once(1, 0.9).mean, share_once(1, 0.9).least))
    few, many = (share_watched("share", share_sequence, n, 0.9, Promise.EACH) for n in (10, 40))
    assert few.mean > many.mean > 0.9


def test_all_outcomes_and_only_those_are_enumerated() -> None:
    outcomes = compositions(6, 3)
    assert len(outcomes) == len({tuple(row) for row in outcomes.tolist()}) == 28
    assert set(outcomes.sum(axis=1)) == {6}
    assert nps_mixes(0.1).sum(axis=1) == pytest.approx(1)


def test_the_same_seed_gives_the_same_row(rows: list[Row]) -> None:
    drawn = [row for row in rows if "draws" in row.how or "paths" in row.how]
    again = [
        *(
            mean_drawn(name, bounds, SMALL.draws_n[0], level, SMALL.draws, 1)
            for level in SMALL.levels
            for name, bounds in (("mean, adjusted", adjusted_mean), ("mean, t", t_mean))
        ),
        *mean_watched(SMALL.mean_look_to, SMALL.levels, SMALL.paths, 1),
    ]
    assert drawn == again


def test_the_table_has_a_line_for_each_row_and_says_what_was_not_kept(rows: list[Row]) -> None:
    lines = markdown(rows).splitlines()
    assert len(lines) == len(rows) + 2
    assert all(line.count("|") == 11 for line in lines)
    assert [" NO " in line for line in lines[2:]] == [row.kept is False for row in rows]
