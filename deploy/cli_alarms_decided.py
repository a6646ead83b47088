"""What operators decide about alarms: `alarms ack`, `alarms note`, `alarms resolve`, `alarms silence`."""

import getpass
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deploy import alarms as decisions
from deploy import wiring
from deploy.alarm_words import ENGLISH, moment
from deploy.alarms import MOST_SILENCED_MS, By
from deploy.arming import known_rule
from deploy.cli_options import DataDir, located
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.outputs import DecisionKind
from schemas.rules import IMMEDIATE, Rule
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from sinks import queries

KEYS_SHOWN = 20
UNITS_MS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}

Alarm = Annotated[str, Parameter(help="its id as `barometer alarms list` shows it, or the first letters of it")]
RuleName = Annotated[str, Parameter(help="name of a rule of the catalogue, such as satisfaction_drop")]
Note = Annotated[str, Parameter(help="why; it stays with the decision and in the alarm's history")]
Timeout = Annotated[
    float, Parameter(help="seconds to wait until it is in force; after that it stands in the log and applies later")
]


def ack(alarm: Alarm, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """Take an alarm on: others see that somebody looks after it.

    Example: `barometer alarms ack 3f2a --note "calling the shop"`
    """
    return _on_alarm(DecisionKind.ACK, alarm, note, timeout_s, data_dir, "acknowledged")


def add_note(
    alarm: Alarm,
    text: Annotated[str, Parameter(help="what others should know")],
    /,
    *,
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Add a note to the history of an alarm that is not over.

    Example: `barometer alarms note 3f2a "the till is being mended"`
    """
    if not text.strip():
        raise UsageError("note_missing", "the note is empty", "write what others should know")
    return _on_alarm(DecisionKind.NOTE, alarm, text, timeout_s, data_dir, "noted")


def resolve(alarm: Alarm, /, *, note: Note = "", timeout_s: Timeout = 60.0, data_dir: DataDir = None) -> int:
    """End an alarm by hand; it may open again if the evidence comes back.

    Example: `barometer alarms resolve 3f2a --note "mended"`
    """
    return _on_alarm(DecisionKind.RESOLVE, alarm, note, timeout_s, data_dir, "resolved")


def silence(
    rule: RuleName,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for", help="how long from now: 30m, 2h or 1d; at most 28d")],
    key: Annotated[str, Parameter(help="only there, such as one shop (default: everywhere)")] = "",
    note: Note = "",
    timeout_s: Timeout = 60.0,
    data_dir: DataDir = None,
) -> int:
    """Notify nobody of a rule's alarms for some time; its detectors go on, and the alarms stand in the list.

    What is still open when the silence ends, and taken on by nobody, is notified then. A further silence of the same rule
    and key takes the place of this one: `--for 1m` ends it.

    Example: `barometer alarms silence satisfaction_drop --key lyon --for 2h --note "building works"`
    """
    settings = located(data_dir)
    until = system_clock() + span_ms(for_)
    chosen = known_rule(wiring.catalogue(settings), rule)
    if key:
        demand_key(settings, chosen, key)
    decisions.silence(settings, rule, key, until, By(author(), note), timeout_s=timeout_s)
    print(f"{rule} at {key or 'all keys'} is silent until {clock_time(until)}")
    return 0


def span_ms(given: str) -> int:
    """Return a length such as 30m, 2h, 1d in ms. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([mhd])", given)
    length = int(found[1]) * UNITS_MS[found[2]] if found else 0
    if not 0 < length <= MOST_SILENCED_MS:
        raise UsageError("bad_length", f"--for {given} is no length of time", "write 30m, 2h or 1d; at most 28d")
    return length


def clock_time(at_ms: int) -> str:
    """Return a time in epoch ms as people read it, in UTC."""
    return moment(datetime.fromtimestamp(at_ms / 1000, UTC), ENGLISH)


def demand_key(settings: Settings, rule: Rule, key: str) -> None:
    """Raise UsageError for a key that has never had a reading: such a decision would change nothing, without a word."""
    if rule.kind in IMMEDIATE or rule.strata == "children":
        return
    known = queries.known_keys(wiring.clickhouse(settings), rule.metric, rule.dimension)
    if key not in known:
        more = ", ..." if len(known) > KEYS_SHOWN else ""
        some = ", ".join(known[:KEYS_SHOWN]) + more or "none yet"
        raise UsageError(
            "unknown_key", f"{rule.metric} has no reading for {rule.dimension} {key!r}", f"keys with readings: {some}"
        )


def alarm_of(settings: Settings, given: str) -> tuple[str, str]:
    """Return id and state of the alarm whose id begins with `given`. Raises UsageError."""
    if not given.strip():
        raise UsageError("no_such_alarm", "the id is empty", "see `barometer alarms list`")
    states = queries.alarm_states(wiring.clickhouse(settings), given.strip())
    alarm_id = decisions.matching(states, given.strip())
    return alarm_id, states[alarm_id]


def _on_alarm(kind: DecisionKind, alarm: str, note: str, timeout_s: float, data_dir: Path | None, done: str) -> int:
    settings = located(data_dir)
    alarm_id, state = alarm_of(settings, alarm)
    decisions.still_open(alarm_id, state)
    decisions.on_alarm(settings, kind, alarm_id, By(author(), note), timeout_s=timeout_s)
    print(f"{done}: {alarm_id}")
    return 0


def author() -> str:
    """Return the name under which this person decides."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "operator"
