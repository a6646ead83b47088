"""Null worlds with bad hours: kept with the profile, broken without it, and the same alarms as the product's detector."""

import numpy as np
import pytest

from deploy.simulation import answer_worlds as worlds
from deploy.simulation import null_hours
from deploy.simulation.null_hours import World, hours
from deploy.simulation.promised import Cell

WEIGHTS = worlds.week(worlds.OPEN, worlds.WEEKEND)


@pytest.fixture
def few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(null_hours, "KEYS", 20)


def rows(world: World, days: int) -> dict[str, Cell]:
    return {"weekday_hour" if "weekday_hour" in one.setting else "none": one for one in hours(world, days, 3, 0.01)}


@pytest.mark.usefixtures("few_keys")
@pytest.mark.parametrize("days", [29, 21])
def test_evenings_four_times_as_bad_break_the_promise_without_the_profile_alone(days: int) -> None:
    found = rows(World("evenings", WEIGHTS, worlds.profile_shares(WEIGHTS, 4.0), per_day=1000), days)
    assert found["none"].upper > 2
    assert not found["none"].assumed
    assert found["weekday_hour"].kept
    assert found["weekday_hour"].alarms > 0, "a promise that costs all alarms is none"
    assert found["weekday_hour"].upper < 1.1
    assert min(one.checked for one in found.values()) >= 1500


@pytest.mark.usefixtures("few_keys")
def test_where_no_hour_is_worse_the_profile_changes_nothing() -> None:
    found = rows(World("alike", WEIGHTS, np.full(168, 0.1)), 29)
    assert found["none"].alarms == found["weekday_hour"].alarms
    assert found["none"].note == found["weekday_hour"].note


@pytest.mark.usefixtures("few_keys")
def test_with_day_effects_the_twin_raises_the_alarms_of_the_detector() -> None:
    found = rows(World("days", WEIGHTS, worlds.profile_shares(WEIGHTS, 4.0), rho=0.05), 29)
    assert min(one.checked for one in found.values()) >= 1500
