"""What the judge decides and says: decisions in its log, readings and alarm transitions for everybody else."""

import hashlib
from enum import StrEnum
from typing import Any

import msgspec


class DecisionKind(StrEnum):
    SOURCES = "sources"
    RENEW = "renew"
    RESOLVE = "resolve"
    ADOPT = "adopt"
    ACK = "ack"
    NOTE = "note"
    SILENCE = "silence"
    ARM = "arm"
    DISARM = "disarm"
    REBASE = "rebase"
    CATALOGUE = "catalogue"
    SEEDED = "seeded"
    EXCLUDE = "exclude"
    INCLUDE = "include"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the tallies log that is not a block; it applies before `from_pane` (None: the next pane) is judged.

    `body` by kind: sources {"sources": [[topic, topic_id, partition], ...], "pane_ms": int, "catalogue_hash": str};
    renew {}; resolve, ack and note {"alarm_id": str}; adopt: the fields of the alarm's first AlarmTransition;
    silence {"rule": str, "key": str (empty: all keys), "until": ms} (notification only, detectors go on);
    arm {"rule": str, "definition_hash": str, "backtest": {...}} (implies a renewal of that rule); disarm {"rule": str};
    rebase {"rule": str, "key": str} (the newest days become the baseline); catalogue {"catalogue_hash": str, "catalogue":
    {...}, "replaces": str, "seed": bool} (see schemas/declared.py); seeded {"catalogue_hash": str, "events": int}: all
    blocks with the past of that catalogue's new series stand before it in the log; exclude and include {"topic": str,
    "topic_id": str, "partition": int, "why": str} (see schemas/exclusion.py; they apply where they stand in the log).
    """

    decision_id: str
    kind: DecisionKind
    from_pane: int | None = None
    author: str
    note: str = ""
    made_at: int
    body: dict[str, Any] = {}


def decision_to_record(decision: Decision) -> dict[str, Any]:
    """Return the decision as the record of its Avro schema."""
    record: dict[str, Any] = msgspec.to_builtins(decision)
    record["body"] = msgspec.json.encode(decision.body, order="sorted").decode()
    return record


def decision_from_record(record: dict[str, Any]) -> Decision:
    """Return the decision of a decoded record."""
    return msgspec.convert({**record, "body": msgspec.json.decode(record["body"])}, Decision)


class Status(StrEnum):
    PROVISIONAL = "provisional"
    FINAL = "final"
    REVISED = "revised"


class Quality(StrEnum):
    OK = "ok"
    NO_DATA = "no_data"
    LOW_N = "low_n"
    WITHHELD = "withheld"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One metric and key over one window [window_end - window, window_end), as known at `as_of`; times in ms.

    Shares lie in 0..1, NPS in -100..100; value, lo and hi are None where nobody answered.
    """

    metric: str
    metric_version: str
    dimension: str
    key: str
    window: str
    window_end: int
    as_of: int
    revision: int
    status: Status
    quality: Quality
    n: int
    value: float | None
    lo: float | None
    hi: float | None
    level: float
    method: str
    bins: dict[str, int]
    catalogue_hash: str
    seq: int = 0


class AlarmState(StrEnum):
    """An alarm is over when it is resolved; an episode that comes back within its cool-down is open again under its id.

    Pending: the statistic has to hold for a while first. Flapping: held open until it has been quiet for a while.
    """

    PENDING = "pending"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    FLAPPING = "flapping"
    RESOLVED = "resolved"


class AlarmTransition(msgspec.Struct, frozen=True, kw_only=True):
    """One step in the life of an alarm with the evidence for it; fields as in alarm_transition.avsc.

    `evidence` is JSON. strata: stratum -> {n, bad, p0, p1, and rho where days differ}, of scores with score and baseline, of counts {seen, expected,
    factor, dispersion}, of burn rates {n, bad, burn, threshold} by tier; threshold; learned_from: answers (of counts:
    events) behind the baseline; reopened: how often the episode came back; steps: of a flapping one; silenced_until: ms;
    contributors: [{key, n, bad, alarm_id}] of a parent, the largest first; episode: alarm id of the parent that is open.
    """

    transition_id: str
    alarm_id: str
    sequence: int
    rule: str
    definition_hash: str
    metric: str
    dimension: str
    key: str
    direction: str
    severity: str
    state: AlarmState
    pane: int
    first_pane: int
    statistic: float | None = None
    weight: float | None = None
    p0: float | None = None
    p1: float | None = None
    n: int = 0
    bad: int = 0
    change_pane: int | None = None
    occurred_first: int | None = None
    occurred_last: int | None = None
    event_id: str | None = None
    actor: str = "judge"
    note: str = ""
    evidence: str = "{}"
    seq: int = 0


Output = Reading | AlarmTransition


def output_to_record(output: Output) -> dict[str, Any]:
    """Return an output as the record of its Avro schema."""
    record: dict[str, Any] = msgspec.to_builtins(output)
    return record


def digest(*parts: object) -> str:
    """Return 32 hex digits that name `parts` (sha256, cut)."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def alarm_id(rule: str, definition_hash: str, key: str, direction: str, first_pane: int) -> str:
    """Return the id of a statistical alarm."""
    return digest(rule, definition_hash, key, direction, first_pane)


def immediate_alarm_id(kind: str, event_id: str) -> str:
    """Return the id of the alarm that an event raises at once; kind: of the rule, such as `dispute`."""
    return digest(kind, event_id)


def transition_id(alarm: str, sequence: int) -> str:
    """Return the id of the `sequence`-th transition (from 1) of an alarm."""
    return digest(alarm, sequence)
