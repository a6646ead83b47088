"""Delays with day effects against simulation of the statistic itself."""

from math import log

import numpy as np
import pytest

from streams.core.detectors.day_delay import DayDelay, day_finder
from streams.core.detectors.delay import Answers
from streams.core.detectors.likelihood import Bernoulli

PANE_MS = 10_000


def simulated(p0: float, p1: float, rho: float, per_day: int, w: float, p: float, runs: int = 400) -> float:
    """Mean answers from a change at any time of the third day to the alarm; alarms before begin anew."""
    rng, size = np.random.default_rng(9), 1 / rho - 1
    at, r, found = rng.integers(2 * per_day, 3 * per_day, runs), np.zeros(runs), np.zeros(runs)
    step = 0
    while not found.all():
        quiet, changed = (rng.beta(one * size, (1 - one) * size, runs) for one in (p0, p))
        bad, good = np.zeros(runs), np.zeros(runs)
        for _ in range(per_day):
            worse = rng.random(runs) < np.where(step >= at, changed, quiet)
            over = np.where(worse, p1 * size + bad, (1 - p1) * size + good)
            under = np.where(worse, p0 * size + bad, (1 - p0) * size + good)
            r = (r + w / per_day) * over / under
            bad, good, step = bad + worse, good + ~worse, step + 1
            found[(r >= 1) & (step > at) & (found == 0)] = step
            r[r >= 1] = 0
        assert step < 300 * per_day
    return float((found - at).mean())


@pytest.mark.parametrize(
    ("p0", "p1", "rho", "per_day", "w", "truth"),
    [(0.1, 0.25, 0.03, 20, 1 / 20, 0.3), (0.1, 0.25, 0.01, 100, 1 / 20, 0.2), (0.1, 0.25, 0.03, 100, 1 / 350, 0.3),
     (0.1, 0.25, 0.02, 400, 1 / 50, 0.3), (0.02, 0.06, 0.005, 100, 1 / 20, 0.08), (0.3, 0.2, 0.02, 100, 1 / 20, 0.12)],
)  # fmt: skip
def test_the_delay_is_within_25_percent_and_a_part_of_the_day_of_its_simulation(
    p0: float, p1: float, rho: float, per_day: int, w: float, truth: float
) -> None:
    found = DayDelay(p0, p1, rho, per_day, w).mean_delay(truth) * per_day
    assert found == pytest.approx(simulated(p0, p1, rho, per_day, w, truth), rel=0.25, abs=per_day / 24)


def test_with_hardly_any_correlation_it_is_the_delay_of_independent_answers() -> None:
    found = DayDelay(0.1, 0.25, 1e-4, 20, 1 / 50).mean_delay(0.3) * 20
    assert found == pytest.approx(Answers(Bernoulli(0.1, 0.25), 1 / 1000).mean_delay(0.3), rel=0.2)


def test_where_days_differ_less_is_found_and_the_finder_says_so() -> None:
    change = Bernoulli(0.1, 0.25)
    found = [day_finder(change, rho, 500, 1 / 350, PANE_MS).findable() for rho in (0.005, 0.03, 0.3)]
    for days in (1, 7, 30):
        alike, some, most = (one.by_days[days] for one in found)
        assert alike is not None
        assert some is not None
        assert alike < some
        assert most is None or most > some
    assert found[2].by_days[1] is None, "a day cannot say enough"
    assert day_finder(change, 0.03, 500, 1 / 350, PANE_MS).of_size(1.0) == 1
    assert day_finder(Bernoulli(0.3, 0.2), 0.03, 500, 1 / 350, PANE_MS).of_size(1.0) == 0
    assert log(day_finder(change, 0.03, 500, 1 / 350, PANE_MS).false_alarm_days) == pytest.approx(log(350))
