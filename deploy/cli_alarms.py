"""The command group `alarms`: what operators see of alarms and decide about them, and the arming of rules."""

import getpass
import json
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import cyclopts
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from deploy import alarms as decisions
from deploy import wiring
from deploy.alarm_watch import follow
from deploy.alarm_words import ENGLISH, MACHINES, details, moment, row_of, sentences, step, where
from deploy.alarms import By
from deploy.arming import armable, known_rule, refusal, tried
from deploy.backtest_commands import commands_of
from deploy.backtest_report import show
from deploy.backtesting import Source, lines_of
from deploy.cli_options import DataDir, Json, located
from deploy.incidents import read_incidents
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.outputs import DecisionKind
from schemas.rules import IMMEDIATE, Rule
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from sinks import queries

PIPE_WIDTH = 200
ID_SHOWN = 8
KEYS_SHOWN = 20
UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}
MOST_SILENCED_MS = 28 * DAY_MS

alarms = cyclopts.App(
    name="alarms",
    help="See alarms and take them on, end or silence them; arm rules and renew what they compare with.",
)
Note = Annotated[str, Parameter(help="stays in the alarm's history")]
Timeout = Annotated[float, Parameter(help="seconds to wait until the judge has applied it")]


@alarms.command(name="list")
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


@alarms.command(name="show")
def show_alarm(alarm: str, /, *, json_: Json = False, data_dir: DataDir = None) -> int:
    """Show one alarm: all its steps and all its evidence. ALARM is an id, or the first letters of one.

    Example: `barometer alarms show 3f2a`
    """
    settings = located(data_dir)
    alarm_id, _ = _found(settings, alarm)
    rows = queries.alarm_history(wiring.clickhouse(settings), prefix=alarm_id)
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


