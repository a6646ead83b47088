"""Known incidents: what really happened, when and where; and which of it a set of alarms has caught, how late.

TOML: [[incident]] with key, from, to, rule (both optional) and note. CSV: a header with the same names.
"""

import csv
import tomllib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.errors import UsageError
from schemas.outputs import AlarmState, AlarmTransition

REMEDY = 'write [[incident]] with key = "lyon", from = 2026-03-28T06:00:00Z, and to, rule, note where known'


class Incident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """One thing that went wrong; times in ms. No `to`: it lasts; no `rule`: any rule may catch it."""

    key: str
    from_: int
    to: int | None = None
    rule: str = ""
    note: str = ""

    def holds(self, rule: str, key: str, at: int) -> bool:
        """Return whether an alarm of `rule` at `key` that opens at `at` (ms) is about this incident."""
        return self.key == key and self.rule in {"", rule} and self.from_ <= at and (self.to is None or at <= self.to)


class Episode(msgspec.Struct, kw_only=True):
    """An alarm from its opening (pane end, ms) to its resolution; `to` is None while it lasts."""

    alarm_id: str
    rule: str
    key: str
    opened: int
    to: int | None = None


class Caught(NamedTuple):
    """An incident, and the episode that told of it (None: missed); `late_ms` 0 if one was open already."""

    incident: Incident
    episode: Episode | None
    late_ms: int | None


def read_incidents(path: Path) -> list[Incident]:
    """Return the incidents of a TOML or CSV file. Raises UsageError that names the culprit."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("no_file", f"{path}: {error}", "name a readable file of incidents") from error
    try:
        rows = list(csv.DictReader(StringIO(text))) if path.suffix == ".csv" else _toml(text)
    except (tomllib.TOMLDecodeError, csv.Error) as error:
        raise UsageError("bad_incidents", f"{path}: {error}", REMEDY) from error
    return [_incident(path, number, row) for number, row in enumerate(rows, 1)]


def _toml(text: str) -> list[dict[str, Any]]:
    found = tomllib.loads(text)
    unknown = sorted(found.keys() - {"incident"})
    if unknown or not isinstance(found.get("incident", []), list):
        raise tomllib.TOMLDecodeError(f"only [[incident]] is known, not {', '.join(unknown)}")
    return list(found.get("incident", []))


def _incident(path: Path, number: int, row: dict[str, Any]) -> Incident:
    try:
        plain = {name: value for name, value in row.items() if value not in ("", None)}
        for name in ("from", "to"):
            if name in plain:
                plain[name] = _ms(plain[name])
        incident = msgspec.convert(plain, Incident)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        raise UsageError("bad_incident", f"{path}: incident {number}: {error}", REMEDY) from error
    if incident.to is not None and incident.to < incident.from_:
        raise UsageError("bad_incident", f"{path}: incident {number} ends before it begins", REMEDY)
    return incident


def _ms(given: object) -> int:
    """Return a time in ms: RFC 3339 with an offset, or ms. Raises ValueError."""
    if isinstance(given, str):
        if given.isdigit():
            return int(given)
        given = datetime.fromisoformat(given)
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ValueError(f"{given} has no offset from UTC")
        return round(given.astimezone(UTC).timestamp() * 1000)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise ValueError(f"{given!r} is no time")


def episodes(transitions: Iterable[AlarmTransition]) -> list[Episode]:
    """Return the times for which alarms were open, in order of opening; one that comes back is an episode of its own."""
    out: list[Episode] = []
    running: dict[str, Episode] = {}
    for one in transitions:
        if one.state is AlarmState.OPEN and one.alarm_id not in running:
            episode = Episode(alarm_id=one.alarm_id, rule=one.rule, key=one.key, opened=one.pane)
            running[one.alarm_id] = episode
            out.append(episode)
        elif one.state is AlarmState.RESOLVED and one.alarm_id in running:
            running.pop(one.alarm_id).to = one.pane
    return out


def match(incidents: Sequence[Incident], found: Sequence[Episode]) -> tuple[list[Caught], list[Episode]]:
    """Return what became of each incident, and the episodes that no incident explains."""
    caught = []
    for incident in incidents:
        open_before = [
            one
            for one in found
            if incident.holds(one.rule, one.key, incident.from_)
            and one.opened < incident.from_
            and (one.to is None or one.to > incident.from_)
        ]
        within = [one for one in found if incident.holds(one.rule, one.key, one.opened)]
        if open_before:
            caught.append(Caught(incident, open_before[0], 0))
        elif within:
            first = min(within, key=lambda one: one.opened)
            caught.append(Caught(incident, first, first.opened - incident.from_))
        else:
            caught.append(Caught(incident, None, None))
    unexplained = [one for one in found if not any(each.holds(one.rule, one.key, one.opened) for each in incidents)]
    return caught, unexplained
