"""Commands about the metric catalogue: check it, document it, show its SQL, compare two; put a new one into force."""

import getpass
import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console

from deploy.catalogue_diff import changes
from deploy.catalogue_page import page
from deploy.catalogue_text import as_toml
from deploy.catalogue_words import LANGUAGES
from deploy.cli_options import DataDir, Json, located
from schemas import catalogue as catalogues
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.settings import load
from sinks.compiled.views import views_of

catalogue = cyclopts.App(
    name="catalogue",
    help="The metric catalogue: check it, document it, show its SQL, compare two; change that of a running installation.",
)

Where = Annotated[Path | None, Parameter(help="catalogue to read (default: the one of the settings)")]


def _read(file: Path | None) -> Catalogue:
    settings = load(os.environ)
    return catalogues.load(settings.catalogue if file is None else str(file), pane_ms=settings.pane_ms)


@catalogue.command
def check(file: Where = None, /, *, json_: Json = False) -> int:
    """Read a catalogue as the processes do at start; every problem with file, line, reason and what to do.

    Example: `barometer catalogue check my.toml`
    """
    found = _read(file)
    if json_:
        series = {one.name: one.identity for one in found.metric}
        print(json.dumps({"hash": found.hash, "metrics": series, "alarms": [one.name for one in found.alarm]}))
    else:
        print(
            f"fine: {len(found.metric)} metrics, {len(found.alarm)} alarms, {len(found.touchpoint)} touchpoints; catalogue {found.hash}"
        )
    return 0


@catalogue.command
def docs(
    file: Where = None,
    /,
    *,
    lang: Annotated[Literal["en", "fr"], Parameter(help="language of the page")] = "en",
    out: Annotated[Path | None, Parameter(help="file to write (default: standard output)")] = None,
) -> int:
    """Write the page for analysts: meaning, formula, who counts, intervals, SQL and promise of every metric and alarm.

    Example: `barometer catalogue docs --lang fr --out indicateurs.html`
    """
    html = page(_read(file), LANGUAGES[lang])
    if out is None:
        sys.stdout.write(html)
    else:
        out.write_text(html, "utf-8")
        print(f"written: {out}")
    return 0


@catalogue.command
def sql(metric: str, file: Where = None, /) -> int:
    """Print the SQL of a metric's views, as `barometer migrate` makes them. Example: `barometer catalogue sql csat`"""
    found = _read(file)
    statements = [view.statement.replace(" FROM (", "\nFROM (") for view in views_of(found.named(metric), found)]
    print(";\n\n".join(statements) + ";")
    return 0


@catalogue.command
def diff(old: Path, new: Path, /, *, json_: Json = False) -> int:
    """Say what changes between two catalogues: which series begin anew, which alarms start unarmed.

    Example: `barometer catalogue diff old.toml new.toml`
    """
    from deploy.applying_said import line_of

    found = list(changes(_read(old), _read(new)))
    if json_:
        print(json.dumps([one._asdict() for one in found]))
        return 0
    for one in found:
        print(line_of(one))
    if not found:
        print("no difference")
    return 0


@catalogue.command
def apply(
    file: Where = None,
    /,
    *,
    from_: Annotated[
        str, Parameter(name="--from", help="when it begins to count: `in 60s`, `in 10m`, RFC 3339 or epoch ms")
    ] = "in 60s",
    note: Annotated[str, Parameter(help="why; stays in the history")] = "",
    no_seed: Annotated[
        bool, Parameter(name="--no-seed", negative="", help="new series begin empty, without their past")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="say what it would change, and write nothing")] = False,
    wait: Annotated[
        bool, Parameter(name="--wait", negative="", help="until it is in force and new series have their past")
    ] = False,
    timeout_s: Annotated[float, Parameter(help="seconds to wait")] = 900.0,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Put a catalogue into force while everything runs, from a named time on; what it does not change goes on unbroken.

    Example: `barometer catalogue apply my.toml --note "very satisfied only" --wait`
    """
    from deploy import applying, applying_said
    from deploy.alarms import By

    settings = located(data_dir)
    wanted = catalogues.load(settings.catalogue if file is None else str(file), pane_ms=settings.pane_ms)
    from_ms = _moment(from_)
    if dry_run:
        found = applying.plan(settings, wanted, from_ms=from_ms, seed=not no_seed)
        if found.refused is not None:
            raise found.refused
        lines = (
            [json.dumps({**found.details(), "dry_run": True})] if json_ else applying_said.told(found, "would replace")
        )
        print("\n".join(lines))
        return 0
    written = applying.apply(settings, wanted, from_ms=from_ms, seed=not no_seed, by=By(_author(), note))
    told = Console(stderr=json_)

    def say(*lines: str) -> None:
        for line in lines:
            told.print(line, highlight=False, soft_wrap=True, markup=False)

    say(*applying_said.told(written.plan, "replaces"), applying_said.make_views(settings, written.plan))
    said = {**written.plan.details(), "decision_id": written.decision.decision_id, "offset": written.offset}
    if wait:
        done = applying_said.waited(settings, written, timeout_s, told)
        said |= {"pane": done.pane, "events": done.events}
        past = "" if done.events is None else f"; the past of new series holds {done.events} events"
        say(f"in force; the last pane judged ended at {done.pane} ms{past}")
    say(*applying_said.left_to_do(written.plan, settings, file, in_force=wait))
    if json_:
        print(json.dumps(said))
    return 0


@catalogue.command
def history(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """List the catalogues with which the installation has counted and will count, the newest first.

    Example: `barometer catalogue history`
    """
    from deploy.applying import listed
    from deploy.declarations import declarations, moment_of

    rows = listed(declarations(located(data_dir)), system_clock())
    if json_:
        print(json.dumps(rows, ensure_ascii=False))
        return 0
    for row in rows:
        note = f": {row['note']}" if row["note"] else ""
        seed = "" if row["seed"] else ", new series without their past"
        print(
            f"{row['catalogue_hash']}  {row['state']:<9}  from {moment_of(row['from_pane'])}  by {row['author']}{note}"
            f"  ({row['metrics']} metrics, {row['alarms']} alarms{seed})"
        )
    if not rows:
        print("none is declared yet: the first judge declares the one of the settings")
    return 0


@catalogue.command
def show(
    hash_: Annotated[str, Parameter(help="hash of a catalogue, or its first digits")],
    /,
    *,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Print a catalogue that is or was in force as a file. Example: `barometer catalogue show 3f2a > before.toml`"""
    from deploy.declarations import declared_in

    known = {one.catalogue.hash: one.catalogue for one in declared_in(located(data_dir))}
    found = [one for name, one in known.items() if hash_ and name.startswith(hash_)]
    if len(found) != 1:
        said = f"{len(found)} catalogues begin with {hash_!r}" if found else f"no catalogue {hash_!r} was declared"
        raise UsageError("unknown_catalogue", said, f"declared are {', '.join(known) or 'none'}")
    print(msgspec.json.format(msgspec.json.encode(found[0])).decode() if json_ else as_toml(found[0]), end="")
    return 0


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "operator"


def _moment(given: str) -> int:
    """Return the time of `in 60s`, or of a time as people write it, in ms. Raises UsageError."""
    ahead = re.fullmatch(r"in (\d{1,6})\s*([smhd])", given.strip())
    if ahead:
        return system_clock() + int(ahead[1]) * {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[ahead[2]]
    from deploy.backtesting import time_of

    found = time_of(given, "--from")
    assert found is not None
    return found
