"""The envelope: one piece of feedback, from whatever channel it came.

Times are epoch milliseconds in UTC. People appear only as keyed pseudonyms.
"""

from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec


class Channel(StrEnum):
    CARD = "card"
    EMAIL = "email"
    CALL = "call"
    WEB = "web"
    ORDER = "order"


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class Lane(StrEnum):
    """`live` events feed readings and detectors; `history` events (old or imported) readings and baselines only."""

    LIVE = "live"
    HISTORY = "history"


KINDS = frozenset({
    "rating", "comment", "praise", "suggestion", "idea", "remark", "complaint", "letter", "dispute", "question", "reply",
    "auto_reply", "page_view", "web_action", "order_placed", "order_delivered", "order_returned", "order_cancelled",
    "survey_sent", "survey_opened", "survey_answered", "probe",
})  # fmt: skip


NO_CONTACT = frozenset({
    "page_view", "order_placed", "order_delivered", "order_returned", "order_cancelled", "survey_opened", "probe",
})  # fmt: skip
"""What is no contact of a customer, though it came in."""
UNDIRECTED = NO_CONTACT | {"survey_sent", "reply", "auto_reply", "web_action"}
"""What has no direction, or goes out."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one question, on a declared scale."""

    question: str
    question_version: str = "1"
    score: float
    scale_min: float
    scale_max: float
    derived_by: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order that an event is about; money in minor units."""

    ref: str
    amount_minor: int | None = None
    currency: str | None = None
    items: int | None = None
    promised_at: int | None = None
    delivered_at: int | None = None


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """How the event was captured; scores leave out probes, second-hand notes and non-human answers."""

    backfill: bool = False
    second_hand: bool = False
    probe: bool = False
    non_human: bool = False
    reason: str | None = None


class FeedbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One checked piece of feedback; `event_id` is a UUID and is all that tells a repeat from a new event."""

    event_id: str
    channel: Channel
    kind: str
    source: str
    subject: str | None = None
    also_known_as: list[str] = []
    conversation_ref: str | None = None
    in_reply_to: str | None = None
    direction: Direction = Direction.IN
    survey_ref: str | None = None
    touchpoint: str | None = None
    product: str | None = None
    order: Order | None = None
    agent_ref: str | None = None
    occurred_at: int
    received_at: int
    answers: list[Answer] = []
    text: str | None = None
    lang: str | None = None
    text_ciphertext: bytes | None = None
    data_key_id: str | None = None
    attributes: dict[str, str] = {}
    consent: str | None = None
    corrects: str | None = None
    retract: bool = False
    traits: Traits = Traits()

    @property
    def key(self) -> bytes:
        """Return the record key: the subject, else the event id."""
        return (self.subject or self.event_id).encode()


def natural_id(source: str, natural: str) -> str:
    """Return the event id of an input that has a natural id in its source: the same input, the same id.

    Source: RFC 9562, UUID version 5.
    """
    return str(uuid5(NAMESPACE_URL, f"barometer:{source}:{natural}"))


def client_id(source: str, given: str) -> str:
    """Return a client's own id: unchanged (lower case) if it is a UUID, else the UUIDv5 of source and id."""
    try:
        return str(UUID(given))
    except ValueError:
        return natural_id(source, given)


def to_record(event: FeedbackEvent) -> dict[str, Any]:
    """Return the event as the plain dictionary that the Avro schema describes."""
    record: dict[str, Any] = msgspec.to_builtins(event, builtin_types=(bytes,))
    return record


def from_record(record: dict[str, Any]) -> FeedbackEvent:
    """Return the event of a decoded Avro record."""
    return msgspec.convert(record, FeedbackEvent, builtin_types=(bytes,))
