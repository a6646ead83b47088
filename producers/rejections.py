"""What could not become an event, kept with its reason and raw bytes: one input in, one event or one rejection out."""

import hashlib

import msgspec

from producers.publisher import Record
from producers.sealer import Sealer
from schemas.codec import Kind, encode
from schemas.errors import InvalidEventError
from schemas.event import Channel, natural_id
from schemas.topics import REJECTED

RAW_MAX_BYTES = 64 * 1024
_DETAIL_MAX_CHARS = 500


class _Peek(msgspec.Struct):
    channel: Channel


_PEEK = msgspec.json.Decoder(_Peek)


def channel_in(raw: bytes) -> Channel | None:
    """Return the channel that a broken native event names, if it can be read."""
    try:
        return _PEEK.decode(raw).channel
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def rejection_id(source: str, place: str, raw: bytes) -> str:
    """Return the id of a rejected input: the same input from the same place is the same rejection."""
    return natural_id(source, f"rejected:{place}:{hashlib.sha256(raw).hexdigest()}")


def rejected_record(
    error: InvalidEventError,
    raw: bytes,
    *,
    sealer: Sealer,
    rejected_id: str,
    stage: str,
    source: str,
    received_at: int,
    channel: Channel | None = None,
    raw_bytes: int | None = None,
) -> Record:
    """Return the record for the rejected topic; `raw` is cut to 64 KiB and sealed, `raw_bytes` states its size before.

    Raises UnavailableError while the keyring is held by another process.
    """
    value = {
        "rejected_id": rejected_id,
        "stage": stage,
        "channel": channel,
        "source": source,
        "reason": error.reason,
        "field": _storable(error.field)[:_DETAIL_MAX_CHARS],
        "detail": _storable(error.plain_detail)[:_DETAIL_MAX_CHARS],
        "raw": sealer.raw(raw[:RAW_MAX_BYTES], rejected_id),
        "raw_bytes": len(raw) if raw_bytes is None else raw_bytes,
        "received_at": received_at,
        "replays": 0,
    }
    return Record(REJECTED.name, rejected_id.encode(), encode(Kind.REJECTED, value))


def _storable(text: str) -> str:
    """Return text without what UTF-8 or the store cannot keep."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\N{REPLACEMENT CHARACTER}")
