"""Decisions by people: records in the tallies log, applied by the judge in the order of the log."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from deploy.positions import Position, Positions
from schemas.arrival import sent_header
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.errors import UnavailableError
from schemas.outputs import Decision, DecisionKind, decision_to_record
from schemas.settings import Settings
from schemas.topics import GROUP_JUDGE, TALLIES

POLL_S = 0.1
SEND_TIMEOUT_S = 30.0


def renew(settings: Settings, *, author: str, note: str, from_pane: int | None, timeout_s: float) -> int | None:
    """Renew the baselines and shares of all detectors before `from_pane` (None: before the next pane).

    Return the end of a pane that was judged with them; None if `from_pane` is still to come. Raises UnavailableError.
    """
    decision = _decision(DecisionKind.RENEW, author=author, note=note, from_pane=from_pane, body={})
    return _applied(settings, write(settings, decision), from_pane=from_pane, timeout_s=timeout_s)


def resolve(settings: Settings, alarm_id: str, *, author: str, note: str, timeout_s: float) -> None:
    """End an alarm by hand and wait until the judge has; an id that is not open changes nothing. Raises UnavailableError."""
    decision = _decision(DecisionKind.RESOLVE, author=author, note=note, from_pane=None, body={"alarm_id": alarm_id})
    _applied(settings, write(settings, decision), from_pane=None, timeout_s=timeout_s)


def _decision(
    kind: DecisionKind, *, author: str, note: str, from_pane: int | None, body: Mapping[str, Any]
) -> Decision:
    return Decision(
        decision_id=uuid.uuid4().hex, kind=kind, author=author, note=note, from_pane=from_pane, body=dict(body),
        made_at=system_clock(),
    )  # fmt: skip


def write(settings: Settings, decision: Decision) -> int:
    """Append a decision to the tallies log and return its offset; once, however often it is sent. Raises UnavailableError."""
    try:
        producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap, acks="all", enable_idempotence=True)
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
                    "not_yet_applied",
                    f"the decision stands in the log at offset {offset}; the judge is at {judge.offset}, pane {pane}",
                    "it will be applied when the judge comes to it: see `barometer doctor`",
                )
            time.sleep(POLL_S)


def _pane(judge: Position) -> int:
    return int(judge.metadata.get("pane") or 0)
