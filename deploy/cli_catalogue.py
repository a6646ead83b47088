"""Commands about the metric catalogue: check it, document it, show its SQL, compare two."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from deploy.catalogue_diff import changes
from deploy.catalogue_page import page
from deploy.catalogue_words import LANGUAGES
from deploy.cli_options import Json
from schemas import catalogue as catalogues
from schemas.catalogue import Catalogue
from schemas.settings import load
from sinks.compiled.views import views_of

catalogue = cyclopts.App(
    name="catalogue", help="The metric catalogue: check it, document it, show its SQL, compare two."
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
    found = list(changes(_read(old), _read(new)))
    if json_:
        print(json.dumps([one._asdict() for one in found]))
        return 0
    for one in found:
        print(f"{one.what} {one.name}: {one.change}" + (f" ({one.fields})" if one.fields else ""))
    if not found:
        print("no difference")
    return 0
