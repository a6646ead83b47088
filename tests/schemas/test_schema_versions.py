"""Old and new producers together: a record is read by the schema that it was written with, whichever comes first."""

import io
import json
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from schemas import codec
from schemas.bulk import decode_events
from schemas.codec import Ids, Kind, Written, decode, encode, parsed, schema_text
from schemas.errors import UndecodableError
from schemas.event import Channel, FeedbackEvent, from_record, to_record

NEWER, OLDER, FOREIGN = 901, 902, 903


def event(number: int) -> FeedbackEvent:
    return FeedbackEvent(
        event_id=f"00000000-0000-4000-8000-{number:012}", channel=Channel.CARD, kind="rating", source="t", consent="yes",
        occurred_at=number, received_at=number,
    )  # fmt: skip


def newer() -> str:
    """Return the schema of somebody who is a version ahead: one more field, in the middle."""
    schema = json.loads(schema_text(Kind.EVENT))
    schema["fields"].insert(3, {"name": "mood", "type": ["null", "string"], "default": None})
    return json.dumps(schema)


def older() -> str:
    """Return the schema of somebody who is a version behind: one field less."""
    schema = json.loads(schema_text(Kind.EVENT))
    schema["fields"] = [one for one in schema["fields"] if one["name"] != "consent"]
    return json.dumps(schema)


def written(number: int, text: str, record: dict[str, Any]) -> bytes:
    out = io.BytesIO(bytes(1) + number.to_bytes(4, "big"))
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, parsed(text), record)
    return out.getvalue()


@pytest.fixture
def asked() -> Iterator[list[int]]:
    """Adopt a table that knows today's ids, and asks somebody for others: the numbers that it asked for."""
    numbers: list[int] = []
    known = {NEWER: Written(Kind.EVENT, parsed(newer())), OLDER: Written(Kind.EVENT, parsed(older()))}

    def ask(number: int) -> Written | None:
        numbers.append(number)
        return known.get(number)

    codec.adopt(Ids({kind: int(kind) for kind in Kind}, ask=ask))
    yield numbers
    codec.adopt(codec.STATIC)


def test_three_versions_in_one_batch_are_read_in_order_each_by_its_own_schema(asked: list[int]) -> None:
    values = [
        encode(Kind.EVENT, to_record(event(1))),
        written(NEWER, newer(), to_record(event(2)) | {"mood": "glad"}),
        written(OLDER, older(), to_record(event(3))),
        encode(Kind.EVENT, to_record(event(4))),
        written(FOREIGN, newer(), to_record(event(5)) | {"mood": None}),
        written(NEWER, newer(), to_record(event(6)) | {"mood": None})[:-2],
    ]
    decoded = decode_events(values)
    assert decoded.good == [0, 1, 2, 3]
    assert decoded.events.column("event_id").to_pylist() == [event(number).event_id for number in (1, 2, 3, 4)]
    assert decoded.events.column("consent").to_pylist() == ["yes", "yes", None, "yes"]
    assert [(at, error.reason) for at, error in decoded.bad] == [(4, "unknown_schema"), (5, "bad_avro")]
    assert from_record(decode(values[1])[1]) == event(2)
    assert asked == [NEWER, OLDER, FOREIGN], "an id is asked for once"


def test_without_a_registry_another_version_is_put_aside_by_name() -> None:
    with pytest.raises(UndecodableError, match="901 is not in the table"):
        decode(written(NEWER, newer(), to_record(event(1)) | {"mood": None}))


def test_adopted_ids_are_written_and_read() -> None:
    codec.adopt(Ids({kind: 500 + int(kind) for kind in Kind}))
    try:
        value = encode(Kind.EVENT, to_record(event(1)))
        assert value[:5] == b"\x00\x00\x00\x01\xf5"
        assert from_record(decode(value)[1]) == event(1)
        assert decode_events([value]).good == [0]
    finally:
        codec.adopt(codec.STATIC)
