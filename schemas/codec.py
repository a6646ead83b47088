"""Bytes <-> records: Avro behind the Confluent header (0x00 and a 4-byte big-endian schema id).

Ids come from a static table, so that every process reads every record without asking a registry; where one is named, its ids
are adopted once at start. A record is read by the schema that it was written with, and resolved to today's: earlier and later
versions, within the rules of Avro, are read side by side.
"""

import io
import json
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum
from importlib.resources import files
from typing import Any, NamedTuple

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
    LEDGER = 8


SCHEMA_FILES = {
    Kind.EVENT: "feedback_event.avsc",
    Kind.REJECTED: "rejected.avsc",
    Kind.BLOCK: "tally_block.avsc",
    Kind.DECISION: "decision.avsc",
    Kind.READING: "reading.avsc",
    Kind.TRANSITION: "alarm_transition.avsc",
    Kind.SNAPSHOT: "snapshot.avsc",
    Kind.LEDGER: "ledger_line.avsc",
}


def schema_text(kind: Kind) -> str:
    """Return the schema of `kind` as JSON text."""
    return (files("schemas") / "avro" / SCHEMA_FILES[kind]).read_text(encoding="utf-8")


def parsed(text: str) -> Schema:
    """Return a schema that fastavro can use. Each has names of its own: two versions share theirs."""
    found: Schema = fastavro.parse_schema(json.loads(text), named_schemas={})
    return found


class Written(NamedTuple):
    """What an id says: the kind, and the schema that its records were written with (None: today's)."""

    kind: Kind
    schema: Schema | None = None


_PARSED: dict[Kind, Schema] = {kind: parsed(schema_text(kind)) for kind in Kind}


class Ids:
    """Which id this process writes for each kind, and what the ids of records mean."""

    def __init__(
        self, current: Mapping[Kind, int], earlier: Mapping[int, Written] | None = None,
        ask: Callable[[int], Written | None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`ask` is called once for an id that nobody has told; it returns None for one that means nothing here."""
        self.headers = {kind: struct.pack(">bI", 0, current[kind]) for kind in Kind}
        self._known: dict[int, Written | None] = {
            **(earlier or {}), **{number: Written(kind) for kind, number in current.items()}
        }  # fmt: skip
        self._ask = ask

    def meaning(self, number: int) -> Written | None:
        """Return what an id means, None if nothing."""
        if number not in self._known:
            self._known[number] = self._ask(number)
        return self._known[number]


STATIC = Ids({kind: int(kind) for kind in Kind})
_ids = STATIC


def adopt(ids: Ids) -> None:
    """Write and read by these ids from now on; for the begin of a process, before its first record."""
    global _ids  # noqa: PLW0603 - one per process, as the topics it shares with others are
    _ids = ids


def header(kind: Kind) -> bytes:
    """Return the bytes before every record of a kind."""
    return _ids.headers[kind]


def encode(kind: Kind, record: dict[str, Any]) -> bytes:
    """Return the wire bytes of a record. Raises ValueError or TypeError if it does not fit its schema."""
    out = io.BytesIO()
    out.write(_ids.headers[kind])
    fastavro.schemaless_writer(out, _PARSED[kind], record)
    return out.getvalue()


def kind_of(value: bytes | None) -> Kind:
    """Return the kind that the header names. Raises UndecodableError."""
    return _written(value).kind


def _written(value: bytes | None) -> Written:
    if value is None or len(value) < HEADER_BYTES or value[0] != 0:
        raise UndecodableError("no_header", "not in the Confluent wire format")
    number = int.from_bytes(value[1:HEADER_BYTES], "big")
    found = _ids.meaning(number)
    if found is None:
        raise UndecodableError("unknown_schema", f"schema id {number} is not in the table")
    return found


def decode(value: bytes | None) -> tuple[Kind, dict[str, Any]]:
    """Return kind and record of wire bytes; trailing bytes are an error. Raises UndecodableError."""
    kind, schema = _written(value)
    assert value is not None
    today = _PARSED[kind]
    body = io.BytesIO(value)
    body.seek(HEADER_BYTES)
    try:
        record = fastavro.schemaless_reader(
            body, today if schema is None else schema, None if schema is None else today
        )
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
