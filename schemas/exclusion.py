"""Leaving a source partition out, and waiting for it again: decisions of the tallies log that name one source."""

from enum import StrEnum

import msgspec

from schemas.outputs import Decision, DecisionKind, digest

SourceId = tuple[str, int]
"""(topic id, partition)"""


class Why(StrEnum):
    """Why a source is left out; a later reason takes the place of an earlier one in this order, never the other way."""

    SILENT = "silent"
    """Its panes did not come while others did; it counts again by itself when it has caught up."""
    SPOILT = "spoilt"
    """Stage 1 has paused it: too many of its records are no events. It goes on when an operator says so."""
    OPERATOR = "operator"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of both decisions. Of `include`, `why` is the reason that ends; `operator` ends any."""

    topic: str
    topic_id: str
    partition: int
    why: Why

    @property
    def source(self) -> SourceId:
        """Return what the judge's vector is kept by."""
        return self.topic_id, self.partition


def exclusion(body: Body, *, from_pane: int | None, author: str, made_at: int, note: str = "") -> Decision:
    """Return the decision not to wait for a source from `from_pane` on (None: from its next pane on)."""
    return _decision(DecisionKind.EXCLUDE, body, from_pane, author, made_at, note)


def inclusion(body: Body, *, from_pane: int | None, author: str, made_at: int, note: str = "") -> Decision:
    """Return the decision to wait for a source again once it has caught up; `from_pane` only names the decision."""
    return _decision(DecisionKind.INCLUDE, body, from_pane, author, made_at, note)


def body_of(decision: Decision) -> Body:
    """Return the body of a decision of either kind. Raises msgspec.ValidationError."""
    return msgspec.convert(decision.body, Body)


def _decision(kind: DecisionKind, body: Body, from_pane: int | None, author: str, made_at: int, note: str) -> Decision:
    made = made_at if from_pane is None else ""
    return Decision(
        decision_id=digest(kind, body.topic_id, body.partition, body.why, from_pane, made), kind=kind,
        from_pane=from_pane, author=author, note=note, made_at=made_at, body=msgspec.to_builtins(body),
    )  # fmt: skip
