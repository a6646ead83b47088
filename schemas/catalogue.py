"""The metric catalogue: the only place where metrics and alarms are defined.

A file is read whole: every problem of it is told at once, with file, line, reason and what to do.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from schemas.catalogue_checks import metric_problems
from schemas.catalogue_fields import Problem, structs_of
from schemas.catalogue_lines import line_of, line_of_syntax_error, lines_of
from schemas.errors import CatalogueError
from schemas.metrics import Metric
from schemas.place_checks import exception_problems, touchpoint_problems
from schemas.rule_checks import rule_problems
from schemas.rules import Rule

PACKAGED = "schemas/catalogue.toml"
REMEDY = "mend these lines; `barometer catalogue check FILE` reads it again"


class Touchpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where customers meet the company."""

    name: str
    title: str = ""
    parent: str | None = None
    time_zone: str = "UTC"
    opens: str | None = None
    closes: str | None = None
    owner: str | None = None


class ExceptionalDays(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days of strike, holiday or promotion, both ends included, from which no baseline should learn."""

    name: str
    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")
    touchpoints: tuple[str, ...] = ()
    """Where; empty: everywhere. A day is a calendar day of the touchpoint."""


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All metrics, alarm rules, touchpoints and exceptional days."""

    metric: list[Metric]
    alarm: list[Rule] = []
    touchpoint: list[Touchpoint] = []
    exception: list[ExceptionalDays] = []

    @property
    def hash(self) -> str:
        """Return 16 hex digits that name everything which decides counts, values and alarms."""
        parts = [metric.identity for metric in self.metric]
        parts += [f"{rule.name}:{rule.definition_hash}" for rule in self.alarm]
        parts += [f"{one.name}<{one.parent}" for one in self.touchpoint if one.parent is not None]
        parts += [msgspec.json.encode(one).decode() for one in self.exception]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]

    def by_identity(self) -> dict[str, Metric]:
        """Return metric identity -> metric."""
        return {metric.identity: metric for metric in self.metric}

    def named(self, name: str) -> Metric:
        """Return the metric of this name. Raises CatalogueError."""
        for metric in self.metric:
            if metric.name == name:
                return metric
        raise CatalogueError("unknown_metric", f"no metric {name!r} in the catalogue")

    def scales(self) -> dict[str, tuple[int, int]]:
        """Return question -> scale, for the questions that a metric reads."""
        found: dict[str, tuple[int, int]] = {}
        for one in self.metric:
            if one.scale is not None:
                asked = [one.question, one.expected_question, *one.grid]
                found.update({question: one.scale for question in asked if question is not None})
            if one.overall_question is not None and one.overall_scale is not None:
                found[one.overall_question] = one.overall_scale
        return found


class _Tables(NamedTuple):
    """The tables of a catalogue by their index in the file; `unread`: table -> names of those that could not be read."""

    metric: dict[int, Metric]
    alarm: dict[int, Rule]
    touchpoint: dict[int, Touchpoint]
    exception: dict[int, ExceptionalDays]
    unread: dict[str, set[str]]

    def problems(self, pane_ms: int | None) -> Iterator[Problem]:
        """Yield what the types do not say."""
        metrics, places = self.unread.get("metric", set()), self.unread.get("touchpoint", set())
        parents = any(one.parent is not None for one in self.touchpoint.values())
        yield from metric_problems(self.metric, unread=metrics, pane_ms=pane_ms)
        yield from rule_problems(
            self.alarm, self.metric, parents=parents or bool(places), unread=metrics, pane_ms=pane_ms
        )
        yield from touchpoint_problems(self.touchpoint, unread=places)
        yield from exception_problems(self.exception, places | {one.name for one in self.touchpoint.values()})


def problems(catalogue: Catalogue, *, pane_ms: int | None = None) -> list[Problem]:
    """Return all that is wrong with a catalogue; with a pane length also what does not fit that."""
    tables = _Tables(
        dict(enumerate(catalogue.metric)),
        dict(enumerate(catalogue.alarm)),
        dict(enumerate(catalogue.touchpoint)),
        dict(enumerate(catalogue.exception)),
        {},
    )
    return list(tables.problems(pane_ms))


def parse(text: str, file: str = "catalogue", *, pane_ms: int | None = None) -> Catalogue:
    """Return the catalogue of TOML text; `file` names it in errors. Raises CatalogueError with every problem, one a line."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = line_of_syntax_error(str(error), text)
        raise CatalogueError("bad_catalogue", f"{file}:{line}: no TOML: {error}", REMEDY) from error
    kinds: dict[str, type[Any]] = {
        "metric": Metric,
        "alarm": Rule,
        "touchpoint": Touchpoint,
        "exception": ExceptionalDays,
    }
    wrong = [
        Problem(f"$.{name}", f"unknown key {name}", f"known are {', '.join(f'[[{one}]]' for one in kinds)}")
        for name in plain.keys() - kinds.keys()
    ]
    if not plain.get("metric"):
        wrong.append(Problem("$", "holds no metric", "add a [[metric]]; deploy/docs/catalogue.md says how"))
    found: dict[str, Any] = {}
    unread: dict[str, set[str]] = {}
    for name, kind in kinds.items():
        found[name], more = structs_of(plain.get(name, []), kind, f"$.{name}")
        wrong += more
        unread[name] = {_named(plain, one.path) for one in more} - {one.name for one in found[name].values()}
    tables = _Tables(**found, unread=unread)
    wrong += tables.problems(pane_ms)
    if wrong:
        raise CatalogueError("bad_catalogue", _told(wrong, plain, text, file), REMEDY)
    return Catalogue(**{name: list(rows.values()) for name, rows in found.items()})


def load(path: str = "", *, pane_ms: int | None = None) -> Catalogue:
    """Return the catalogue of a file, or the packaged one. Raises CatalogueError."""
    try:
        text = Path(path).read_text("utf-8") if path else (files("schemas") / "catalogue.toml").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(
            "no_catalogue",
            f"{path}: {error}",
            "set BAROMETER_CATALOGUE to a readable file",
        ) from error
    return parse(text, path or PACKAGED, pane_ms=pane_ms)


def check(catalogue: Catalogue, *, pane_ms: int) -> Catalogue:
    """Return the catalogue if it fits the pane length. Raises CatalogueError."""
    wrong = problems(catalogue, pane_ms=pane_ms)
    if wrong:
        told = "\n".join(f"{one.path}: {one.reason} -> {one.remedy}" for one in wrong)
        raise CatalogueError("bad_catalogue", told, REMEDY)
    return catalogue


def _told(wrong: list[Problem], plain: dict[str, object], text: str, file: str) -> str:
    """Return one line a problem, in the order of the file."""
    lines = lines_of(text)
    told = []
    for one in wrong:
        line, name = line_of(one.path, lines), _named(plain, one.path)
        table = one.path[2:].partition("[")[0].partition(".")[0]
        about = f"{table} {name!r}: " if name else ""
        told.append((line, f"{file}:{line}: {about}{one.reason} -> {one.remedy}"))
    return "\n".join(said for _, said in sorted(set(told)))


def _named(plain: dict[str, object], path: str) -> str:
    """Return the name that the table of a path has in the file; empty where it has none."""
    table, _, rest = path[2:].partition("[")
    rows = plain.get(table)
    if not rest or not isinstance(rows, list):
        return ""
    row = rows[int(rest.partition("]")[0])]
    name = row.get("name", "") if isinstance(row, dict) else ""
    return name if isinstance(name, str) else ""
