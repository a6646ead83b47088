"""The command that writes the weekly report."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from deploy import wiring
from deploy.cli_options import DataDir, Json, located
from deploy.report import csv_files, html
from deploy.report.gather import report as gathered
from deploy.report.period import parse_week, parse_zone
from schemas.catalogue import Catalogue
from schemas.errors import UnavailableError, UsageError
from schemas.settings import Settings


def report(
    *,
    week: Annotated[str, Parameter(help="ISO week, as 2026-W47")],
    lang: Annotated[Literal["fr", "en"], Parameter(help="language of the page")] = "en",
    out: Annotated[Path, Parameter(help="folder for the files")] = Path(),
    time_zone: Annotated[
        str | None,
        Parameter(help="IANA time zone of all calendar weeks (default: each touchpoint's own)"),
    ] = None,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Write the report of a week as one HTML page and CSV files: scores, ranking, alarms, verbatims, cases.

    Example: `barometer report --week 2026-W47 --lang fr --out reports`
    """
    wanted = parse_week(week)
    zone = None if time_zone is None else parse_zone(time_zone)
    settings = located(data_dir)
    with wiring.clickhouse(settings) as client:
        found = gathered(client, _catalogue(settings), wanted, zone=zone)
    if json_:
        print(msgspec.json.encode(found).decode())
        return 0
    folder = out / f"report-{wanted.name}"
    written = {f"report-{wanted.name}-{lang}.html": html.page(found, lang).encode(), **csv_files.files(found)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError("not_writable", f"{folder}: {error}", "name another folder with --out") from error
    if not found.complete:
        print(f"{wanted.name} was not over yet: its figures will still change", file=sys.stderr)
    for name in written:
        print(folder / name)
    return 0


def _catalogue(settings: Settings) -> Catalogue:
    """Return the catalogue in force; where Kafka is away that of the settings, since a report needs the store alone."""
    try:
        return wiring.catalogue(settings)
    except UnavailableError as error:
        print(
            f"report with the catalogue of the settings, since the one in force is not known: {error}", file=sys.stderr
        )
        return wiring.catalogue_file(settings)
