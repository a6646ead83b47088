"""The native event: what `POST /v1/feedback`, JSON lines and `barometer backtest` read.

Every input gives one checked FeedbackEvent or one InvalidEventError with a stable reason code and the field at fault.
Unknown fields are refused by name: free keys belong in `attributes`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, NoReturn
from uuid import uuid4

import msgspec

from producers.legal_threats import ATTRIBUTE as LEGAL_THREAT
from producers.legal_threats import marks
from producers.money import check_currency, check_minor, to_minor
from producers.pseudonyms import Customer, Pseudonyms
from schemas.catalogue import Catalogue
from schemas.errors import InvalidEventError
from schemas.event import (
    KINDS,
    Answer,
    Channel,
    Direction,
    FeedbackEvent,
    Order,
    Traits,
    client_id,
)

MAX_EVENT_BYTES = 256_000
FUTURE_SLACK_MS = 5 * 60_000
OLDEST_MS = 946_684_800_000
"""2000-01-01: what is older has a broken clock."""
_NO_CUSTOMER = frozenset({"probe", "auto_reply"})
_NEWEST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)

Short = Annotated[str, msgspec.Meta(max_length=512)]
Time = Annotated[datetime, msgspec.Meta(tz=True)] | int
Scale = tuple[float, float]
Scales = Mapping[str, tuple[int, int]]
"""Catalogued question -> scale."""
NewId = Callable[[], str]


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
                _check_text(native)
        else:
            native = msgspec.convert(raw, NativeEvent)
            _check_text(native)
    except msgspec.ValidationError as error:
        _refuse_type(str(error), error)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        _refuse_json(raw, error)
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


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _strings(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _strings(one)


def check_string(value: str, field: str = "") -> None:
    """Refuse what no store keeps: NUL characters and lone surrogates. Raises InvalidEventError."""
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidEventError(
            "bad_text", field, "holds a NUL character or half a surrogate pair", "send plain UTF-8 text"
        )


def _check_text(native: NativeEvent) -> None:
    for name in native.__struct_fields__:
        for text in _strings(msgspec.to_builtins(getattr(native, name))):
            check_string(text, name)


_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>.*)`$")
_NAMED = re.compile(r"field `(?P<name>.*?)`")
_TIMES = ("occurred_at", "order.promised_at", "order.delivered_at")


def _refuse_type(message: str, cause: Exception) -> NoReturn:
    """Raise the InvalidEventError that a message of msgspec stands for."""
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    what = message[: place.start()] if place else message
    named = _NAMED.search(what)
    if named and what.startswith("Object missing"):
        path = f"{path}.{named['name']}" if path else named["name"]
        raise InvalidEventError("missing_field", path, "is required") from cause
    if named and what.startswith("Object contains unknown"):
        path = f"{path}.{named['name']}" if path else named["name"]
        raise InvalidEventError(
            "unknown_field", path, "is no field of an event", "put free keys into `attributes`"
        ) from cause
    if path == "channel" and what.startswith("Invalid enum"):
        known = ", ".join(Channel)
        raise InvalidEventError("unknown_channel", path, what, f"one of: {known}") from cause
    if "of length <=" in what:
        raise InvalidEventError("too_large", path, what, "shorten it") from cause
    if path in _TIMES:
        raise InvalidEventError(
            "bad_time", path, what, "write RFC 3339 with an offset, or epoch milliseconds"
        ) from cause
    if path == "order.amount":
        raise InvalidEventError("bad_amount", path, what, 'write a decimal string, such as "12.50"') from cause
    raise InvalidEventError("bad_type", path, what) from cause


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _refuse_json(raw: object, cause: Exception) -> NoReturn:
    if isinstance(cause, UnicodeError):
        raise InvalidEventError("bad_text", "", "is not UTF-8 throughout", "send UTF-8") from cause
    if isinstance(cause, RecursionError):
        raise InvalidEventError("bad_json", "", "is nested too deeply") from cause
    if isinstance(raw, (bytes, bytearray, memoryview, msgspec.Raw)) and _SURROGATE.search(bytes(raw)):
        try:
            json.loads(bytes(raw))
        except (ValueError, RecursionError):
            pass
        else:
            raise InvalidEventError("bad_text", "", "holds half a surrogate pair", "send plain UTF-8 text") from cause
    raise InvalidEventError("bad_json", "", f"is no JSON object: {cause}") from cause
