"""Compare what an engine said with the recount; every difference is a line that names series, window and end."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.recount import TOTAL, WINDOWS, Counts, Series, expected

TOLERANCE = 1e-9


def latest(readings: Iterable[Mapping[str, Any]]) -> dict[tuple[Series, str], dict[int, Mapping[str, Any]]]:
    """Return the last revision of each series, window and end that is final."""
    out: dict[tuple[Series, str], dict[int, Mapping[str, Any]]] = {}
    for row in readings:
        if row["status"] == "provisional":
            continue
        at = ((row["metric"], row["dimension"], row["key"]), row["window"])
        held = out.setdefault(at, {}).get(row["window_end"])
        if held is None or held["revision"] < row["revision"]:
            out[at][row["window_end"]] = row
    return out


def differences(
    readings: Iterable[Mapping[str, Any]], truth: Mapping[tuple[Series, str], Counts], *, until: int, since: int = 0
) -> list[str]:
    """Return what is wrong with the final readings as they stood when pane `until` had been judged.

    A row must hold the recounted bins and their value, interval, method and quality; an end at which the recount changes
    must have a row; an end that is not yet due must have none. Ends before `since` and dirty ends are left out.
    """
    found = latest(readings)
    out = [f"{at}: rows of a series that nobody fed" for at in found.keys() - truth.keys()]
    for at, counts in truth.items():
        (metric, _, _), window = at
        _, step, lateness, _, _ = WINDOWS[window]
        rows = found.get(at, {})
        for end, row in rows.items():
            if end + lateness > until:
                out.append(f"{at} {end}: final before it was due")
            elif end >= since and not counts.is_dirty(end):
                out += [f"{at} {end}: {wrong}" for wrong in _wrong(metric, row, counts.at(end))]
        for end in counts.steps:
            due = end + lateness <= until and end >= since
            if due and end not in rows and not counts.is_dirty(end) and not counts.is_dirty(end - step):
                out.append(f"{at} {end}: no row, though the bins change to {counts.at(end)}")
    return sorted(out)


def _wrong(metric: str, row: Mapping[str, Any], bins: Mapping[int, int]) -> list[str]:
    if {int(bin_): count for bin_, count in row["bins"].items() if count} != {
        bin_: count for bin_, count in bins.items() if bin_ != TOTAL
    }:
        return [f"bins {dict(row['bins'])}, recounted {dict(bins)}"]
    out = []
    for name, want in expected(metric, dict(bins)).items():
        have = row[name]
        same = (
            math.isclose(have, want, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            if _both_numbers(have, want)
            else have == want
        )
        if not same:
            out.append(f"{name} {have}, recounted {want}")
    return out


def _both_numbers(have: object, want: object) -> bool:
    return isinstance(have, float | int) and isinstance(want, float | int)
