"""Charts of shares against the published vector, scipy and the counts behind the Wilson rule."""

import numpy as np
import pytest
from scipy import stats

from streams.core.detectors.proportions import answers_for_lower_limit, laney, p_limits, tail, wilson_count

BATCHES = list(zip((100, 120, 90, 150, 100, 110, 160, 105), (12, 15, 9, 20, 11, 14, 30, 13), strict=True))


def test_laney_gives_the_reference_vector() -> None:
    chart = laney(BATCHES)
    assert chart.mean == pytest.approx(0.1326203, abs=5e-8)
    assert chart.z == pytest.approx((-0.3721, -0.2461, -0.9124, 0.0257, -0.6669, -0.1654, 2.0467, -0.2662), abs=5e-5)
    assert chart.spread == pytest.approx(0.943486, abs=5e-7)
    assert chart.limits(100)[1] == pytest.approx(0.22862, abs=5e-6)
    assert p_limits(chart.mean, 100)[1] == pytest.approx(0.23437, abs=5e-6)


def test_laney_widens_the_limits_of_batches_that_vary_beyond_chance() -> None:
    rng = np.random.default_rng(1)
    levels = rng.beta(20, 80, 200)
    chart = laney([(2000, int(rng.binomial(2000, level))) for level in levels])
    assert chart.spread > 2
    assert chart.limits(2000)[1] - chart.mean == pytest.approx(
        chart.spread * (p_limits(chart.mean, 2000)[1] - chart.mean)
    )


@pytest.mark.parametrize(("p0", "n"), [(0.02, 441), (0.05, 171), (0.10, 81)])
def test_a_lower_limit_above_zero_needs_many_answers(p0: float, n: int) -> None:
    """The note's figure is the bound itself, where the limit is 0: n must be above it."""
    assert answers_for_lower_limit(p0) == n + 1
    assert p_limits(p0, n)[0] == pytest.approx(0.0, abs=1e-12)
    assert p_limits(p0, n + 1)[0] > 1e-6


@pytest.mark.parametrize(
    ("alpha", "count", "chance"), [(0.05, 9, 0.0579), (0.025, 10, 0.0245), (0.001, 12, 0.0032), (0.0001, 13, 0.0010)]
)
def test_the_wilson_rule_is_a_count_threshold_in_disguise(alpha: float, count: int, chance: float) -> None:
    assert wilson_count(50, 0.1, alpha) == count
    assert tail(50, 0.1, count) == pytest.approx(chance, abs=5e-5)


def test_the_exact_tail_is_that_of_scipy() -> None:
    for count in range(12):
        assert tail(11, 0.3, count) == pytest.approx(stats.binom.sf(count - 1, 11, 0.3), abs=1e-12)


def test_too_few_answers_have_no_count_that_alarms() -> None:
    assert wilson_count(1, 0.9, 0.001) == 2
