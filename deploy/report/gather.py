"""Ask the store for what the report of a week says, and put it together."""

from collections import defaultdict
from datetime import timedelta
from zoneinfo import ZoneInfo

from clickhouse_driver import Client

from deploy.report import week as weeks
from deploy.report.alarms import alarms
from deploy.report.cases import cases
from deploy.report.period import Week, parse_zone, week_of
from deploy.report.scores import scores
from schemas.catalogue import Catalogue
from sinks import cases as store
from sinks.verbatims import verbatims

REFERENCE_WEEKS = 4
"""The mix of channels of so many weeks before is the reference, as in v_readings_mix."""


def report(client: Client, catalogue: Catalogue, week: Week, *, zone: ZoneInfo | None = None) -> weeks.Report:
    """Return the report of a week; touchpoints by their own calendar unless a time zone is given.

    Raises UnavailableError.
    """
    home = zone or home_zone(catalogue)
    bounds = week.bounds_ms(home)
    zones = {one.name: zone or parse_zone(one.time_zone) for one in catalogue.touchpoint}
    found = scores(
        catalogue, _counts(client, week, zones, home), _counts(client, week.previous, zones, home),
        _earlier(client, week, home),
    )  # fmt: skip
    steps = store.alarms(client, *bounds)
    raised = alarms(steps, verbatims(client, sorted({one["alarm_id"] for one in steps})))
    out = weeks.findings(catalogue, found, raised, bounds)
    known = store.known_until(client)
    days = (week.monday, week.sunday)
    return weeks.assemble(
        catalogue,
        week,
        time_zone=str(home),
        known_until_ms=known,
        week_ms=bounds,
        found=found,
        raised=raised,
        shown=[(one, store.verbatims(client, one.wanted, limit=weeks.VERBATIMS)) for one in out],
        cases=cases(
            escalations=store.escalations(client, *bounds),
            steps=store.steps(client),
            responses=store.responses(client, *days),
            repeats=store.repeats(client, *days),
            buyers=store.buyers(client, *days),
            first_answers=store.first_answers(client, week.monday),
            week_ms=bounds,
        ),
    )


def _earlier(client: Client, week: Week, home: ZoneInfo) -> list[store.Count]:
    """Return the counts by channel of the four weeks before."""
    first = week_of(week.monday - timedelta(weeks=REFERENCE_WEEKS))
    counted = store.counts(client, first.bounds_ms(home)[0], week.bounds_ms(home)[0])
    return [one for one in counted if one.dimension == "channel"]


def home_zone(catalogue: Catalogue) -> ZoneInfo:
    """Return the time zone of most touchpoints; UTC without touchpoints."""
    names: dict[str, int] = defaultdict(int)
    for one in catalogue.touchpoint:
        names[one.time_zone] += 1
    return parse_zone(max(names, key=lambda name: (names[name], name))) if names else ZoneInfo("UTC")


def _counts(client: Client, week: Week, zones: dict[str, ZoneInfo], home: ZoneInfo) -> list[store.Count]:
    """Return the counts of a week, each touchpoint's by its own zone, all else by `home`; zones with one calendar asked once."""
    bounds = {week.bounds_ms(zone) for zone in (home, *zones.values())}
    by_bounds = {one: store.counts(client, *one) for one in bounds}
    return [
        count
        for one, counted in by_bounds.items()
        for count in counted
        if one == week.bounds_ms(zones.get(count.key, home) if count.dimension == "touchpoint" else home)
    ]
