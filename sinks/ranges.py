"""Vectors of contiguous offset ranges: what one insert stands for, its token, and how the journal names it.

Rule: the token is the hash of the vector with its topic ids. A vector under way is replayed as it was cut, never cut anew,
since ClickHouse drops rows under a token that it knows, whatever they hold.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from schemas.errors import ContractError
from sinks.ledger_lines import Open

METADATA_BYTES = 4096
"""What a broker takes beside a committed offset (offset.metadata.max.bytes)."""
VECTOR_DIGITS = 16


class Range(NamedTuple):
    """Offsets first..last (both included) of one partition; offsets without a record are markers."""

    topic_id: str
    partition: int
    first: int
    last: int


def vector_hash(ranges: Iterable[Range]) -> str:
    """Return 64 hex digits that name the vector, in whatever order its ranges come."""
    lines = sorted(f"{one.topic_id}:{one.partition}:{one.first}-{one.last}" for one in ranges)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def token(table: str, ranges: Iterable[Range]) -> str:
    """Return the insert token of a vector for one table."""
    return f"{table}:{vector_hash(ranges)}"


class Counts(NamedTuple):
    """Of one partition: records lately, how many of them were set aside, and how many at its end in a row."""

    records: int = 0
    aside: int = 0
    run: int = 0


NONE_YET = Counts()


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands beside a committed offset of a sink: the arrived time (ms) that its partition has reached there.

    While an insert is under way, `pending` holds its first and last offset and `vector` names the whole of it; `recut`: some
    of it may be stored under other tokens, since the log is read again. `line` is what the ledger has still open there,
    `counts` what was set aside up to there.
    """

    arrived: int
    topic_id: str = ""
    pending: tuple[int, int] | None = None
    vector: str = ""
    line: Open | None = None
    recut: bool = False
    counts: Counts | None = None


def encode_mark(mark: Mark) -> str:
    """Return the metadata of a commit. Raises ContractError if a broker would refuse it."""
    text = msgspec.json.encode(mark)
    if len(text) > METADATA_BYTES:
        raise ContractError(
            "metadata_too_long", f"{len(text)} bytes of commit metadata, a broker takes {METADATA_BYTES}"
        )
    return text.decode()


def decode_mark(metadata: str) -> Mark:
    """Return the mark of a commit. Raises ContractError if no sink has written it."""
    try:
        return msgspec.json.decode(metadata, type=Mark)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ContractError(
            "foreign_position",
            f"a committed offset of a sink carries {metadata[:200]!r}",
            "offsets of these groups are never set by hand: restore them, or start anew with another topic_prefix",
        ) from error


def pending_vector(marks: Mapping[tuple[str, int], Mark]) -> list[Range]:
    """Return the vector that was under way, from (topic id, partition) -> mark; empty if none was.

    Raises ContractError if the ranges do not make up the vector that they name: then no token may be derived from them.
    """
    ranges, names = [], set()
    for (topic_id, partition), mark in marks.items():
        if mark.pending is not None:
            ranges.append(Range(topic_id, partition, *mark.pending))
            names.add(mark.vector)
    if ranges and names != {vector_hash(ranges)[:VECTOR_DIGITS]}:
        raise ContractError("broken_journal", f"{len(ranges)} pending ranges are not the vector {sorted(names)}")
    return sorted(ranges)
