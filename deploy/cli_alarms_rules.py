"""What operators decide about rules: `alarms arm`, `alarms disarm`, `alarms rebase`, `alarms renew`."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from deploy import alarms as decisions
from deploy import wiring
from deploy.alarms import By
from deploy.arming import armable, refusal, tried
from deploy.backtest_commands import commands_of
from deploy.backtest_report import show
from deploy.backtesting import Source, lines_of
from deploy.cli_alarms_decided import Note, RuleName, Timeout, author, clock_time, demand_key
from deploy.cli_alarms_seen import PIPE_WIDTH
from deploy.cli_options import DataDir, Json, located
from deploy.incidents import read_incidents
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.windows import DAY_MS


def arm(
    rule: RuleName,
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
    pane = decisions.arm(settings, chosen, report.summary(), By(author(), note), timeout_s=timeout_s)
    if json_:
        print(json.dumps({"armed": rule, "pane": pane, "backtest": report.details()}))
    else:
        print(f"{rule} is armed" + (f" from {clock_time(pane)} (pane {pane})" if pane is not None else ""))
    return 0


def disarm(rule: RuleName, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """Stop a rule: its open alarms end, no new one opens; it goes on learning.

    Example: `barometer alarms disarm satisfaction_drop --note "until the survey is translated"`
    """
    settings = located(data_dir)
    name = armable(wiring.catalogue(settings), rule).name
    decisions.disarm(settings, name, By(author(), note), timeout_s=timeout_s)
    print(f"{name} is disarmed")
    return 0


def rebase(
    rule: RuleName,
    key: Annotated[str, Parameter(help="of the rule's dimension, such as one shop")],
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
    demand_key(settings, armable(wiring.catalogue(settings), rule), key)
    decisions.rebase(settings, rule, key, By(author(), note), timeout_s=timeout_s)
    print(f"{rule} compares {key} with its newest level")
    return 0


def renew(
    *,
    note: Note = "",
    from_pane: Annotated[
        int | None, Parameter(help="time (epoch ms) from which it is in force (default: at once)")
    ] = None,
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Learn the baselines of the armed rules anew and share their budgets among the keys that have one.

    Example: `barometer alarms renew --note "after the summer"`
    """
    pane = decisions.renew(located(data_dir), author=author(), note=note, from_pane=from_pane, timeout_s=timeout_s)
    if pane is not None:
        print(f"renewed; in force from {clock_time(pane)} (pane {pane})")
    else:
        print("written; in force when the time of --from-pane has come")
    return 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("nobody_to_ask", "there is no terminal to ask on", "say --yes")
    return input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
