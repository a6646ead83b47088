"""The hand-written encoder writes what the schema says, byte for byte."""

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.event_bytes import event_bytes
from schemas.codec import Kind, encode
from schemas.event import Answer, Channel, Direction, FeedbackEvent, Order, Traits, to_record

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.just("é" * 300)
_MAYBE = st.none() | _TEXT
_LONG = st.integers(-(2**63), 2**63 - 1)
_FLOAT = st.floats(allow_nan=False).map(lambda value: value + 0.0)
_ANSWERS = st.builds(
    Answer, question=_TEXT, question_version=_TEXT, score=_FLOAT, scale_min=_FLOAT, scale_max=_FLOAT, derived_by=_MAYBE
)
_ORDERS = st.builds(
    Order, ref=_TEXT, amount_minor=st.none() | _LONG, currency=_MAYBE, items=st.none() | st.integers(-(2**31), 2**31 - 1),
    promised_at=st.none() | _LONG, delivered_at=st.none() | _LONG,
)  # fmt: skip
_TRAITS = st.builds(
    Traits,
    backfill=st.booleans(),
    second_hand=st.booleans(),
    probe=st.booleans(),
    non_human=st.booleans(),
    reason=_MAYBE,
)
_EVENTS = st.builds(
    FeedbackEvent, event_id=_TEXT, channel=st.sampled_from(Channel), kind=_TEXT, source=_TEXT, subject=_MAYBE,
    also_known_as=st.lists(_TEXT, max_size=3), conversation_ref=_MAYBE, in_reply_to=_MAYBE, direction=st.sampled_from(Direction),
    survey_ref=_MAYBE, touchpoint=_MAYBE, product=_MAYBE, order=st.none() | _ORDERS, agent_ref=_MAYBE, occurred_at=_LONG,
    received_at=_LONG, answers=st.lists(_ANSWERS, max_size=3), text=_MAYBE, lang=_MAYBE,
    text_ciphertext=st.none() | st.binary(max_size=20), data_key_id=_MAYBE,
    attributes=st.dictionaries(_TEXT, _TEXT, max_size=3), consent=_MAYBE, corrects=_MAYBE, retract=st.booleans(), traits=_TRAITS,
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(_EVENTS)
def test_bytes_equal_those_of_the_general_encoder(event: FeedbackEvent) -> None:
    assert encode(Kind.EVENT, to_record(event)) == event_bytes(event)


def test_every_field_of_the_envelope_is_generated_here() -> None:
    """A field that is added to the envelope must be added to the encoder and to this test."""
    assert 26 == len(FeedbackEvent.__struct_fields__)
