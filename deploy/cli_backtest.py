"""The command `backtest`: any catalogue on stored history, with every rule armed."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
from cyclopts import Parameter
from rich.console import Console

from deploy import wiring
from deploy.backtest import row_of
from deploy.backtest_commands import commands_of
from deploy.backtest_report import show
from deploy.backtesting import Run, Source, lines_of, time_of
from deploy.cli_options import DataDir, Json, located
from deploy.incidents import read_incidents
from deploy.native_lines import BadLine
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.outputs import Decision
from schemas.settings import Settings, load
from schemas.windows import DAY_MS

LISTED = 10
PLAIN_WIDTH = 160


def backtest(
    file: Path | None = None,
    /,
    *,
    catalogue: Annotated[
        Path | None, Parameter(help="metric catalogue (default: the one in force; of a file: that of the settings)")
    ] = None,
    from_clickhouse: Annotated[
        bool, Parameter(negative="", help="take the stored events of the last `--days` instead of a file")
    ] = False,
    days: Annotated[int, Parameter(help="with --from-clickhouse: days up to now")] = 28,
    as_live: Annotated[
        bool, Parameter(negative="", help="imported events count as if they had come live when they occurred")
    ] = False,
    commands: Annotated[
        Path | None, Parameter(help="JSON lines: renew, arm, disarm, rebase, ack, note, resolve, silence")
    ] = None,
    incidents: Annotated[
        Path | None, Parameter(help="known incidents, TOML or CSV with key, from, to, rule: which are caught, how late")
    ] = None,
    report: Annotated[bool, Parameter(negative="", help="a summary by rule instead of every output")] = False,
    until: Annotated[
        str | None, Parameter(help="judge up to this time, RFC 3339 or ms (default: the last event)")
    ] = None,
    alarms_only: Annotated[bool, Parameter(negative="", help="only alarms: much faster")] = False,
    pane_ms: Annotated[int | None, Parameter(help="pane length (default: the one of the settings)")] = None,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Run the engine with all rules armed over past events; JSON lines to standard output, or with `--report` a summary.

    The events are a file of native ones, no broker needed, or what ClickHouse holds. With `--report` and no command that
    renews, baselines are renewed every day.

    Examples: `barometer backtest events.jsonl --commands events.commands.jsonl --alarms-only`,
    `barometer backtest --from-clickhouse --days 28 --report --incidents incidents.toml`
    """
    if (file is None) == (not from_clickhouse):
        raise UsageError("no_events", "name a file of events, or --from-clickhouse, one of them", "see --help")
    settings = load(os.environ) if file is not None else located(data_dir)
    end = time_of(until)
    if from_clickhouse and end is None:
        end = system_clock()
    return run(
        Source(file=file, since=0 if end is None else end - days * DAY_MS, until=end, as_live=as_live),
        catalogue=(wiring.catalogue_file if file is not None else wiring.catalogue)(settings, catalogue),
        settings=settings,
        commands=commands_of(lines_of(commands)) if commands is not None else [],
        incidents=incidents,
        report=report or incidents is not None,
        alarms_only=alarms_only,
        pane_ms=pane_ms,
        json_=json_,
        out=sys.stdout,
    )


def run(
    source: Source,
    *,
    catalogue: Catalogue,
    settings: Settings,
    commands: list[Decision],
    incidents: Path | None = None,
    report: bool = False,
    alarms_only: bool = False,
    pane_ms: int | None = None,
    json_: bool = False,
    out: TextIO,
    tell: TextIO = sys.stderr,
) -> int:
    """Run one backtest, write it to `out` and remarks to `tell`; 1 only if no line was an event.

    Raises UsageError for files that cannot be read.
    """
    known = read_incidents(incidents) if incidents is not None else []

    def bad(line: BadLine) -> None:
        print(f"{source.file}:{line.number}: {line.error}", file=tell)

    one = Run(
        source, catalogue, settings, commands=commands, alarms_only=alarms_only or report, renewals=report, pane_ms=pane_ms,
        tell_bad=bad,
    )  # fmt: skip
    if report:
        one.finish()
        found = one.reports(known)
        if json_:
            print(json.dumps([each.details() for each in found]), file=out)
        else:
            show(found, Console(file=out, width=None if out.isatty() else PLAIN_WIDTH))
    else:
        encoder = msgspec.json.Encoder()
        out.writelines(encoder.encode(row_of(output)).decode() + "\n" for output in one.outputs())
    _remarks(one, tell)
    read = one.test.read
    return 1 if read["bad"] and not read["counted"] else 0


def _remarks(one: Run, tell: TextIO) -> None:
    test, read = one.test, one.test.read
    if not test.engine.armed:
        tell.write("no key is armed: the rules watch nothing; a renewal arms them, see --commands\n")
        unarmed = test.engine.unarmed
        tell.writelines(f"  {each.rule} {each.key}: {each.reason}\n" for each in unarmed[:LISTED])
        if len(unarmed) > LISTED:
            tell.write(f"  and {len(unarmed) - LISTED} more\n")
    tell.write(f"{read['counted']} events, {read['repeats']} repeats, {read['bad']} bad lines\n")
