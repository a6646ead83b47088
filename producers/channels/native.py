"""The native event: what `POST /v1/feedback`, JSON lines and `barometer backtest` read.

Every input gives one checked FeedbackEvent or one InvalidEventError with a stable reason code and the field at fault.
Unknown fields are refused by name: free keys belong in `attributes`.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from producers.channels.native_shape import NativeAnswer, NativeCustomer, NativeEvent, NativeOrder, Scale, Time
from producers.channels.unreadable import check_string, check_text, refuse_json, refuse_type
from producers.legal_threats import ATTRIBUTE as LEGAL_THREAT
from producers.legal_threats import marks
from producers.money import check_currency, check_minor, to_minor
from producers.pseudonyms import Customer, Pseudonyms
from schemas.catalogue import Catalogue
from schemas.errors import InvalidEventError
from schemas.event import KINDS, Answer, Channel, Direction, FeedbackEvent, Order, client_id

__all__ = [
    "FUTURE_SLACK_MS", "MAX_EVENT_BYTES", "NativeAnswer", "NativeCustomer", "NativeEvent", "NativeOrder", "NewId", "Scale",
    "Scales", "Time", "check_string", "decode", "epoch_ms", "parse", "to_event",
]  # fmt: skip
MAX_EVENT_BYTES = 256_000
FUTURE_SLACK_MS = 5 * 60_000
OLDEST_MS = 946_684_800_000
"""2000-01-01: what is older has a broken clock."""
_NO_CUSTOMER = frozenset({"probe", "auto_reply"})
_NEWEST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

Scales = Mapping[str, tuple[int, int]]
"""Catalogued question -> scale."""
NewId = Callable[[], str]
_DECODER = msgspec.json.Decoder(NativeEvent)


def parse(
    raw: bytes | object,
    *,
    source: str,
    received_at: int,
    pseudonyms: Pseudonyms,
    catalogue: Catalogue,
    new_id: NewId = lambda: str(uuid4()),
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> FeedbackEvent:
    """Return the checked event of JSON bytes or of an object decoded from JSON; `received_at` in epoch ms.

    Raises InvalidEventError, and nothing else, for whatever cannot become an event.
    """
    native = decode(raw, max_event_bytes=max_event_bytes)
    return to_event(
        native, source=source, received_at=received_at, pseudonyms=pseudonyms, scales=catalogue.scales(), new_id=new_id
    )


def decode(raw: bytes | object, *, max_event_bytes: int = MAX_EVENT_BYTES) -> NativeEvent:
    """Return the native event of JSON bytes or of a decoded object, types checked. Raises InvalidEventError."""
    try:
        if isinstance(raw, (bytes, bytearray, memoryview, msgspec.Raw)):
            if len(raw) > max_event_bytes:
                raise InvalidEventError(
                    "too_large", "", f"{len(raw)} bytes; an event has at most {max_event_bytes}", "shorten the text"
                )
            native = _DECODER.decode(raw)
            if b"\\u0000" in bytes(raw):
                check_text(native)
        else:
            native = msgspec.convert(raw, NativeEvent)
            check_text(native)
    except msgspec.ValidationError as error:
        refuse_type(str(error), error)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        refuse_json(raw, error)
    return native


def to_event(
    native: NativeEvent, *, source: str, received_at: int, pseudonyms: Pseudonyms, scales: Scales, new_id: NewId
) -> FeedbackEvent:
    """Return the checked envelope of a native event. Raises InvalidEventError."""
    corrects = _corrected(native, source)
    occurred_at = received_at if native.occurred_at is None else _occurred(native.occurred_at, received_at)
    subject: str | None = None
    others: list[str] = []
    if native.customer is not None:
        subject, others = pseudonyms.subject(_customer(native.customer))
    given = _one_of(native.id, native.event_id, "event_id")
    event_id = _event_id(source, given) if given else new_id()
    if event_id == corrects:
        raise InvalidEventError("corrects_itself", "corrects", "names the event's own id", "give the correction an id")
    kind = _kind(native)
    attributes = {name: _plain(value) for name, value in native.attributes.items()} if native.attributes else {}
    if native.text and LEGAL_THREAT not in attributes and _customers_words(native, kind):
        attributes |= marks(native.text)
    return FeedbackEvent(
        event_id=event_id,
        channel=native.channel,
        kind=kind,
        source=source,
        subject=subject,
        also_known_as=others,
        conversation_ref=native.conversation_ref or None,
        in_reply_to=native.in_reply_to or None,
        direction=native.direction,
        survey_ref=native.survey_ref or None,
        touchpoint=native.touchpoint or None,
        product=native.product or None,
        order=None if native.order is None else _order(native.order),
        agent_ref=_one_of(native.agent, native.agent_ref, "agent_ref"),
        occurred_at=occurred_at,
        received_at=received_at,
        answers=[_answer(one, f"answers[{index}]", scales) for index, one in enumerate(native.answers)],
        text=native.text or None,
        lang=native.lang or None,
        attributes=attributes,
        consent=native.consent or None,
        corrects=corrects,
        retract=native.retract,
        traits=native.traits,
    )


def _customers_words(native: NativeEvent, kind: str) -> bool:
    """Return whether the text was said by a customer, or noted down: not sent by us, by a probe or by a machine."""
    traits = native.traits
    return native.direction is Direction.IN and kind not in _NO_CUSTOMER and not traits.probe and not traits.non_human


def _corrected(native: NativeEvent, source: str) -> str | None:
    """Return the id of the event that this one corrects or takes back, None for a new event."""
    if not native.corrects:
        if native.retract:
            raise InvalidEventError(
                "missing_field", "corrects", "is required with retract", "name the id of the event to take back"
            )
        return None
    if native.retract and (native.answers or native.text or native.order):
        raise InvalidEventError(
            "retract_with_content", "retract", "takes an event back and says nothing new",
            "leave answers, text and order out; to replace them, send `corrects` without `retract`",
        )  # fmt: skip
    return _event_id(source, native.corrects)


_CANONICAL_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _event_id(source: str, given: str) -> str:
    # the usual form, known at a third of the cost
    return given if _CANONICAL_ID.fullmatch(given) else client_id(source, given)


def _kind(native: NativeEvent) -> str:
    kind = native.kind
    if kind:
        if kind not in KINDS:
            raise InvalidEventError(
                "unknown_kind", "kind", f"{kind!r} is no kind", f"one of: {', '.join(sorted(KINDS))}"
            )
        return kind
    if native.answers:
        return "rating"
    if native.channel is Channel.ORDER:
        return "order_placed"
    return "page_view" if native.channel is Channel.WEB and not native.text else "comment"


def _answer(native: NativeAnswer, field: str, scales: Scales) -> Answer:
    if not native.question:
        raise InvalidEventError("missing_field", f"{field}.question", "is empty")
    stated = native.scale
    if native.scale_min is not None and native.scale_max is not None and stated is None:
        stated = (native.scale_min, native.scale_max)
    elif native.scale_min is not None or native.scale_max is not None:
        raise InvalidEventError(
            "unknown_scale", f"{field}.scale", "is stated by halves or twice", "write scale: [min, max]"
        )
    known = scales.get(native.question)
    if known is not None:
        low, high = known
        if stated is not None and stated != known:
            raise InvalidEventError(
                "unknown_scale", f"{field}.scale", f"{list(stated)} is not the scale {list(known)} of {native.question!r}",
                "leave the scale out, or ask under another question name",
            )  # fmt: skip
        if not low <= native.score <= high or native.score != int(native.score):
            raise InvalidEventError(
                "score_off_scale", f"{field}.score", f"{native.score:g} is no whole number from {low} to {high}"
            )
        return Answer(
            question=native.question, question_version=native.question_version or "1", score=native.score,
            scale_min=float(low), scale_max=float(high), derived_by=native.derived_by,
        )  # fmt: skip
    if stated is None:
        raise InvalidEventError(
            "missing_field",
            f"{field}.scale",
            f"{native.question!r} is no question of the catalogue",
            "write scale: [min, max]",
        )
    if not -1e9 <= stated[0] < stated[1] <= 1e9:
        raise InvalidEventError(
            "unknown_scale", f"{field}.scale", f"{list(stated)} is no scale", "write scale: [min, max]"
        )
    if not stated[0] <= native.score <= stated[1]:
        raise InvalidEventError("score_off_scale", f"{field}.score", f"{native.score:g} lies outside {list(stated)}")
    return Answer(
        question=native.question, question_version=native.question_version or "1", score=native.score,
        scale_min=stated[0], scale_max=stated[1], derived_by=native.derived_by,
    )  # fmt: skip


def _order(native: NativeOrder) -> Order:
    if not native.ref:
        raise InvalidEventError("missing_field", "order.ref", "is empty")
    amount_minor = native.amount_minor
    if native.amount is not None or amount_minor is not None:
        if not native.currency:
            raise InvalidEventError("missing_field", "order.currency", "an amount needs its currency")
        if native.amount is not None:
            if amount_minor is not None:
                raise InvalidEventError("bad_amount", "order.amount", "stands beside amount_minor", "write one of them")
            amount_minor = to_minor(native.amount, native.currency)
        else:
            assert amount_minor is not None
            amount_minor = check_minor(amount_minor)
    if native.items is not None and not 0 <= native.items < 2**31:
        raise InvalidEventError("bad_type", "order.items", "is no number of items")
    return Order(
        ref=native.ref,
        amount_minor=amount_minor,
        currency=check_currency(native.currency) if native.currency else None,
        items=native.items,
        promised_at=None if native.promised_at is None else epoch_ms(native.promised_at, "order.promised_at"),
        delivered_at=None if native.delivered_at is None else epoch_ms(native.delivered_at, "order.delivered_at"),
    )


def _customer(native: NativeCustomer) -> Customer:
    return Customer(
        id=_identifier(native.id), email=native.email, phone=native.phone, anonymous_id=_identifier(native.anonymous_id)
    )


def _identifier(given: str | int | None) -> str | None:
    return str(given).strip() if given is not None else None


def _occurred(given: Time, received_at: int) -> int:
    at = epoch_ms(given, "occurred_at")
    if at > received_at + FUTURE_SLACK_MS:
        raise InvalidEventError(
            "future_time",
            "occurred_at",
            "lies more than 5 minutes after it was received",
            "check the sender's clock and unit (ms)",
        )
    if at < OLDEST_MS:
        raise InvalidEventError(
            "too_old", "occurred_at", "lies before the year 2000", "write epoch milliseconds, not seconds"
        )
    return at


def epoch_ms(given: Time, field: str) -> int:
    """Return a time in epoch ms. Raises InvalidEventError that names `field` if no calendar holds it."""
    at = given if isinstance(given, int) else (given - _EPOCH) // _MS
    if not -_NEWEST_MS <= at <= _NEWEST_MS:
        raise InvalidEventError("bad_time", field, "is no time", "write RFC 3339 with an offset, or epoch milliseconds")
    return at


def _one_of(first: str | None, second: str | None, field: str) -> str | None:
    if first and second and first != second:
        raise InvalidEventError("bad_type", field, "is given twice, differently")
    return first or second or None


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value)
