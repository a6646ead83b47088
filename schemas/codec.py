"""Bytes <-> records: Avro behind the Confluent header (0x00 and a 4-byte big-endian schema id).

Ids come from a static table, so that every process reads every record without asking a registry.
"""

import io
import json
import struct
from enum import IntEnum
from importlib.resources import files
from typing import Any

import fastavro
from fastavro.types import Schema

from schemas.errors import UndecodableError

HEADER_BYTES = 5


class Kind(IntEnum):
    """Schema ids; never reuse one."""

    EVENT = 1
    REJECTED = 2
    BLOCK = 3
    DECISION = 4
    READING = 5
    TRANSITION = 6
    SNAPSHOT = 7


SCHEMA_FILES = {
    Kind.EVENT: "feedback_event.avsc",
    Kind.REJECTED: "rejected.avsc",
    Kind.BLOCK: "tally_block.avsc",
    Kind.DECISION: "decision.avsc",
    Kind.READING: "reading.avsc",
    Kind.TRANSITION: "alarm_transition.avsc",
    Kind.SNAPSHOT: "snapshot.avsc",
}


def schema_text(kind: Kind) -> str:
    """Return the schema of `kind` as JSON text."""
    return (files("schemas") / "avro" / SCHEMA_FILES[kind]).read_text(encoding="utf-8")


_PARSED: dict[Kind, Schema] = {kind: fastavro.parse_schema(json.loads(schema_text(kind))) for kind in Kind}
_HEADERS = {kind: struct.pack(">bI", 0, kind) for kind in Kind}


def encode(kind: Kind, record: dict[str, Any]) -> bytes:
    """Return the wire bytes of a record. Raises ValueError or TypeError if it does not fit its schema."""
    out = io.BytesIO()
    out.write(_HEADERS[kind])
    fastavro.schemaless_writer(out, _PARSED[kind], record)
    return out.getvalue()


def kind_of(value: bytes | None) -> Kind:
    """Return the kind that the header names. Raises UndecodableError."""
    if value is None or len(value) < HEADER_BYTES or value[0] != 0:
        raise UndecodableError("no_header", "not in the Confluent wire format")
    number = int.from_bytes(value[1:HEADER_BYTES], "big")
    try:
        return Kind(number)
    except ValueError as error:
        raise UndecodableError("unknown_schema", f"schema id {number} is not in the table") from error


def decode(value: bytes | None) -> tuple[Kind, dict[str, Any]]:
    """Return kind and record of wire bytes; trailing bytes are an error. Raises UndecodableError."""
    kind = kind_of(value)
    assert value is not None
    body = io.BytesIO(value)
    body.seek(HEADER_BYTES)
    try:
        record = fastavro.schemaless_reader(body, _PARSED[kind], None)
    except Exception as error:  # fastavro raises many types on bytes that it did not write
        raise UndecodableError("bad_avro", f"{kind.name}: {type(error).__name__}: {error}") from error
    if body.tell() != len(value):
        raise UndecodableError("trailing_bytes", f"{kind.name}: {len(value) - body.tell()} bytes too many")
    assert isinstance(record, dict)
    return kind, record


def decode_as(kind: Kind, value: bytes | None) -> dict[str, Any]:
    """Return the record of wire bytes that must be of `kind`. Raises UndecodableError."""
    found, record = decode(value)
    if found is not kind:
        raise UndecodableError("unexpected_schema", f"{found.name} where {kind.name} belongs")
    return record
