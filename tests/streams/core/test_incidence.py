"""Competing risks against a product-limit count by hand, statsmodels, and Kaplan-Meier where there is one cause."""

from collections import Counter
from fractions import Fraction
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight

from streams.core.incidence import Row, cumulative_incidence

CAUSES = (None, "letter", "dispute")
histories = st.lists(st.builds(Row, st.integers(1, 30), st.sampled_from(CAUSES)), min_size=1, max_size=60)


def by_hand(rows: list[Row], cause: str, until: int) -> Fraction:
    share, free = Fraction(0), Fraction(1)
    for time in range(until + 1):
        at_risk = sum(row.time >= time for row in rows)
        if not at_risk:
            break
        ended = [row.cause for row in rows if row.time == time and row.cause]
        share += free * Fraction(ended.count(cause), at_risk)
        free *= 1 - Fraction(len(ended), at_risk)
    return share


@given(histories)
def test_the_share_equals_the_product_limit_by_hand(rows: list[Row]) -> None:
    found = cumulative_incidence(rows, "letter", 0.95)
    for time in (0, 7, 15, 30, 99):
        assert found.at(time).share == pytest.approx(float(by_hand(rows, "letter", time)), abs=1e-12)


@given(histories)
def test_all_causes_and_the_free_add_up_to_one(rows: list[Row]) -> None:
    end = [cumulative_incidence(rows, cause, 0.95).at(30).share for cause in ("letter", "dispute")]
    any_cause = [Row(row.time, row.cause and "any") for row in rows]
    assert sum(end) == pytest.approx(cumulative_incidence(any_cause, "any", 0.95).at(30).share, abs=1e-12)
    assert sum(end) <= 1 + 1e-12


@given(histories)
def test_the_share_and_its_error_equal_statsmodels(rows: list[Row]) -> None:
    status = np.array([CAUSES.index(row.cause) for row in rows])
    if not (status == 1).any():
        return
    with np.errstate(all="ignore"):  # statsmodels divides by none at risk at the last time
        oracle = CumIncidenceRight(np.array([row.time for row in rows]), status)
    found = cumulative_incidence(rows, "letter", 0.95)
    for time, share, error in zip(oracle.times, oracle.cinc[0], oracle.cinc_se[0], strict=True):
        assert found.at(time).share == pytest.approx(share, abs=1e-12)
        if np.isfinite(error):
            assert found.at(time).se == pytest.approx(error, abs=1e-7)


@given(histories)
def test_one_cause_is_one_minus_kaplan_meier_with_greenwoods_error(rows: list[Row]) -> None:
    single = [Row(row.time, row.cause and "any") for row in rows]
    if not any(row.cause for row in single):
        return
    oracle = SurvfuncRight(np.array([row.time for row in single]), np.array([row.cause is not None for row in single]))
    found = cumulative_incidence(single, "any", 0.95)
    for time, free, error in zip(oracle.surv_times, oracle.surv_prob, oracle.surv_prob_se, strict=True):
        assert found.at(time).share == pytest.approx(1 - free, abs=1e-12)
        if free > 0:
            assert found.at(time).se == pytest.approx(error, abs=1e-7)


@given(histories, st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_counting_them_shows(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    found = cumulative_incidence(rows, "dispute", 0.9)
    assert (
        found == cumulative_incidence(shuffled, "dispute", 0.9) == cumulative_incidence(Counter(rows), "dispute", 0.9)
    )


@given(histories)
def test_the_interval_holds_the_share_within_one(rows: list[Row]) -> None:
    for step in cumulative_incidence(rows, "letter", 0.95).steps:
        assert 0 <= step.lo <= step.share + 1e-12
        assert step.share <= step.hi + 1e-12 <= 1 + 2e-12
        assert step.lo < step.hi


def test_the_interval_stands_on_the_log_log_scale() -> None:
    rows = [Row(day, "letter" if day % 3 else None) for day in range(1, 30)]
    step = cumulative_incidence(rows, "letter", 0.95).at(14)
    on_scale = 1.959964 * step.se / (step.share * log(step.share))
    assert (step.hi, step.lo) == pytest.approx((step.share ** exp(on_scale), step.share ** exp(-on_scale)), abs=1e-6)


def test_treating_other_causes_as_censored_would_promise_too_much() -> None:
    rows = [Row(1, "dispute")] * 50 + [Row(2, "letter")] * 25 + [Row(3, None)] * 25
    ignoring = [Row(row.time, row.cause if row.cause == "letter" else None) for row in rows]
    assert cumulative_incidence(rows, "letter", 0.95).at(3).share == pytest.approx(0.25)
    assert cumulative_incidence(ignoring, "letter", 0.95).at(3).share == pytest.approx(0.5)


def test_what_was_never_seen_is_not_impossible() -> None:
    found = cumulative_incidence([Row(5, None)] * 8 + [Row(6, "letter")] * 2, "dispute", 0.95)
    assert found.at(3)[1:4] == pytest.approx((0, 0, 1 - 0.025 ** (1 / 10)))
    assert found.at(6)[1:4] == pytest.approx((0, 0, 1 - 0.025 ** (1 / 2)))
    assert cumulative_incidence([], "dispute", 0.95).at(3)[1:4] == (0, 0, 1)


def test_the_interval_covers_the_true_probability_of_the_next_rung() -> None:
    rng, n, covered, runs = np.random.default_rng(4), 80, 0, 600
    letter, dispute, horizon = 1 / 20, 1 / 40, 30
    truth = letter / (letter + dispute) * (1 - exp(-(letter + dispute) * horizon))
    for _ in range(runs):
        times = np.stack([rng.exponential(1 / letter, n), rng.exponential(1 / dispute, n), rng.uniform(0, 90, n)])
        rows = Counter(
            Row(int(1000 * time), ("letter", "dispute", None)[which])
            for time, which in zip(times.min(axis=0), times.argmin(axis=0), strict=True)
        )
        step = cumulative_incidence(rows, "letter", 0.9).at(1000 * horizon)
        covered += step.lo <= truth <= step.hi
    assert covered / runs == pytest.approx(0.9, abs=0.03)
