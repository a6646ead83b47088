"""Promised delays against simulation of the statistic itself, and what they say at the edges."""

from collections.abc import Sequence

import numpy as np
import pytest

from streams.core.detectors.delay import Answers, Chain, Steps
from streams.core.detectors.found_within import answers_finder, counts_finder
from streams.core.detectors.likelihood import Bernoulli, Counts

DAY_PANES = 8640
PANE_MS = 10_000


def simulated(changes: Sequence[tuple[Bernoulli, float]], w: float, p: float, runs: int = 1200) -> float:
    """Mean answers to the alarm of the weighted statistic after a long quiet time; alarms before restart it."""
    rng = np.random.default_rng(9)
    p0, shares = changes[0][0].p0, np.array([share for _, share in changes])[:, None]
    bad = np.exp([change.log_bad for change, _ in changes])[:, None]
    good = np.exp([change.log_good for change, _ in changes])[:, None]
    r = np.zeros((len(changes), runs))
    for _ in range(int(min(1500, 5 / w))):
        r = (r + shares * w) * np.where(rng.random(runs) < p0, bad, good)
        r[:, r.sum(axis=0) >= 1] = 0
    found = np.zeros(runs)
    for step in range(1, 20_000):
        r = (r + shares * w) * np.where(rng.random(runs) < p, bad, good)
        found[(found == 0) & (r.sum(axis=0) >= 1)] = step
        if found.all():
            return float(found.mean())
    raise AssertionError("some change was never found")


@pytest.mark.parametrize(
    ("p0", "p1", "truth", "w"),
    [(0.02, 0.06, 0.06, 1e-3), (0.02, 0.06, 0.10, 1e-2), (0.1, 0.2, 0.2, 1e-3), (0.1, 0.2, 0.17, 1e-2), (0.1, 0.2, 0.35, 1e-4),
     (0.3, 0.4, 0.4, 1e-3), (0.2, 0.1, 0.1, 1e-3), (0.2, 0.1, 0.05, 1e-2)],
)  # fmt: skip
def test_the_delay_of_one_change_is_close_to_its_simulation(p0: float, p1: float, truth: float, w: float) -> None:
    change = Bernoulli(p0, p1)
    assert Answers(change, w).mean_delay(truth) == pytest.approx(simulated([(change, 1.0)], w, truth), rel=0.07)


@pytest.mark.parametrize(
    ("truth", "w"), [(0.2, 1e-2), (0.2, 1e-3), (0.25, 1e-2), (0.25, 1e-4), (0.4, 1e-3), (0.6, 1e-2)]
)
def test_the_delay_of_a_family_is_within_25_percent_of_its_simulation(truth: float, w: float) -> None:
    family = [(Bernoulli(0.15, p1), 1 / 3) for p1 in (0.2, 0.25, 0.4)]
    per_day = 1000.0
    found = (answers_finder(family, per_day, w * per_day, PANE_MS).delay_days(truth) - 1 / DAY_PANES) * per_day
    assert found == pytest.approx(simulated(family, w, truth, 800), rel=0.25)


@pytest.mark.parametrize(
    ("factor", "truth", "dispersion"), [(1.5, 1.5, 1.0), (1.5, 2.0, 2.0), (0.5, 0.5, 1.0), (0.5, 0.3, 2.0)]
)
def test_the_delay_of_counts_is_close_to_its_simulation(factor: float, truth: float, dispersion: float) -> None:
    change, mu, w, runs = Counts(factor, dispersion), 2.0, 2e-3, 1500
    rng = np.random.default_rng(2)

    def counts(mean: float) -> np.ndarray:
        if dispersion == 1:
            return rng.poisson(mean, runs)
        size = mu / (dispersion - 1)
        return rng.negative_binomial(size, size / (size + mean), runs)

    up, base = change.log_ratio(1, 0.0), change.log_ratio(0, mu)
    r, found = np.zeros(runs), np.zeros(runs)
    for _ in range(600):
        r = (r + w) * np.exp(up * counts(mu) + base)
        r[r >= 1] = 0
    step = 0
    while not found.all():
        step += 1
        r = (r + w) * np.exp(up * counts(mu * truth) + base)
        found[(found == 0) & (r >= 1)] = step
    assert Steps(change, mu, w).mean_delay(truth) == pytest.approx(found.mean(), rel=0.07)


def test_false_alarms_are_rarer_than_the_budget() -> None:
    for w in (1e-1, 1e-3, 1e-8):
        assert 1 / w <= Answers(Bernoulli(0.1, 0.2), w).arl0 <= 2 / w


def test_a_step_that_is_certain_to_alarm_takes_one_step() -> None:
    assert Chain([5.0, -0.1], [0.1, 0.9], 0.5).mean_delay([1.0, 0.0]) == pytest.approx(1.0)
    assert Answers(Bernoulli(0.1, 0.2), 5.0).mean_delay(0.1) == pytest.approx(1.0)


def test_more_answers_and_more_time_find_smaller_changes() -> None:
    family = [(Bernoulli(0.15, 0.25), 0.5), (Bernoulli(0.15, 0.4), 0.5)]
    rows = [answers_finder(family, rate, 1 / 140, PANE_MS).findable() for rate in (10, 100, 1000)]
    for row in rows:
        shares = [share for share in (*row.by_days.values(), row.within_last) if share is not None]
        assert shares == sorted(shares, reverse=True)
        assert min(shares) > 0.15
    assert rows[0].by_days[7] > rows[1].by_days[7] > rows[2].by_days[7]  # type: ignore[operator]


def test_what_is_named_is_found_in_time_and_a_smaller_change_is_not() -> None:
    finder = answers_finder([(Bernoulli(0.15, 0.25), 1.0)], 100, 1 / 140, PANE_MS)
    share = finder.within(7)
    assert share is not None
    assert finder.delay_days(share) <= 7 < finder.delay_days(share - 0.01)


def test_a_key_with_an_answer_in_100_days_is_told_to_use_its_parent() -> None:
    found = answers_finder([(Bernoulli(0.15, 0.25), 1.0)], 1 / 100, 1 / 1400, PANE_MS).findable()
    assert found == ({1: None, 7: None, 30: None}, None)


def test_a_silence_is_found_sooner_where_more_is_expected() -> None:
    fall = [(Counts(0.5), 1.0)]
    busy, quiet = counts_finder(fall, 1000, 1 / 140, PANE_MS), counts_finder(fall, 10, 1 / 140, PANE_MS)
    assert busy.delay_days(0.0) < quiet.delay_days(0.0)
    assert counts_finder(fall, 0.05, 1 / 140, PANE_MS).findable().by_days[30] is None
    found = quiet.within(7)
    assert found is not None and 0 < found < 1


def test_a_rise_is_named_as_a_factor_above_one() -> None:
    found = counts_finder([(Counts(1.5, 2.0), 1.0)], 50, 1 / 140, PANE_MS).findable()
    assert found.by_days[7] is not None and found.by_days[30] is not None
    assert found.by_days[7] > found.by_days[30] > 1


def test_what_comes_as_late_as_a_false_alarm_is_not_called_found() -> None:
    finder = answers_finder([(Bernoulli(0.15, 0.25), 1.0)], 100, 1 / 7, PANE_MS)
    assert finder.within(30) == finder.within(90) == finder.within(7 / 4)
