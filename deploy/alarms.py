"""Decisions by people: records in the tallies log, applied by the judge in the order of the log."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError

from deploy.positions import Position, Positions
from schemas.arrival import sent_header
from schemas.broker import reaching
from schemas.clock import Clock, system_clock
from schemas.codec import Kind, encode
from schemas.errors import UnavailableError, UsageError
from schemas.outputs import AlarmState, Decision, DecisionKind, decision_to_record
from schemas.rules import Rule
from schemas.settings import Settings
from schemas.topics import GROUP_JUDGE, TALLIES
from schemas.windows import DAY_MS

MOST_SILENCED_MS = 28 * DAY_MS
POLL_S = 0.1
SEND_TIMEOUT_S = 30.0
APPLY_TIMEOUT_S = 60.0
NOT_YET = "not_yet_applied"
"""Reason of the UnavailableError for a decision that stands in the log but has not been judged in time."""


class By(NamedTuple):
    """Who decides, and why."""

    author: str
    note: str = ""


def renew(
    settings: Settings, *, author: str, note: str, from_pane: int | None, timeout_s: float = APPLY_TIMEOUT_S
) -> int | None:
    """Renew the baselines and shares of all detectors before `from_pane` (None: before the next pane).

    Return the end of a pane that was judged with them; None if `from_pane` is still to come. Raises UnavailableError.
    """
    return decide(settings, DecisionKind.RENEW, By(author, note), {}, from_pane=from_pane, timeout_s=timeout_s)


def resolve(
    settings: Settings, alarm_id: str, *, author: str, note: str, timeout_s: float = APPLY_TIMEOUT_S
) -> int | None:
    """End an alarm by hand and wait until the judge has; an id that is not open changes nothing. Raises UnavailableError."""
    return on_alarm(settings, DecisionKind.RESOLVE, alarm_id, By(author, note), timeout_s=timeout_s)


def on_alarm(
    settings: Settings, kind: DecisionKind, alarm_id: str, by: By, *, timeout_s: float = APPLY_TIMEOUT_S
) -> int | None:
    """Acknowledge, resolve or annotate an alarm and wait until the judge has. Raises UnavailableError."""
    return decide(settings, kind, by, {"alarm_id": alarm_id}, timeout_s=timeout_s)


def silence(
    settings: Settings, rule: str, key: str, until: int, by: By, *, timeout_s: float = APPLY_TIMEOUT_S
) -> int | None:
    """Notify nobody of a rule's alarms at `key` (empty: at any) before `until` (ms); its detectors go on."""
    body = {"rule": rule, "key": key, "until": until}
    return decide(settings, DecisionKind.SILENCE, by, body, timeout_s=timeout_s)


def arm(
    settings: Settings, rule: Rule, backtest: Mapping[str, Any], by: By, *, timeout_s: float = APPLY_TIMEOUT_S
) -> int | None:
    """Arm a rule in its present definition, with the summary of its backtest; its baselines are renewed with it."""
    body = {"rule": rule.name, "definition_hash": rule.definition_hash, "backtest": dict(backtest)}
    return decide(settings, DecisionKind.ARM, by, body, timeout_s=timeout_s)


def disarm(settings: Settings, rule: str, by: By, *, timeout_s: float = APPLY_TIMEOUT_S) -> int | None:
    """Stop a rule from opening alarms; it goes on learning."""
    return decide(settings, DecisionKind.DISARM, by, {"rule": rule}, timeout_s=timeout_s)


def rebase(settings: Settings, rule: str, key: str, by: By, *, timeout_s: float = APPLY_TIMEOUT_S) -> int | None:
    """Accept the newest level of a key as its baseline. Raises UsageError without a note: somebody will ask why."""
    if not by.note.strip():
        raise UsageError("note_missing", "a new level is accepted only with a note", "say why: --note '...'")
    return decide(settings, DecisionKind.REBASE, by, {"rule": rule, "key": key}, timeout_s=timeout_s)


def matching(found: Mapping[str, str], given: str) -> str:
    """Return the alarm id that begins with `given`; `found`: alarm id -> state, of all candidates.

    Raises UsageError if there is none or more than one.
    """
    if len(found) == 1:
        return next(iter(found))
    if not found:
        raise UsageError("no_such_alarm", f"no alarm id begins with {given!r}", "see `barometer alarms list --all`")
    some = ", ".join(f"{alarm[: len(given) + 4]}... ({state})" for alarm, state in sorted(found.items())[:5])
    raise UsageError("ambiguous_id", f"{len(found)} alarm ids begin with {given!r}: {some}", "write more of the id")


def still_open(alarm: str, state: str) -> str:
    """Return the alarm id. Raises UsageError if the alarm is over: nothing can be done to it."""
    if state == AlarmState.RESOLVED:
        raise UsageError("alarm_over", f"alarm {alarm} is resolved already", "see `barometer alarms list --all`")
    return alarm


def decide(
    settings: Settings,
    kind: DecisionKind,
    by: By,
    body: Mapping[str, Any],
    *,
    from_pane: int | None = None,
    timeout_s: float = APPLY_TIMEOUT_S,
    clock: Clock = system_clock,
) -> int | None:
    """Write a decision and wait until the judge has applied it; return the end of a pane judged with it.

    Return None if `from_pane` is still to come. Raises UnavailableError; reason `not_yet_applied` if it stands in the log.
    """
    decision = Decision(
        decision_id=uuid.uuid4().hex, kind=kind, author=by.author, note=by.note, from_pane=from_pane, body=dict(body),
        made_at=clock(),
    )  # fmt: skip
    return _applied(settings, write(settings, decision), from_pane=from_pane, timeout_s=timeout_s)


def write(settings: Settings, decision: Decision) -> int:
    """Append a decision to the tallies log and return its offset; once, however often it is sent. Raises UnavailableError."""
    try:
        producer = KafkaProducer(**reaching(settings.kafka_bootstrap), acks="all", enable_idempotence=True)
        try:
            sent = producer.send(
                settings.topic_prefix + TALLIES.name,
                key=decision.kind.encode(),
                value=encode(Kind.DECISION, decision_to_record(decision)),
                headers=[sent_header(decision.made_at)],
            )
            return int(sent.get(timeout=SEND_TIMEOUT_S).offset)
        finally:
            producer.close()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"the decision is not written: {error!r}") from error


def _applied(settings: Settings, offset: int, *, from_pane: int | None, timeout_s: float) -> int | None:
    """Wait until the judge has read the decision at `offset` and judged a pane after it; return that pane.

    Return None as soon as it has been read if `from_pane` lies ahead.
    """
    deadline = time.monotonic() + timeout_s
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        read_at: int | None = None
        while True:
            judge = positions.of(GROUP_JUDGE)[0]
            pane = _pane(judge)
            if judge.offset > offset:
                if read_at is None:
                    read_at = pane
                if from_pane is not None and from_pane > pane:
                    return None
                if pane > read_at:
                    return pane
            if time.monotonic() > deadline:
                raise UnavailableError(
                    NOT_YET,
                    f"the decision stands in the log at offset {offset}; the judge is at {judge.offset}, pane {pane}",
                    "it will be applied when the judge comes to it: see `barometer doctor`",
                )
            time.sleep(POLL_S)


def _pane(judge: Position) -> int:
    return int(judge.metadata.get("pane") or 0)
