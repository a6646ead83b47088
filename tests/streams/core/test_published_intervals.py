"""Values and intervals of the reference data that the research names, beyond those beside each interval's own laws."""

from math import log, sqrt

import pytest

from schemas.catalogue import load
from schemas.outputs import Quality
from streams.core.intervals import adjusted_wald_nps, poisson_exact, wilson, z_of
from streams.core.values import value_of

NPS = next(metric for metric in load().metric if metric.name == "nps")

# promoters, passives, detractors; NPS, variance an answer, standard error, margin at 95 %, centre of the interval
NPS_ROWS = [
    ((50, 30, 20), 30.0, 0.61, 7.8102, 15.308, 29.13),
    ((500, 300, 200), 30.0, 0.61, 2.4698, 4.841, 29.91),
    ((26, 4, 6), 55.556, 0.580247, 12.6957, 24.883, 51.28),
    ((9, 0, 2), 63.636, 0.595041, 23.258, 45.585, 50.0),
]
"""The margin of the third and fourth rows is 1.959964 standard errors; the centre of the second is that of its interval."""


@pytest.mark.parametrize(("counts", "nps", "variance", "error", "margin", "centre"), NPS_ROWS)
def test_the_nps_has_the_published_value_and_the_interval_its_centre(
    counts: tuple[int, int, int], nps: float, variance: float, error: float, margin: float, centre: float
) -> None:
    promoters, passives, detractors = counts
    found = value_of(NPS, {10: promoters, 8: passives, 3: detractors})
    assert found.value == pytest.approx(nps, abs=5e-4)
    assert found.n == sum(counts)
    assert (found.lo + found.hi) / 2 == pytest.approx(centre, abs=0.006)


@pytest.mark.parametrize(("counts", "nps", "variance", "error", "margin", "centre"), NPS_ROWS)
def test_with_many_answers_the_nps_interval_has_the_published_variance_error_and_margin(
    counts: tuple[int, int, int], nps: float, variance: float, error: float, margin: float, centre: float
) -> None:
    # A million times the answers: the three added ones no longer count, and the margin shrinks by a thousand.
    times, n = 1_000_000, sum(counts)
    lo, hi = adjusted_wald_nps(counts[0] * times, counts[2] * times, n * times, 0.95)
    half = (hi - lo) / 2 * sqrt(times)
    assert half == pytest.approx(margin, abs=6e-4)
    assert half / z_of(0.975) == pytest.approx(error, abs=6e-5 * max(1, error))
    assert (half / z_of(0.975) / 100) ** 2 * n == pytest.approx(variance, abs=6e-6)


@pytest.mark.parametrize(
    ("promoters", "detractors", "n", "centre"), [(3, 0, 3, 50.0), (0, 0, 5, 0.0), (1, 0, 1, 25.0), (9, 2, 11, 50.0)]
)
def test_few_answers_pull_the_nps_interval_to_the_middle(
    promoters: int, detractors: int, n: int, centre: float
) -> None:
    # At a narrow level no end is clipped at 100, so the centre is that of the published rows.
    lo, hi = adjusted_wald_nps(promoters, detractors, n, 0.2)
    assert (lo + hi) / 2 == pytest.approx(centre, abs=1e-9)


def test_agreement_of_all_has_an_interval_of_some_width() -> None:
    # The plain Wald interval of three promoters has none, and that of (9, 0, 2) ends at 109.2.
    assert adjusted_wald_nps(3, 0, 3, 0.95)[0] < 0
    assert adjusted_wald_nps(9, 2, 11, 0.95)[1] < 100


def test_no_answers_have_no_nps() -> None:
    found = value_of(NPS, {})
    assert (found.value, found.lo, found.hi, found.n, found.quality) == (None, None, None, 0, Quality.NO_DATA)


def test_twenty_answers_of_which_nine_in_ten_are_satisfied_say_little() -> None:
    assert wilson(18, 20, 0.95) == pytest.approx((0.699, 0.972), abs=5e-4)


@pytest.mark.parametrize("exposure", [1.0, 30.0, 1000.0])
def test_the_rule_of_three_bounds_a_rate_that_was_never_seen(exposure: float) -> None:
    lo, hi = poisson_exact(0, 0.90)  # both tails of 5 %: the upper end is the one-sided bound at 95 %
    assert lo == 0
    assert hi / exposure == pytest.approx(-log(0.05) / exposure)
    assert hi / exposure == pytest.approx(3 / exposure, rel=0.002)