@alarms.command
def ack(alarm: str, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """Take an alarm on: others see that somebody looks after it. ALARM is an id, or the first letters of one.

    Example: `barometer alarms ack 3f2a --note "calling the shop"`
    """
    return _on_alarm(DecisionKind.ACK, alarm, note, timeout_s, data_dir, "acknowledged")


@alarms.command(name="note")
def add_note(alarm: str, text: str, /, *, timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """Add a note to the history of an alarm.

    Example: `barometer alarms note 3f2a "the till is being mended"`
    """
    if not text.strip():
        raise UsageError("note_missing", "the note is empty", "write what others should know")
    return _on_alarm(DecisionKind.NOTE, alarm, text, timeout_s, data_dir, "noted")


@alarms.command
def resolve(alarm: str, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """End an alarm by hand; it may open again if the evidence comes back.

    Example: `barometer alarms resolve 3f2a --note "mended"`
    """
    return _on_alarm(DecisionKind.RESOLVE, alarm, note, timeout_s, data_dir, "resolved")


@alarms.command
def silence(
    rule: str,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for", help="how long: 30m, 2h, 1d")],
    key: Annotated[str, Parameter(help="only this key (default: all keys of the rule)")] = "",
    note: Note = "",
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Notify nobody of a rule's alarms for some time; its detectors go on, and the alarms stand in the list.

    Example: `barometer alarms silence satisfaction_drop --key lyon --for 2h --note "building works"`
    """
    settings = located(data_dir)
    until = system_clock() + span_ms(for_)
    chosen = known_rule(wiring.catalogue(settings), rule)
    if key:
        _demand_key(settings, chosen, key)
    decisions.silence(settings, rule, key, until, By(_author(), note), timeout_s=timeout_s)
    print(f"{rule} at {key or 'all keys'} is silent until {moment(datetime.fromtimestamp(until / 1000, UTC), ENGLISH)}")
    return 0


@alarms.command
def arm(
    rule: str,
    /,
    *,
    backtest: Annotated[Path | None, Parameter(help="file of past events (default: what ClickHouse holds)")] = None,
    from_clickhouse: Annotated[bool, Parameter(negative="", help="past events from ClickHouse: the default")] = False,
    days: Annotated[int, Parameter(help="days of stored events, up to now")] = 28,
    as_live: Annotated[
        bool, Parameter(negative="", help="imported events count as if they had come live when they occurred")
    ] = False,
    incidents: Annotated[Path | None, Parameter(help="known incidents, TOML or CSV: alarms that they explain")] = None,
    commands: Annotated[Path | None, Parameter(help="JSON lines for the backtest, such as renewals")] = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="", help="do not ask")] = False,
    force: Annotated[
        bool, Parameter(negative="", help="arm although it alarmed beyond its budget; wants --note")
    ] = False,
    note: Note = "",
    json_: Json = False,
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Run the backtest of a rule, show what it would have done, and arm it; its baselines are renewed with it.

    Examples: `barometer alarms arm satisfaction_drop --days 28`,
    `barometer alarms arm satisfaction_drop --backtest events.jsonl --incidents known.toml --yes`
    """
    if backtest is not None and from_clickhouse:
        raise UsageError("two_sources", "--backtest FILE or --from-clickhouse, not both")
    settings = located(data_dir)
    catalogue = wiring.catalogue(settings)
    chosen = armable(catalogue, rule)
    now = system_clock()
    source = Source(
        file=backtest, since=now - days * DAY_MS, until=None if backtest is not None else now, as_live=as_live
    )
    report = tried(
        chosen, source, catalogue, settings,
        commands=commands_of(lines_of(commands)) if commands is not None else (),
        incidents=read_incidents(incidents) if incidents is not None else (),
    )  # fmt: skip
    told = Console(stderr=json_, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    show([report], told)
    why = refusal(report, force=force, note=note)
    if why:
        print(f"not armed: {why}", file=sys.stderr)
        return 1
    if not report.weeks:
        print(
            "the backtest watched no key: no baseline could be learned. Armed, the rule waits until one can",
            file=sys.stderr,
        )
    if not yes and not _agreed(f"arm {rule}?"):
        print("not armed", file=sys.stderr)
        return 1
    pane = decisions.arm(settings, chosen, report.summary(), By(_author(), note), timeout_s=timeout_s)
    if json_:
        print(json.dumps({"armed": rule, "pane": pane, "backtest": report.details()}))
    else:
        print(f"{rule} is armed from pane {pane}")
    return 0


@alarms.command
def disarm(rule: str, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """Stop a rule: its open alarms end, no new one opens; it goes on learning.

    Example: `barometer alarms disarm satisfaction_drop --note "until the survey is translated"`
    """
    settings = located(data_dir)
    name = armable(wiring.catalogue(settings), rule).name
    decisions.disarm(settings, name, By(_author(), note), timeout_s=timeout_s)
    print(f"{name} is disarmed")
    return 0


@alarms.command
def rebase(
    rule: str,
    key: str,
    /,
    *,
    note: Annotated[str, Parameter(help="why this level is the new normal; required")],
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Accept the newest level of a key as its baseline: what it has come to is normal from now on.

    Example: `barometer alarms rebase satisfaction_drop lyon --note "new till, agreed with the shop"`
    """
    settings = located(data_dir)
    _demand_key(settings, armable(wiring.catalogue(settings), rule), key)
    decisions.rebase(settings, rule, key, By(_author(), note), timeout_s=timeout_s)
    print(f"{rule} compares {key} with its newest level")
    return 0


@alarms.command
def renew(
    *,
    note: Note = "",
    from_pane: Annotated[
        int | None, Parameter(help="pane end in ms before which it applies (default: the next)")
    ] = None,
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Learn the baselines of the armed rules anew and share their budgets among the keys that have one.

    Example: `barometer alarms renew --note "after the summer"`
    """
    pane = decisions.renew(located(data_dir), author=_author(), note=note, from_pane=from_pane, timeout_s=timeout_s)
    print(f"renewed; in force from pane {pane}" if pane is not None else "written; it applies at its pane")
    return 0


@alarms.command
def watch(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Print each step of each alarm as it comes, one line, until Ctrl-C. Reads the committed records of the alarm topics.

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


def span_ms(given: str) -> int:
    """Return a length such as 30m, 2h, 1d in ms. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", given)
    length = int(found[1]) * UNITS_MS[found[2]] if found else 0
    if not 0 < length <= MOST_SILENCED_MS:
        raise UsageError("bad_length", f"--for {given}", "write 30m, 2h or 1d; at most 28d")
    return length


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


def _demand_key(settings: Settings, rule: Rule, key: str) -> None:
    """Raise UsageError for a key that has never had a reading: the judge would ignore it without a word."""
    if rule.kind in IMMEDIATE or rule.strata == "children":
        return
    known = queries.known_keys(wiring.clickhouse(settings), rule.metric, rule.dimension)
    if key not in known:
        some = ", ".join(known[:KEYS_SHOWN]) or "none"
        raise UsageError("unknown_key", f"{rule.name} knows no key {key!r}", f"{rule.dimension}: {some}")


def _found(settings: Settings, given: str) -> tuple[str, str]:
    """Return id and state of the alarm whose id begins with `given`. Raises UsageError."""
    if not given.strip():
        raise UsageError("no_such_alarm", "the id is empty", "see `barometer alarms list`")
    states = queries.alarm_states(wiring.clickhouse(settings), given.strip())
    alarm_id = decisions.matching(states, given.strip())
    return alarm_id, states[alarm_id]


def _on_alarm(kind: DecisionKind, alarm: str, note: str, timeout_s: float, data_dir: Path | None, done: str) -> int:
    settings = located(data_dir)
    alarm_id, state = _found(settings, alarm)
    if kind is not DecisionKind.NOTE:
        decisions.still_open(alarm_id, state)
    decisions.on_alarm(settings, kind, alarm_id, By(_author(), note), timeout_s=timeout_s)
    print(f"{done}: {alarm_id}")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody_to_ask", "there is no terminal to ask on", "say --yes")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "operator"
