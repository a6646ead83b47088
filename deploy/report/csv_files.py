"""The report of a week as CSV files for spreadsheets: UTF-8 with a mark, commas, one header line, times in UTC."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from deploy.report.mix import AtMix
from deploy.report.scores import Figure, Score
from deploy.report.week import Report

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def files(report: Report) -> dict[str, bytes]:
    """Return file name -> content."""
    tables = {
        "scores": [{**_score(report, one), **_at_mix(one)} for one in report.scores],
        "ranking": [
            {"metric": ranking.metric, "rank": place, **_score(report, one)}
            for ranking in report.rankings
            for place, one in [*enumerate(ranking.ranked, start=1), *((None, one) for one in ranking.unranked)]
        ],
        "alarms": [
            _timed(msgspec.to_builtins(one) | {"verbatims": " ".join(one.verbatims)}) for one in report.alarms
        ],
        "verbatims": [
            {"finding": number, **_timed(msgspec.to_builtins(quote))}
            for number, (_, quotes) in enumerate(report.findings, start=1)
            for quote in quotes
        ],
        "escalation": [_timed(msgspec.to_builtins(one)) for one in report.cases.running],
        "next_rungs": [
            {"from_rung": one.from_rung, "to_rung": one.cause, "days": one.days, **_figure(one.probability)}
            for one in report.cases.next_rungs
        ],
        "responses": [
            {"touchpoint": one.touchpoint, "channel": one.channel, "target_s": one.target_s, **_figure(one.share),
             "waiting": one.waiting, "overdue": one.overdue}
            for one in report.cases.responses
        ],
        "repeats": [
            {"touchpoint": one.touchpoint, "channel": one.channel, **_figure(one.share)} for one in report.cases.repeats
        ],
        "buyers": [{"customer_class": name, **_figure(one)} for name, one in report.cases.buyers.items()],
    }  # fmt: skip
    return {f"{name}.csv": _csv(rows) for name, rows in tables.items()}


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    all_rows = list(rows)
    if all_rows:
        writer = csv.DictWriter(out, list(all_rows[0]))
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in all_rows)
    return out.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> Any:
    """Return what a spreadsheet shows as it stands: a text that it would take for a formula gets a quotation mark."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return "" if value is None else value


def _figure(figure: Figure, prefix: str = "") -> dict[str, Any]:
    return {
        f"{prefix}value": figure.value, f"{prefix}lo": figure.lo, f"{prefix}hi": figure.hi, f"{prefix}n": figure.n,
        f"{prefix}quality": str(figure.quality),
    }  # fmt: skip


def _score(report: Report, one: Score) -> dict[str, Any]:
    return {
        "week": report.week, "metric": one.metric, "dimension": one.dimension, "key": one.key, **_figure(one.now),
        "target": one.target, "against_target": str(one.against_target), **_figure(one.before, "previous_"),
        "change": one.change.value, "change_lo": one.change.lo, "change_hi": one.change.hi, "trend": str(one.trend),
    }  # fmt: skip


def _at_mix(one: Score) -> dict[str, Any]:
    held = None if one.at_mix is None else msgspec.structs.asdict(one.at_mix)
    return {f"at_mix_{name}": None if held is None else held[name] for name in AtMix.__struct_fields__}


def _timed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose epoch times are written as UTC times."""
    return dict(_utc(name, value) for name, value in row.items())


def _utc(name: str, value: Any) -> tuple[str, Any]:
    if not name.endswith(("_ms", "_at")):
        return name, value
    at = None if value is None else datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
    bare = name.removesuffix("_ms")
    return bare if bare.endswith("at") else bare + "_at", at
