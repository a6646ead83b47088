"""ISO weeks and where they begin and end in a time zone."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.errors import UsageError


class Week(NamedTuple):
    """An ISO week: Monday to Sunday, week 1 holds the first Thursday of the year (ISO 8601)."""

    year: int
    number: int

    @property
    def name(self) -> str:
        """Return 2026-W47."""
        return f"{self.year}-W{self.number:02}"

    @property
    def monday(self) -> date:
        """Return its first day."""
        return date.fromisocalendar(self.year, self.number, 1)

    @property
    def sunday(self) -> date:
        """Return its last day."""
        return self.monday + timedelta(days=6)

    @property
    def previous(self) -> "Week":
        """Return the week before."""
        return week_of(self.monday - timedelta(days=7))

    def bounds_ms(self, zone: ZoneInfo) -> tuple[int, int]:
        """Return [start, end) in epoch ms: local midnights, so 167 or 169 hours apart where the clocks change."""
        start, end = (_midnight_ms(self.monday + timedelta(days=days), zone) for days in (0, 7))
        return start, end


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC).timestamp() * 1000)


def week_of(day: date) -> Week:
    """Return the ISO week of a day."""
    year, number, _ = day.isocalendar()
    return Week(year, number)


def parse_week(text: str) -> Week:
    """Return the week of a name like 2026-W47. Raises UsageError, also for a week 53 of a year that has 52."""
    found = re.fullmatch(r"(\d{4})-?W(\d{1,2})", text.strip(), re.IGNORECASE)
    if found is None:
        raise UsageError("bad_week", f"{text!r} is no ISO week", "write year and week, as in 2026-W47")
    week = Week(int(found[1]), int(found[2]))
    try:
        week.monday  # noqa: B018
    except ValueError as error:
        raise UsageError("no_such_week", f"{text}: {error}", "see a calendar with ISO weeks") from error
    return week


def parse_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of this name. Raises UsageError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError("unknown_time_zone", f"{name!r} is no time zone", "write one like Europe/Paris") from error


def moment(at_ms: int, zone: ZoneInfo) -> datetime:
    """Return a time in a zone."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
