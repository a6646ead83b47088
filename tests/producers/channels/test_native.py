"""The native event: every refusal by its reason and field, every default, and no other exception ever."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.channels.native import FUTURE_SLACK_MS, parse
from producers.pseudonyms import Pseudonyms, pseudonyms_of
from schemas.catalogue import load
from schemas.codec import Kind, decode_as, encode
from schemas.errors import InvalidEventError
from schemas.event import Channel, FeedbackEvent, Lane, from_record, natural_id, to_record

NOW = 1_790_000_000_000
CATALOGUE = load()
PSEUDONYMS = pseudonyms_of("only for tests, 0123456789", "FR")
RANDOM = "00000000-0000-4000-8000-000000000000"


def read(raw: bytes | object, pseudonyms: Pseudonyms = PSEUDONYMS) -> FeedbackEvent:
    return parse(raw, source="shop", received_at=NOW, pseudonyms=pseudonyms, catalogue=CATALOGUE, new_id=lambda: RANDOM)


def card(**fields: Any) -> dict[str, Any]:
    return {"channel": "card", **fields}


def answer(**fields: Any) -> dict[str, Any]:
    return card(answers=[{"question": "csat", "score": 4, **fields}])


BAD: list[tuple[bytes | dict[str, Any], str, str]] = [
    (b"", "bad_json", ""),
    (b"{", "bad_json", ""),
    (b"{'channel': 'card'}", "bad_json", ""),
    (b'{"channel":"card"} {}', "bad_json", ""),
    (b'{"channel":"card","x":' + b"[" * 100_000, "unknown_field", "x"),
    (b"[]", "bad_type", ""),
    (b"null", "bad_type", ""),
    (b"3", "bad_type", ""),
    (card(text=3), "bad_type", "text"),
    (card(answers={}), "bad_type", "answers"),
    (answer(score="4"), "bad_type", "answers[0].score"),
    (answer(score=True), "bad_type", "answers[0].score"),
    (card(attributes={"a": []}), "bad_type", "attributes[...]"),
    (card(direction="sideways"), "bad_type", "direction"),
    (card(id="a", event_id="b"), "bad_type", "event_id"),
    (card(order={"ref": "1", "items": -1}), "bad_type", "order.items"),
    ({}, "missing_field", "channel"),
    (card(answers=[{"score": 4}]), "missing_field", "answers[0].question"),
    (answer(question=""), "missing_field", "answers[0].question"),
    (answer(question="speed"), "missing_field", "answers[0].scale"),
    (card(order={"ref": ""}), "missing_field", "order.ref"),
    (card(order={"ref": "1", "amount": "3"}), "missing_field", "order.currency"),
    (card(colour="red"), "unknown_field", "colour"),
    (card(subject="anne"), "unknown_field", "subject"),
    (card(received_at=NOW), "unknown_field", "received_at"),
    (answer(stars=4), "unknown_field", "answers[0].stars"),
    (card(customer={"name": "Anne"}), "unknown_field", "customer.name"),
    (card(channel="fax"), "unknown_channel", "channel"),
    (card(kind="gossip"), "unknown_kind", "kind"),
    (answer(scale=[1, 7]), "unknown_scale", "answers[0].scale"),
    (answer(scale=[0, 5]), "unknown_scale", "answers[0].scale"),
    (answer(question="speed", scale=[5, 1]), "unknown_scale", "answers[0].scale"),
    (answer(scale_min=1), "unknown_scale", "answers[0].scale"),
    (answer(score=6), "score_off_scale", "answers[0].score"),
    (answer(score=0), "score_off_scale", "answers[0].score"),
    (answer(score=4.5), "score_off_scale", "answers[0].score"),
    (answer(score=1e300), "score_off_scale", "answers[0].score"),
    (answer(score=float("nan")), "score_off_scale", "answers[0].score"),
    (answer(question="speed", scale=[0, 1], score=1.5), "score_off_scale", "answers[0].score"),
    (b'{"channel":"card","answers":[{"question":"csat","score":1e999}]}', "bad_type", "answers[0].score"),
    (card(occurred_at="yesterday"), "bad_time", "occurred_at"),
    (card(occurred_at="2026-02-30T10:00:00Z"), "bad_time", "occurred_at"),
    (card(occurred_at="2026-02-20T10:00:00"), "bad_time", "occurred_at"),
    (card(occurred_at=1.5), "bad_time", "occurred_at"),
    (card(occurred_at=10**30), "bad_time", "occurred_at"),
    (card(order={"ref": "1", "promised_at": "soon"}), "bad_time", "order.promised_at"),
    (card(occurred_at=NOW + FUTURE_SLACK_MS + 1), "future_time", "occurred_at"),
    (card(occurred_at="9999-12-31T23:59:59Z"), "future_time", "occurred_at"),
    (card(occurred_at=NOW // 1000), "too_old", "occurred_at"),
    (card(occurred_at="1999-12-31T23:59:59Z"), "too_old", "occurred_at"),
    (b'{"channel":"card","text":"a\\u0000b"}', "bad_text", "text"),
    (b'{"channel":"card","touchpoint":"a\\u0000b"}', "bad_text", "touchpoint"),
    (b'{"channel":"card","attributes":{"a\\u0000":"b"}}', "bad_text", "attributes"),
    (b'{"channel":"card","text":"\\ud800"}', "bad_text", ""),
    (b'{"channel":"card","text":"\xff"}', "bad_text", ""),
    (card(text="\ud800"), "bad_text", "text"),
    (card(text="x" * 300_000), "too_large", ""),
    (card(touchpoint="x" * 513), "too_large", "touchpoint"),
    (card(answers=[{"question": "csat", "score": 1}] * 101), "too_large", "answers"),
    (card(retract=True), "missing_field", "corrects"),
    (card(corrects=RANDOM, retract=True, text="new words"), "retract_with_content", "retract"),
    (card(id=RANDOM, corrects=RANDOM), "corrects_itself", "corrects"),
    (card(customer={"email": "anne"}), "bad_email", "customer.email"),
    (card(customer={"email": "a b@c.fr"}), "bad_email", "customer.email"),
    (card(customer={"phone": "12"}), "bad_phone", "customer.phone"),
    (card(customer={"phone": "call me"}), "bad_phone", "customer.phone"),
    (card(order={"ref": "1", "amount": "3.999", "currency": "EUR"}), "bad_amount", "order.amount"),
    (card(order={"ref": "1", "amount": "NaN", "currency": "EUR"}), "bad_amount", "order.amount"),
    (card(order={"ref": "1", "amount": "1E+999999", "currency": "EUR"}), "bad_amount", "order.amount"),
    (card(order={"ref": "1", "amount": "ten", "currency": "EUR"}), "bad_amount", "order.amount"),
    (card(order={"ref": "1", "amount_minor": 10**19, "currency": "EUR"}), "bad_amount", "order.amount_minor"),
    (card(order={"ref": "1", "amount": 1, "amount_minor": 100, "currency": "EUR"}), "bad_amount", "order.amount"),
    (card(order={"ref": "1", "amount": 1, "currency": "EURO"}), "bad_currency", "order.currency"),
]


@pytest.mark.parametrize(("raw", "reason", "field"), BAD)
def test_bad_input_is_refused_by_reason_and_field(raw: bytes | dict[str, Any], reason: str, field: str) -> None:
    """The same for bytes; an object that JSON can hold is tried both ways."""
    forms: list[bytes | object] = [raw]
    if isinstance(raw, dict) and "nan" not in repr(raw) and reason != "bad_text":
        forms.append(json.dumps(raw).encode())
    if reason == "too_large" and field == "":
        forms = forms[1:]
    for form in forms:
        with pytest.raises(InvalidEventError) as refused:
            read(form)
        assert (reason, field) == (refused.value.reason, refused.value.field)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"channel": "card"}, "comment"),
        ({"channel": "email", "text": "Merci"}, "comment"),
        ({"channel": "call", "answers": [{"question": "nps", "score": 9}]}, "rating"),
        ({"channel": "order", "order": {"ref": "1"}}, "order_placed"),
        ({"channel": "web"}, "page_view"),
        ({"channel": "web", "answers": [{"question": "ces", "score": 7}]}, "rating"),
        ({"channel": "call", "kind": "dispute"}, "dispute"),
    ],
)
def test_kind_follows_from_the_content_unless_stated(fields: dict[str, Any], kind: str) -> None:
    assert kind == read(fields).kind


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        (12.5, "EUR", 1250),
        (0.1, "EUR", 10),
        ("-3", "CHF", -300),
        (500, "JPY", 500),
        ("1.234", "TND", 1234),
    ],
)
def test_amounts_become_minor_units_exactly(amount: object, currency: str, minor: int) -> None:
    event = read(
        json.dumps({"channel": "order", "order": {"ref": "1", "amount": amount, "currency": currency}}).encode()
    )
    assert event.order is not None
    assert minor == event.order.amount_minor


def test_ids_of_clients_are_kept_or_derived() -> None:
    """A UUID stays (in lower case), another id becomes the UUIDv5 of source and id, no id takes the random one given."""
    given_id = "7F0C1D0E-1111-4222-8333-444455556666"
    assert given_id.lower() == read(card(id=given_id)).event_id
    assert given_id.lower() == read(card(event_id=given_id)).event_id
    assert natural_id("shop", "card-17") == read(card(id="card-17")).event_id
    assert RANDOM == read(card()).event_id


def test_subject_takes_the_strongest_identity_and_keeps_the_others() -> None:
    customer = {"anonymous_id": "a1", "phone": "06 12 34 56 78", "email": " Anne@Example.FR ", "id": 77}
    event = read(card(customer=customer))
    of = PSEUDONYMS.of
    others = [of("email", "anne@example.fr"), of("phone", "+33612345678"), of("anonymous_id", "a1")]
    assert (of("id", "77"), others) == (event.subject, event.also_known_as)
    assert of("email", "anne@example.fr") == read(card(customer={"email": "anne@example.fr"})).subject
    assert read(card(customer={})).subject is None


def test_phone_numbers_of_other_countries_keep_theirs() -> None:
    assert PSEUDONYMS.of("phone", "+41223456789") == read(card(customer={"phone": "+41 22 345 67 89"})).subject


@pytest.mark.parametrize("written", ["2026-09-21T14:13:20Z", "2026-09-21T16:13:20.000+02:00", 1_790_000_000_000])
def test_times_are_epoch_milliseconds_however_written(written: object) -> None:
    assert (
        int(datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC).timestamp() * 1000)
        == read(card(occurred_at=written)).occurred_at
    )


def test_time_of_receipt_stands_in_for_a_missing_time() -> None:
    assert NOW == read(card()).occurred_at


def test_scale_of_the_catalogue_is_filled_in_and_other_scales_are_kept() -> None:
    known, free = read(
        card(answers=[{"question": "csat", "score": 4}, {"question": "speed", "score": 0.5, "scale": [0, 1]}])
    ).answers
    assert (1.0, 5.0, 4.0) == (known.scale_min, known.scale_max, known.score)
    assert (0.0, 1.0, 0.5) == (free.scale_min, free.scale_max, free.score)


def test_attributes_become_text() -> None:
    event = read(b'{"channel":"card","attributes":{"a":"x","b":1,"c":1.5,"d":true}}')
    assert {"a": "x", "b": "1", "c": "1.5", "d": "true"} == event.attributes


_TEXT = st.text(max_size=20)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_SURROGATES = st.text(st.characters(), max_size=8)
_FIELDS = [
    "id", "kind", "occurred_at", "customer", "touchpoint", "product", "order", "agent", "answers", "text", "lang", "attributes",
    "consent", "direction", "traits", "corrects", "retract", "conversation_ref",
]  # fmt: skip
_ORDER = st.fixed_dictionaries(
    {"ref": _TEXT},
    optional={
        "amount": _ANY,
        "currency": st.sampled_from(["EUR", "JPY", "XXX"]) | _ANY,
        "items": _ANY,
        "promised_at": _ANY,
    },
)
_ANSWER = st.fixed_dictionaries(
    {"question": st.sampled_from(["csat", "nps", "x"]) | _ANY, "score": st.floats() | st.integers() | _ANY},
    optional={"scale": _ANY},
)
_CUSTOMER = st.dictionaries(
    st.sampled_from(["id", "email", "phone", "anonymous_id", "name"]), _ANY | _SURROGATES, max_size=4
)
_EVENT = st.fixed_dictionaries(
    {"channel": st.sampled_from([*Channel, "fax"])},
    optional=dict.fromkeys(_FIELDS, _ANY | _SURROGATES)
    | {"order": _ORDER, "answers": st.lists(_ANSWER, max_size=2), "customer": _CUSTOMER},
)


def _storable(event: FeedbackEvent) -> bool:
    return event == from_record(decode_as(Kind.EVENT, encode(Kind.EVENT, to_record(event))))


@settings(max_examples=150, deadline=None)
@given(raw=_EVENT | _ANY)
@example(raw={"channel": "card", "\ud800": 1})
@example(raw={"channel": "card", "customer": {"email": "\ud800@b.fr"}})
@example(raw={"channel": "card", "a`b": 1})
def test_any_object_is_an_event_that_can_be_stored_or_an_invalid_event(raw: object) -> None:
    try:
        event = read(raw)
    except InvalidEventError as error:
        _named(error)
    else:
        assert UUID(event.event_id)
        assert _storable(event)


@settings(max_examples=120, deadline=None)
@given(raw=st.binary(max_size=60) | _EVENT.map(lambda one: json.dumps(one).encode()))
def test_any_bytes_are_an_event_that_can_be_stored_or_an_invalid_event(raw: bytes) -> None:
    try:
        event = read(raw)
    except InvalidEventError as error:
        _named(error)
    else:
        assert _storable(event)


def test_an_event_cut_anywhere_is_an_invalid_event() -> None:
    whole = json.dumps(
        answer(question="csat") | {"text": "Très bien \u2764", "customer": {"email": "a@b.fr"}}, ensure_ascii=False
    ).encode()
    assert read(whole)
    for length in range(len(whole)):
        with pytest.raises(InvalidEventError):
            read(whole[:length])


def test_lane_names_are_not_part_of_a_native_event() -> None:
    with pytest.raises(InvalidEventError):
        read(card(lane=Lane.HISTORY))


def _named(error: InvalidEventError) -> None:
    assert error.reason
