"""How many events an hour expects: learned by weekday and hour from quiet full days, each cell as a bound.

A cell of weekday and hour wants 4 such days; else it is that of the hour of the day, and if that has no 4 days either,
the overall mean. A day without events is a day with 0: an empty day counts as soon as an earlier one is known. Cells
enter as one-sided bounds, since a rise must not be called where the profile is too low by chance, nor a fall where it is
too high: exact Poisson bounds, widened by the learned dispersion. Hours are UTC.
"""

import msgspec

from schemas.rules import Rule
from schemas.windows import DAY_MS, HOUR_MS
from streams.core import special
from streams.core.baseline import REACH_MS, Stretch
from streams.core.watching.hours import HOURS, HourCells

WEEK_HOURS = 7 * HOURS
FULL_WEEKS = 4


class Profile(msgspec.Struct, frozen=True, array_like=True):
    """Expected events an hour, by hour since the epoch modulo the length of `rates`: 1, or a week of hours."""

    rates: tuple[float, ...]
    dispersion: float
    """Variance / mean of the hours around the profile, at least 1."""
    n: int
    """Events that taught it."""
    days: int

    def rate(self, hour: int) -> float:
        """Return the expected events of an hour (since the epoch)."""
        return self.rates[hour % len(self.rates)]


def full_days(hours: HourCells, key: str, stretch: Stretch) -> list[int]:
    """Return the days of a key that teach: full ones, so not the first that is known unless it is out of reach."""
    first = hours.first_day(key)
    if first is None:
        return []
    begin = max(first + DAY_MS, -(-(stretch.pane - REACH_MS) // DAY_MS) * DAY_MS)
    end = stretch.pane - stretch.lag_ms - DAY_MS
    return [day for day in range(begin, end + 1, DAY_MS) if stretch.holds(day)]


def learned(rule: Rule, hours: HourCells, key: str, stretch: Stretch, *, upper: bool) -> Profile | str:
    """Return what the quiet days of a key teach, or why they do not."""
    days = full_days(hours, key, stretch)
    seen = {day // HOUR_MS + hour: count for day in days for hour, count in enumerate(hours.day(key, day))}
    n = sum(max(0, count) for count in seen.values())
    if n < rule.learn_min:
        return f"{n} events to learn from, {rule.learn_min} wanted"
    pools = _pools(seen, profiled=rule.profile == "weekday_hour")
    expected = [sum(pool) / len(pool) for pool in pools]
    dispersion = _dispersion(seen, expected, len(set(map(id, pools))))
    rates = tuple(_bound(sum(pool), len(pool), dispersion, rule.learn_confidence, upper=upper) for pool in pools)
    return Profile(rates, dispersion, n, len(days))


def _pools(seen: dict[int, int], *, profiled: bool) -> list[list[int]]:
    """Return the counts that each cell of the profile learns from; cells that share a parent share its list."""
    overall = [max(0, count) for count in seen.values()]
    if not profiled:
        return [overall]
    week: list[list[int]] = [[] for _ in range(WEEK_HOURS)]
    day: list[list[int]] = [[] for _ in range(HOURS)]
    for hour, count in seen.items():
        week[hour % WEEK_HOURS].append(max(0, count))
        day[hour % HOURS].append(max(0, count))
    return [
        cell if len(cell) >= FULL_WEEKS else day[at % HOURS] if len(day[at % HOURS]) >= FULL_WEEKS else overall
        for at, cell in enumerate(week)
    ]


def _dispersion(seen: dict[int, int], expected: list[float], cells: int) -> float:
    """Return variance / mean around the profile, at least 1, corrected for the cells that were fitted."""
    total = sum([expected[hour % len(expected)] for hour in seen])
    if total <= 0 or len(seen) <= cells:
        return 1.0
    squares = sum([(count - expected[hour % len(expected)]) ** 2 for hour, count in seen.items()])
    return max(1.0, squares / total * len(seen) / (len(seen) - cells))


def _bound(count: int, hours: int, dispersion: float, confidence: float, *, upper: bool) -> float:
    """Return the one-sided bound of the mean of `hours` hours. Source: Garwood 1936, counts in units of the dispersion."""
    scaled, miss = count / dispersion, 1 - confidence
    if upper:
        return dispersion * float(special.gammainccinv(scaled + 1, miss)) / hours
    return dispersion * float(special.gammaincinv(scaled, miss)) / hours if count else 0.0


def around(hours: HourCells, key: str, stretch: Stretch, per_day: float) -> Profile:
    """Return a declared number of events a day, flat, with the dispersion that 4 quiet days or more show around it."""
    days = full_days(hours, key, stretch)
    seen = {day // HOUR_MS + hour: count for day in days for hour, count in enumerate(hours.day(key, day))}
    rate = per_day / HOURS
    dispersion = _dispersion(seen, [sum(seen.values()) / len(seen)], 1) if len(days) >= FULL_WEEKS else 1.0
    return Profile((rate,), dispersion, sum(seen.values()), len(days))
