"""Bulk decoding agrees with the reference codec on every record, good or bad, whatever its neighbours."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bulk import decode_events
from schemas.codec import Kind, decode_as, encode
from schemas.errors import UndecodableError
from schemas.event import Order, to_record
from sinks.rows import Place, event_rows, place_columns
from tests.sinks.conftest import event, wire

GOOD = [
    wire(event(i, order=Order(ref="r", amount_minor=0, items=i) if i % 3 else None, attributes={"n": str(i)}))
    for i in range(6)
]


@st.composite
def values(draw) -> list[bytes | None]:
    out: list[bytes | None] = []
    for one in draw(st.lists(st.sampled_from(GOOD), max_size=8)):
        way = draw(st.sampled_from(["good", "good", "cut", "flip", "trailing", "none"]))
        at = draw(st.integers(0, len(one) - 1))
        flipped = one[:at] + bytes([one[at] ^ draw(st.integers(1, 255))]) + one[at + 1 :]
        out.append({"good": one, "cut": one[:at], "flip": flipped, "trailing": one + b"\x02", "none": None}[way])
    return out


def reference(value: bytes | None) -> str | None:
    try:
        return decode_as(Kind.EVENT, value)["event_id"]
    except UndecodableError:
        return None


@settings(max_examples=300, deadline=None)
@given(values())
def test_bulk_decoding_agrees_with_the_reference(batch: list[bytes | None]) -> None:
    decoded = decode_events(batch)
    expected = [reference(one) for one in batch]
    assert decoded.good == [i for i, one in enumerate(expected) if one is not None]
    assert decoded.events.column("event_id").to_pylist() == [one for one in expected if one is not None]
    assert [i for i, _ in decoded.bad] == [i for i, one in enumerate(expected) if one is None]


def test_rows_hold_every_field_of_the_envelope() -> None:
    full = msgspec.structs.replace(
        event(1), subject="s", conversation_ref="c", in_reply_to="i", survey_ref="v", product="p", agent_ref="a",
        lang="fr", text_ciphertext=b"\xff\x00", data_key_id="k", consent="yes", corrects="e", retract=True,
        also_known_as=["x"], order=Order(ref="r", amount_minor=0, currency="EUR", items=0, promised_at=1, delivered_at=2),
        attributes={"a": "b"},
    )  # fmt: skip
    record = to_record(full)
    place = [Place("feedback.card.v1", "t", 0, 7, 9)]
    columns = event_rows(decode_events([encode(Kind.EVENT, record)]).events, place_columns(place)).columns
    flat = {**record, **{f"order_{name}": value for name, value in record["order"].items()}, **record["traits"]}
    flat |= {f"answer_{name}": [value or ""] for name, value in record["answers"][0].items()}
    flat["answer_score"] = [record["answers"][0]["score"]]
    for name in ("order", "traits", "answers", "reason"):
        del flat[name]
    flags = {"backfill", "second_hand", "probe", "non_human"}
    assert {name: columns[name][0] for name in flat.keys() - flags} == {
        name: flat[name] for name in flat.keys() - flags
    }
    assert not flags & set(columns)  # False is what the table says without them
    assert columns["offset"] == [7]
