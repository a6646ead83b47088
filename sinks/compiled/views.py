"""The views of one metric: calendar days, trailing windows, the same recounted from the events, and a smoothed value."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.catalogue import Catalogue
from schemas.metrics import PAIR, Metric
from schemas.windows import WINDOWS
from sinks.compiled import KINDS
from sinks.compiled.cells import event_cells, tally_cells
from sinks.compiled.estimates import Estimate
from sinks.compiled.literals import number, text

PREFIX = "v_metric_"
PLACES = ("touchpoint", "parent")
"""Dimensions whose keys are places, with a time zone of their own; all others have UTC days."""


class View(NamedTuple):
    """A view: its columns as (name, type, comment), its SELECT, and what it is for."""

    name: str
    columns: tuple[tuple[str, str, str], ...]
    select: str
    comment: str

    @property
    def statement(self) -> str:
        """Return the statement that makes it, in the place of an older one."""
        columns = ",\n".join(f"    {name} {kind} COMMENT {text(comment)}" for name, kind, comment in self.columns)
        return (
            f"CREATE OR REPLACE VIEW {self.name}\n(\n{columns}\n)\nDEFINER = CURRENT_USER SQL SECURITY DEFINER\n"
            f"AS {self.select}\nCOMMENT {text(self.comment)}"
        )


_PLACE = (
    ("dimension", "String", "Dimension as the catalogue names it"),
    ("key", "String", "Key in that dimension; * for all, a JSON array for a pair"),
)
_DAY = (
    ("day", "Date", "Calendar day on which it happened, in that time zone: 23 or 25 hours where the clock changes"),
    ("time_zone", "String", "Time zone of the touchpoint; UTC where the key names none"),
)
_WINDOW = (
    ("window", "String", "Trailing window: 1h, 24h, 7d or 28d"),
    ("window_end", "DateTime64(3, 'UTC')", "End of the window, not included"),
)


def views_of(metric: Metric, catalogue: Catalogue) -> Iterator[View]:
    """Yield the views of a metric."""
    name, tallied = PREFIX + metric.name, tally_cells(metric)
    recounted = event_cells(metric, catalogue)
    yield View(
        name,
        (*_PLACE, *_DAY, *_figures(metric)),
        days(metric, tallied),
        f"{metric.title}: by calendar day, from tallies",
    )
    columns = (*_PLACE, *_WINDOW, *_figures(metric))
    yield View(
        f"{name}_windows", columns, windows(metric, tallied), f"{metric.title}: by trailing window, from tallies"
    )
    yield View(
        f"{name}_recount",
        columns,
        windows(metric, recounted),
        f"{metric.title}: by trailing window, from feedback_events",
    )
    if _estimate(metric).smooths:
        smooth = (
            *_PLACE,
            ("n_eff", "Float64", "Equally weighted answers that know as much (Kish)"),
            ("value", "Nullable(Float64)", _meaning(metric)),
            ("lo", "Nullable(Float64)", "Lower bound of the interval on n_eff; NULL: not computed here"),
            ("hi", "Nullable(Float64)", "Upper bound of the interval on n_eff; NULL: not computed here"),
        )
        said = f"{metric.title}: at T, what is half_life_h older weighs half; call it (half_life_h = 24, T = now())"
        yield View(f"{name}_smoothed", smooth, smoothed(metric, tallied), said)


def days(metric: Metric, cells: str) -> str:
    """Return the SELECT of figures by calendar day of the place that the key names."""
    zone = "if(t.time_zone = '', 'UTC', t.time_zone)"
    dated = (
        f"SELECT dimension, key, {zone} AS time_zone, toDate(formatDateTime(minute, '%F', {zone})) AS day, bin, count, sum "
        f"FROM (SELECT *, {_place_of(metric)} AS place FROM ({cells})) AS one "
        "LEFT JOIN (SELECT name, time_zone FROM touchpoints) AS t ON t.name = one.place"
    )
    return _figured(metric, dated, ("dimension", "key", "day", "time_zone"))


def _place_of(metric: Metric) -> str:
    """Return the touchpoint that a key names; empty where it names none."""
    cases = []
    for dimension in metric.dimensions:
        parts = dimension.split(PAIR, 1)
        at = next((i for i, part in enumerate(parts) if part in PLACES), None)
        if at is not None:
            cases.append(
                f"dimension = {text(dimension)}, {'key' if len(parts) == 1 else f'JSONExtractString(key, {at + 1})'}"
            )
    return f"multiIf({', '.join(cases)}, '')" if cases else "''"


def windows(metric: Metric, cells: str) -> str:
    """Return the SELECT of figures by trailing window, for every end on its grid that holds anything."""
    parts = []
    for name in metric.windows:
        window = WINDOWS[name]
        step = window.step_ms // 1000
        steps = f"SELECT dimension, key, bin, intDiv(toUnixTimestamp(minute), {step}) * {step} AS start, sum(count) AS count, sum(sum) AS sum "
        ends = f"arrayJoin(range({step}, {window.length_ms // 1000 + step}, {step}))"
        parts.append(
            f"SELECT {text(name)} AS window, dimension, key, toDateTime64(start + {ends}, 3, 'UTC') AS window_end, bin, count, sum "
            f"FROM ({steps}FROM ({cells}) GROUP BY dimension, key, bin, start HAVING count != 0 OR sum != 0)"
        )
    return _figured(metric, " UNION ALL ".join(parts), ("dimension", "key", "window", "window_end"))


def smoothed(metric: Metric, cells: str) -> str:
    """Return the SELECT of values that forget with a half-life, as weighted at T; an answer stands at the middle of its minute."""
    estimate = _estimate(metric)
    weight = "exp2(-(toUnixTimestamp64Milli({T:DateTime64(3, 'UTC')}) / 1000 - toUnixTimestamp(minute) - 30) / ({half_life_h:Float64} * 3600))"
    weighed = (
        f"SELECT dimension, key, bin, sum(count * {weight}) AS c, sum(sum * {weight}) AS s, sum(count * {weight} * {weight}) AS squares "
        f"FROM ({cells}) WHERE minute + 30 <= {{T:DateTime64(3, 'UTC')}} GROUP BY dimension, key, bin"
    )
    counted = ", ".join(f"{aggregate} AS {name}_w" for name, aggregate in estimate.counts.items())
    scaled = ", ".join(f"{name}_w * n_eff / weight AS {name}" for name in estimate.counts)
    return (
        f"SELECT dimension, key, n_eff, {_value(estimate)} FROM (SELECT dimension, key, n_eff, {scaled} FROM ("
        f"SELECT dimension, key, sum(c) AS weight, weight * weight / sum(squares) AS n_eff, {counted} "
        f"FROM ({weighed}) GROUP BY dimension, key HAVING weight > 0))"
    )


def _figured(metric: Metric, rows: str, by: tuple[str, ...]) -> str:
    """Return the figures of rows (by..., bin, count, sum), one row for each `by` that holds anything."""
    estimate, keys = _estimate(metric), ", ".join(by)
    summed = (
        f"SELECT {keys}, bin, sum(count) AS c, sum(sum) AS s FROM ({rows}) GROUP BY {keys}, bin HAVING c != 0 OR s != 0"
    )
    aggregates = ", ".join(f"{aggregate} AS {name}" for name, aggregate in estimate.counts.items())
    counted = (
        f"SELECT {keys}, {aggregates}, min(c) AS least_count, CAST((groupArray(toString(bin)), groupArray(c)), 'Map(String, Int64)') AS bins, sum(s) AS added "
        f"FROM ({summed}) GROUP BY {keys}"
    )
    return (
        f"SELECT {keys}, toInt64(n) AS n, {_value(estimate)}, {number(metric.level)} AS level, "
        f"{text(estimate.method)} AS method, multiIf(isNull(value), 'no_data', n < {metric.n_min}, 'low_n', 'ok') AS quality, "
        f"CAST({number(metric.target)}, 'Nullable(Float64)') AS target, bins, toInt64(added) AS sum "
        f"FROM (SELECT * REPLACE (if(least_count < 0, 0, n) AS n) FROM ({counted}))"
    )


def _value(estimate: Estimate) -> str:
    sides = (("value", estimate.value), ("lo", estimate.lo), ("hi", estimate.hi))
    return ", ".join(f"CAST(if({estimate.n} > 0, {one}, NULL), 'Nullable(Float64)') AS {name}" for name, one in sides)


def _estimate(metric: Metric) -> Estimate:
    return KINDS[metric.kind].estimate(metric)


def _meaning(metric: Metric) -> str:
    return f"Value of kind {metric.kind}; NULL: no data"


def _figures(metric: Metric) -> tuple[tuple[str, str, str], ...]:
    how = "NULL: only the judge computes it, see v_readings_latest"
    return (
        ("n", "Int64", "Answers, or events exposed"),
        ("value", "Nullable(Float64)", _meaning(metric)),
        ("lo", "Nullable(Float64)", f"Lower bound of the interval; {how}"),
        ("hi", "Nullable(Float64)", f"Upper bound of the interval; {how}"),
        ("level", "Float64", "Level of the interval"),
        ("method", "String", "How the interval is made; empty: only the judge computes it"),
        ("quality", "String", f"no_data, low_n (below {metric.n_min}) or ok; withholding is the judge's"),
        ("target", "Nullable(Float64)", "Target of the catalogue"),
        ("bins", "Map(String, Int64)", "Counts by bin"),
        ("sum", "Int64", "Sum of what was counted: scores, or minor units"),
    )
