"""Request bodies: read with every limit kept while streaming, then cut into items.

Neither Content-Type nor Content-Length is trusted: clients send JSON as text/plain, gzip without saying so, and chunks.
"""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from producers.refusals import Refusal
from producers.rejections import RAW_MAX_BYTES

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WBITS = 31
_INFLATE_STEP_BYTES = 256 * 1024
_DRAIN_FACTOR = 8
"""How many times the limit is read and thrown away, so that the client is still there to read its 413."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes: as sent, and after decompression; items in one request."""

    body_bytes: int
    inflated_bytes: int
    items: int


async def read_body(chunks: AsyncIterator[bytes], *, gzip: bool, limits: Limits) -> bytes:
    """Return the body, decompressed if it is gzip by header or by its first bytes. Raises Refusal (413, 400)."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size <= limits.body_bytes:
            parts.append(chunk)
        elif size > _DRAIN_FACTOR * limits.body_bytes:
            break
    body = b"".join(parts)
    if size > limits.body_bytes:
        raise _too_large(f"more than {limits.body_bytes} bytes", body, size)
    if gzip and not body.startswith(_GZIP_MAGIC) and body:
        raise Refusal(400, "bad_gzip", "Content-Encoding says gzip, the body is none", "compress the body or drop the header",
                      raw=body, raw_bytes=size)  # fmt: skip
    return inflate(body, limits) if body.startswith(_GZIP_MAGIC) else body


def inflate(body: bytes, limits: Limits) -> bytes:
    """Return the content of gzip members, never holding more than the limit. Raises Refusal (413 for a bomb, 400)."""
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while rest:
            member = zlib.decompressobj(_GZIP_WBITS)
            while not member.eof:
                part = member.decompress(rest, _INFLATE_STEP_BYTES)
                rest = member.unused_data if member.eof else member.unconsumed_tail
                size += len(part)
                if size > limits.inflated_bytes:
                    raise _too_large(f"more than {limits.inflated_bytes} bytes when decompressed", body, len(body))
                parts.append(part)
                if not part and not rest and not member.eof:
                    raise _broken_gzip("truncated", body)
    except zlib.error as error:
        raise _broken_gzip(str(error), body) from error
    return b"".join(parts)


def _broken_gzip(why: str, body: bytes) -> Refusal:
    return Refusal(
        400, "bad_gzip", f"broken gzip: {why}", "compress the whole body as one stream", raw=body, raw_bytes=len(body)
    )


def _too_large(detail: str, body: bytes, size: int) -> Refusal:
    return Refusal(413, "too_large", detail, "send smaller batches", raw=body[:RAW_MAX_BYTES], raw_bytes=size)


_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)


def split(body: bytes, limits: Limits) -> list[bytes]:
    """Return the items of a JSON object, a JSON array or NDJSON, each as JSON bytes, perhaps broken ones.

    Raises Refusal: 400 if the whole is not UTF-8 or no JSON at all, 413 for too many items.
    """
    body = body.removeprefix(_BOM)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise _not_json(body, f"not UTF-8 at byte {error.start}") from error
    first = body.lstrip(b" \t\r\n")[:1]
    if not first:
        raise _not_json(body, "the body is empty")
    if first == b"[":
        try:
            items = [bytes(item) for item in _ARRAY.decode(body)]
        except (msgspec.DecodeError, RecursionError) as error:
            raise _not_json(body, str(error)) from error
    else:
        items = _lines(body)
    if len(items) > limits.items:
        raise Refusal(413, "too_many_events", f"{len(items)} events; a request has at most {limits.items}",
                      "send smaller batches", raw=body[:RAW_MAX_BYTES], raw_bytes=len(body))  # fmt: skip
    return items


def _lines(body: bytes) -> list[bytes]:
    try:
        return [bytes(_ONE.decode(body))]
    except (msgspec.DecodeError, RecursionError) as error:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) < 2 or not any(_is_json(line) for line in lines):
            raise _not_json(body, str(error)) from error
        return lines


def _is_json(line: bytes) -> bool:
    try:
        _ONE.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _not_json(body: bytes, why: str) -> Refusal:
    return Refusal(400, "not_json", f"the body is neither JSON nor NDJSON: {why}", "send one object, an array or one object a line",
                   raw=body, raw_bytes=len(body))  # fmt: skip
