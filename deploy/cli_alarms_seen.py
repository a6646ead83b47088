"""What operators see of alarms: `alarms list`, `alarms show`, `alarms watch`."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from deploy import wiring
from deploy.alarm_watch import follow
from deploy.alarm_words import ENGLISH, MACHINES, details, moment, row_of, sentences, step, where
from deploy.cli_alarms_decided import Alarm, alarm_of
from deploy.cli_options import DataDir, Json, located
from sinks import queries
from sinks.verbatims import shown

PIPE_WIDTH = 200
ID_SHOWN = 8


def list_alarms(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="every step of every alarm")] = False,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """List the alarms that stand, with their evidence in words.

    Example: `barometer alarms list --all`
    """
    client = wiring.clickhouse(located(data_dir))
    rows = queries.alarm_history(client) if all_ else queries.open_alarms(client)
    if json_:
        print(json.dumps(rows, default=str, ensure_ascii=False))
    elif rows:
        # a pipe has no width: do not fold what a person will grep
        Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(_table(rows, steps=all_))
    else:
        print("no alarm yet" if all_ else "no alarm stands open")
    return 0


def show_alarm(alarm: Alarm, /, *, json_: Json = False, data_dir: DataDir = None) -> int:
    """Show one alarm: all its steps and all its evidence.

    Example: `barometer alarms show 3f2a`
    """
    settings = located(data_dir)
    alarm_id, _ = alarm_of(settings, alarm)
    rows = queries.alarm_history(wiring.clickhouse(settings), prefix=alarm_id)
    with wiring.clickhouse(settings) as client:
        rows = shown(client, rows)
    if json_:
        print(json.dumps(rows, default=str, ensure_ascii=False))
        return 0
    newest = rows[0]
    print(f"{newest['rule']} at {where(newest, ENGLISH)} ({newest['severity']}), alarm {alarm_id}")
    before = None
    for row in reversed(rows):
        note = f": {row['note']}" if row["note"] else ""
        print(f"  {moment(row['at'], ENGLISH)}  {step(row, before, ENGLISH)} by {row['actor']}{note}")
        before = row
        if row["actor"] in MACHINES:
            for line in (*sentences(row, ENGLISH), *details(row, ENGLISH)):
                print(f"      {line}")
    return 0


def watch(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Print each step of each alarm as it comes, one line, until Ctrl-C.

    Example: `barometer alarms watch`
    """
    settings = located(data_dir)

    def ready() -> None:
        print("watching the alarm topics; Ctrl-C ends", file=sys.stderr, flush=True)

    try:
        for one in follow(settings, ready=ready, go_on=lambda: True):
            if json_:
                print(json.dumps(msgspec.to_builtins(one), ensure_ascii=False), flush=True)
            else:
                print(line_of(row_of(one)), flush=True)
    except KeyboardInterrupt:
        return 0
    return 0


def line_of(row: Mapping[str, Any]) -> str:
    """Return one step of an alarm as one line."""
    by = "" if row["actor"] in MACHINES else f" by {row['actor']}"
    said = [f'"{row["note"]}"'] if row["note"] else sentences(row, ENGLISH) if not by else []
    head = f"{moment(row['at'], ENGLISH)}  {row['state']}{by}  {row['rule']}  {where(row, ENGLISH)}  {row['severity']}"
    return "  ".join([head, row["alarm_id"][:ID_SHOWN], "; ".join(said)]).rstrip()


def _table(rows: Sequence[Mapping[str, Any]], *, steps: bool) -> Table:
    table = Table(title="steps of alarms, newest first" if steps else "alarms", title_justify="left")
    for title in ("id", "state", "severity", "rule", "where", "since" if not steps else "at", "evidence"):
        table.add_column(title, overflow="fold", no_wrap=title in {"id", "since", "at", "state"})
    for row in rows:
        machine = row["actor"] in MACHINES
        said = list(sentences(row, ENGLISH)) if machine or not steps else []
        if steps and not machine:
            said = [f"{row['actor']}: {row['note']}" if row["note"] else f"by {row['actor']}"]
        if not steps and row["acknowledged_by"]:
            said.append(f"taken on by {row['acknowledged_by']}")
        if not steps and row["last_note"]:
            said.append(f'"{row["last_note"]}"')
        at = row["at"] if steps else row["opened_at"] or row["first_at"]
        table.add_row(
            row["alarm_id"][:ID_SHOWN], row["state"], row["severity"], row["rule"], where(row, ENGLISH),
            moment(at, ENGLISH), "; ".join(said),
        )  # fmt: skip
    return table
