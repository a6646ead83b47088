"""The native event as clients write it: names, types and most lengths; what it says is checked in producers/channels/native."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec

from schemas.event import Channel, Direction, Traits

Short = Annotated[str, msgspec.Meta(max_length=512)]
Time = Annotated[datetime, msgspec.Meta(tz=True)] | int
Scale = tuple[float, float]


class NativeCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who gave the feedback; only pseudonyms of these leave the process."""

    id: Short | int | None = None
    email: Short | None = None
    phone: Short | None = None
    anonymous_id: Short | int | None = None


class NativeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount` in major units (a decimal string or a number) or `amount_minor`; both need the currency."""

    ref: Short
    amount: Decimal | None = None
    amount_minor: int | None = None
    currency: Short | None = None
    items: int | None = None
    promised_at: Time | None = None
    delivered_at: Time | None = None


class NativeAnswer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer; the scale may be left out for a question of the catalogue."""

    question: Short
    score: float
    scale: Scale | None = None
    scale_min: float | None = None
    scale_max: float | None = None
    question_version: Short = "1"
    derived_by: Short | None = None


class NativeEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event as clients write it; times are RFC 3339 with an offset, or epoch milliseconds."""

    channel: Channel
    id: Short | None = None
    event_id: Short | None = None
    kind: Short | None = None
    occurred_at: Time | None = None
    customer: NativeCustomer | None = None
    touchpoint: Short | None = None
    product: Short | None = None
    order: NativeOrder | None = None
    agent: Short | None = None
    agent_ref: Short | None = None
    answers: Annotated[list[NativeAnswer], msgspec.Meta(max_length=100)] = []
    text: str | None = None
    lang: Short | None = None
    attributes: Annotated[dict[Short, str | int | float | bool], msgspec.Meta(max_length=100)] = {}
    consent: Short | None = None
    conversation_ref: Short | None = None
    in_reply_to: Short | None = None
    direction: Direction = Direction.IN
    survey_ref: Short | None = None
    traits: Traits = Traits()
    corrects: Short | None = None
    retract: bool = False
