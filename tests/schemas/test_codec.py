"""The wire format: what goes in comes out, and nothing else is taken for a record."""

import io
import json
from enum import StrEnum
from pathlib import Path

import fastavro
import pytest
from fastavro.utils import generate_one
from hypothesis import given
from hypothesis import strategies as st

from schemas import event
from schemas.codec import SCHEMA_FILES, Kind, decode, decode_as, encode, schema_text
from schemas.errors import UndecodableError
from schemas.outputs import AlarmState, DecisionKind

HISTORY = Path(__file__).parent / "avro_history"

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
answers = st.builds(
    event.Answer,
    question=texts,
    score=st.floats(allow_nan=False),
    scale_min=st.just(1.0),
    scale_max=st.just(5.0),
    derived_by=st.none() | texts,
)
events = st.builds(
    event.FeedbackEvent,
    event_id=st.uuids().map(str),
    channel=st.sampled_from(event.Channel),
    kind=texts,
    source=texts,
    subject=st.none() | texts,
    touchpoint=st.none() | texts,
    occurred_at=st.integers(0, 2**50),
    received_at=st.integers(0, 2**50),
    answers=st.lists(answers, max_size=3),
    text=st.none() | texts,
    attributes=st.dictionaries(texts, texts, max_size=3),
    text_ciphertext=st.none() | st.binary(max_size=10),
    order=st.none() | st.builds(event.Order, ref=texts, amount_minor=st.none() | st.integers(0, 2**40)),
)


@given(events)
def test_an_event_survives_the_wire(given_event: event.FeedbackEvent) -> None:
    value = encode(Kind.EVENT, event.to_record(given_event))
    assert event.from_record(decode_as(Kind.EVENT, value)) == given_event


def test_the_event_id_can_be_sliced_without_decoding() -> None:
    one = event.FeedbackEvent(
        event_id="0b8f3c5e-8f0e-4a53-9d0c-2f0f9a3d1c11", channel=event.Channel.CARD, kind="rating", source="t",
        occurred_at=1, received_at=2,
    )  # fmt: skip
    value = encode(Kind.EVENT, event.to_record(one))
    assert value[6:42].decode() == one.event_id


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_undecodable_and_nothing_else(value: bytes) -> None:
    reason = None
    try:
        decode(value)
    except UndecodableError as error:
        reason = error.reason
    assert reason in {None, "no_header", "unknown_schema", "bad_avro", "trailing_bytes"}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no_header"),
        (b"", "no_header"),
        (b"{}{}{}{}", "no_header"),
        (b"\x00\x00\x00\x00\x63abc", "unknown_schema"),
        (b"\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff", "bad_avro"),
    ],
)
def test_bytes_that_are_no_record_are_refused_by_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(UndecodableError) as caught:
        decode(value)
    assert caught.value.reason == reason


def test_a_truncated_and_a_lengthened_record_are_refused() -> None:
    one = event.FeedbackEvent(
        event_id="x",
        channel=event.Channel.CARD,
        kind="rating",
        source="t",
        occurred_at=1,
        received_at=2,
    )
    value = encode(Kind.EVENT, event.to_record(one))
    for broken, reason in (
        (value[:-3], "bad_avro"),
        (value + b"\x00", "trailing_bytes"),
    ):
        with pytest.raises(UndecodableError) as caught:
            decode(broken)
        assert caught.value.reason == reason


def test_a_record_of_another_kind_is_refused() -> None:
    value = encode(
        Kind.DECISION,
        {
            "decision_id": "d",
            "kind": "renew",
            "from_pane": None,
            "author": "a",
            "made_at": 1,
            "body": "{}",
        },
    )
    with pytest.raises(UndecodableError, match="DECISION where EVENT"):
        decode_as(Kind.EVENT, value)


@pytest.mark.parametrize("version", sorted(path.name for path in HISTORY.iterdir()))
@pytest.mark.parametrize("kind", list(Kind))
def test_today_reads_what_every_earlier_schema_wrote(kind: Kind, version: str) -> None:
    written_by = HISTORY / version / SCHEMA_FILES[kind]
    if not written_by.exists():  # the schema is younger than this version
        return
    writer = fastavro.parse_schema(json.loads(written_by.read_text("utf-8")), _force=True)
    reader = fastavro.parse_schema(json.loads(schema_text(kind)), _force=True)
    for _ in range(20):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, generate_one(writer))
        out.seek(0)
        assert fastavro.schemaless_reader(out, writer, reader) is not None


def test_no_schema_uses_avro_fixed() -> None:
    """The bulk decoder panics on `fixed`."""
    assert not [kind for kind in Kind if '"fixed"' in schema_text(kind)]


@pytest.mark.parametrize(
    ("kind", "field", "words"), [(Kind.TRANSITION, "state", AlarmState), (Kind.DECISION, "kind", DecisionKind)]
)
def test_a_schema_names_every_word_that_is_written_under_it(kind: Kind, field: str, words: type[StrEnum]) -> None:
    (doc,) = [one["doc"] for one in json.loads(schema_text(kind))["fields"] if one["name"] == field]
    assert set(doc.split(", ")) == {str(one) for one in words}
