"""Burn rates: the known thresholds, the trap at low objectives, and few answers that wake nobody."""

import pytest

from schemas.errors import CatalogueError
from streams.core.detectors.burn_rate import HOUR_MS, Tier, burn, fires, most_burn, tiers


def test_thresholds_of_the_workbook_for_a_strict_objective() -> None:
    assert [tier.burn for tier in tiers(0.999)] == pytest.approx([14.4, 6.0, 1.0])
    assert [tier.short_ms * 12 for tier in tiers(0.999)] == [tier.long_ms for tier in tiers(0.999)]
    assert [tier.short_ms // 60_000 for tier in tiers(0.999)] == [5, 30, 360]


def test_the_usual_threshold_can_never_fire_at_an_objective_of_90_percent() -> None:
    usual = Tier(HOUR_MS, HOUR_MS // 12, 14.4)
    everything_bad = (10_000, 10_000)
    assert burn(*everything_bad, 0.9) == pytest.approx(10)
    assert not fires(usual, 0.9, everything_bad, everything_bad)


@pytest.mark.parametrize("objective", [0.5, 0.8, 0.9, 0.95, 0.99, 0.999])
def test_every_tier_can_fire_at_every_objective(objective: float) -> None:
    for tier in tiers(objective):
        assert tier.burn <= most_burn(objective) / 2
        assert fires(tier, objective, (1000, 600), (100, 60))


def test_thresholds_at_90_percent_are_cut_to_half_of_what_can_burn() -> None:
    assert [tier.burn for tier in tiers(0.9)] == pytest.approx([5.0, 5.0, 1.0])


def test_few_answers_need_more_than_a_bad_share() -> None:
    tier = tiers(0.9)[0]  # fires when more than half is bad
    assert not fires(tier, 0.9, (3, 2), (3, 2))
    assert not fires(tier, 0.9, (20, 13), (20, 13))
    assert fires(tier, 0.9, (300, 200), (25, 17))


def test_the_short_window_ends_the_alarm() -> None:
    tier = tiers(0.9)[0]
    assert not fires(tier, 0.9, (300, 200), (25, 5))
    assert not fires(tier, 0.9, (300, 200), (0, 0))
    assert not fires(tier, 0.9, (0, 0), (0, 0))


@pytest.mark.parametrize("objective", [0.0, 1.0])
def test_impossible_objectives_are_refused(objective: float) -> None:
    with pytest.raises(CatalogueError):
        tiers(objective)
