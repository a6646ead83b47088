"""What came out of the demonstration, read back from ClickHouse and the log, and held against what was sent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.demo.scenario import Month
from schemas.windows import WINDOWS

Query = Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]]
"""Run a statement with parameters and return its rows."""
CHECKED_WINDOWS = ("1h", "28d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One CSAT answer as its sender knows it."""

    event_id: str
    shop: str
    occurred_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All figures of the demonstration; `problems` says in words which check failed."""

    sent: int
    rows: int
    repeats: int
    rejected: int
    readings: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    injected: list[dict[str, Any]]
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        return {
            name: getattr(self, name)
            for name in ("sent", "rows", "repeats", "rejected", "readings", "alarms", "injected", "problems")
        }


def readings_of(query: Query) -> list[dict[str, Any]]:
    """Return the newest reading of every metric, window, shop and of all together."""
    names = ("metric", "dimension", "key", "window", "window_end", "status", "quality", "n", "value", "lo", "hi")
    rows = query(
        """
        SELECT metric, dimension, key, window, toUnixTimestamp64Milli(window_end), status, quality, n, value, lo, hi
        FROM readings
        WHERE dimension IN ('*', 'touchpoint')
        ORDER BY metric, dimension, key, window, window_end DESC, revision DESC
        LIMIT 1 BY metric, dimension, key, window
        """,
        {},
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def alarms_of(query: Query, first_injected_ms: int | None, dispute_ms: int | None) -> list[dict[str, Any]]:
    """Return the alarms that were opened, with their delay since the first injected answer, or the dispute, arrived."""
    rows = query(
        """
        SELECT metric, dimension, key, rule, toUnixTimestamp64Milli(pane), alarm_id
        FROM alarm_transitions WHERE state = 'open' ORDER BY pane, alarm_id
        """,
        {},
    )
    out = []
    for metric, dimension, key, rule, opened_at, alarm_id in rows:
        delay_s = delay_answers = None
        if first_injected_ms is not None and metric == "csat":
            delay_s = (opened_at - first_injected_ms) / 1000
            delay_answers = query(
                """
                SELECT count() FROM feedback_events
                WHERE lane = 'live' AND touchpoint = %(shop)s AND has(answer_question, 'csat')
                  AND toUnixTimestamp64Milli(arrived_at) >= %(first)s AND toUnixTimestamp64Milli(arrived_at) < %(opened)s
                """,
                {"shop": key, "first": first_injected_ms, "opened": opened_at},
            )[0][0]
        elif dispute_ms is not None and metric == "dispute":
            delay_s = (opened_at - dispute_ms) / 1000
        out.append(
            {
                "metric": metric,
                "dimension": dimension,
                "key": key,
                "rule": rule,
                "opened_at": opened_at,
                "delay_s": delay_s,
                "delay_answers": delay_answers,
                "alarm_id": alarm_id,
            }
        )
    return out


def first_arrival(query: Query, event_ids: Sequence[str]) -> int | None:
    """Return when the first of these events arrived, in ms."""
    if not event_ids:
        return None
    rows = query(
        "SELECT min(toUnixTimestamp64Milli(arrived_at)), count() FROM feedback_events WHERE event_id IN %(ids)s",
        {"ids": tuple(event_ids)},
    )
    return int(rows[0][0]) if rows[0][1] else None


def count(query: Query, table: str) -> int:
    """Return the rows of a table."""
    return int(query(f"SELECT count() FROM {table}", {})[0][0])


def wrong_readings(readings: Iterable[Mapping[str, Any]], given: Sequence[Given]) -> list[str]:
    """Return where a CSAT reading counts other answers than were given, by shop and in all."""
    out = []
    for reading in readings:
        if reading["metric"] != "csat" or reading["window"] not in CHECKED_WINDOWS:
            continue
        end, length = reading["window_end"], WINDOWS[reading["window"]].length_ms
        wanted = sum(
            end - length <= one.occurred_at < end and reading["key"] in {"*", one.shop}
            for one in given
        )  # fmt: skip
        if wanted != reading["n"]:
            out.append(
                f"csat over {reading['window']} at {reading['key']}: {reading['n']} answers counted, {wanted} were given"
            )
    return out


def missing_readings(readings: Iterable[Mapping[str, Any]], given: Sequence[Given]) -> list[str]:
    """Return the CSAT readings that should stand but do not: of every shop with answers, and of all."""
    found = {(one["key"], one["window"]) for one in readings if one["metric"] == "csat"}
    wanted = {(key, window) for key in {"*", *(one.shop for one in given)} for window in CHECKED_WINDOWS}
    return [f"no csat reading over {window} at {key}" for key, window in sorted(wanted - found)]


def problems_of(
    month: Month,
    *,
    sent: int,
    rows: int,
    repeats: int,
    rejected: int,
    alarms: Sequence[Mapping[str, Any]],
    injected_at: int | None,
) -> list[str]:
    """Return in words what does not hold: conservation, the alarm on the hit shop, the dispute, nothing else."""
    out = []
    if sent != rows + repeats + rejected:
        out.append(f"sent {sent} is not rows {rows} + repeats {repeats} + rejected {rejected}")
    drops = [alarm for alarm in alarms if alarm["metric"] == "csat"]
    if not any(alarm["key"] == month.injected_shop and alarm["opened_at"] > (injected_at or 0) for alarm in drops):
        out.append(f"no alarm on {month.injected_shop}, where the bad share rose")
    out += [
        f"an alarm on {alarm['key']}, where nothing changed" for alarm in drops if alarm["key"] != month.injected_shop
    ]
    disputes = [alarm["key"] for alarm in alarms if alarm["rule"] == "dispute"]
    if disputes != [month.dispute_shop]:
        out.append(f"disputes raised at {disputes}, filed at {month.dispute_shop}")
    return out
