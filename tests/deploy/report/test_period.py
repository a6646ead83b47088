"""ISO weeks and their bounds where clocks change."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from deploy.report.period import Week, parse_week, parse_zone, week_of
from schemas.errors import UsageError

HOUR_MS = 3_600_000
PARIS = ZoneInfo("Europe/Paris")


def test_week_53_exists_in_long_years_only() -> None:
    assert parse_week("2026-W53").monday == date(2026, 12, 28)
    assert parse_week("2020-w53").sunday == date(2021, 1, 3)
    assert parse_week("2027W1").previous == Week(2026, 53)
    with pytest.raises(UsageError) as refused:
        parse_week("2027-W53")
    assert refused.value.reason == "no_such_week"


@pytest.mark.parametrize("text", ["2026-47", "W47", "2026-W", "week 47", "2026-W471", ""])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_week(text)
    assert refused.value.reason == "bad_week"


def test_every_day_lies_in_the_week_of_its_name_and_weeks_touch() -> None:
    day, end = date(2019, 12, 20), date(2027, 1, 20)
    while day < end:
        week = week_of(day)
        assert week.monday <= day <= week.sunday
        assert week.previous.sunday + timedelta(days=1) == week.monday
        assert week.previous.bounds_ms(PARIS)[1] == week.bounds_ms(PARIS)[0]
        assert parse_week(week.name) == week
        day += timedelta(days=1)


@pytest.mark.parametrize(("name", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W47", 168)])
def test_weeks_in_which_the_clocks_change_are_an_hour_shorter_or_longer(name: str, hours: int) -> None:
    start, end = parse_week(name).bounds_ms(PARIS)
    assert end - start == hours * HOUR_MS
    start, end = parse_week(name).bounds_ms(ZoneInfo("UTC"))
    assert end - start == 168 * HOUR_MS


def test_unknown_time_zones_are_refused_by_name() -> None:
    assert parse_zone("Asia/Kolkata").key == "Asia/Kolkata"
    for name in ("Mars/Olympus", "", "../etc/passwd"):
        with pytest.raises(UsageError) as refused:
            parse_zone(name)
        assert refused.value.reason == "unknown_time_zone"
