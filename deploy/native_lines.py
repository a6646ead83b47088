"""Events in a file, one JSON object a line: the native form of `POST /v1/feedback` with two fields more.

`arrived_at` (else occurred_at) says when the event came, `lane` (else live) by which way.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from producers.channels.native import (
    MAX_EVENT_BYTES,
    NativeEvent,
    Scales,
    Time,
    decode,
    to_event,
)
from producers.pseudonyms import Pseudonyms, pseudonyms_of
from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, Lane, natural_id

SOURCE = "backtest"
_KEY = "of a file, kept nowhere"
"""Pseudonyms are made, since bad addresses are refused, and thrown away."""


class Timed(NativeEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A native event with its time and way of arrival."""

    arrived_at: Time | None = None
    lane: Lane = Lane.LIVE


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A checked event, when it arrived (ms) and by which lane; `number` of its line in a file."""

    event: FeedbackEvent
    arrived_at: int
    lane: Lane
    number: int = 0


class BadLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that is no event, and why."""

    number: int
    error: InvalidEventError


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DECODER = msgspec.json.Decoder(Timed)


class NativeLines:
    """Read events; lines without an id are named by their number."""

    def __init__(self, scales: Scales, country: str) -> None:
        self._scales = scales
        self._pseudonyms: Pseudonyms = pseudonyms_of(_KEY, country)

    def read(self, lines: Iterable[str | bytes | Mapping[str, Any]]) -> Iterator[Arrival | BadLine]:
        """Yield an event or the fault of each line that is not blank. Objects decoded from JSON are lines too."""
        for number, line in enumerate(lines, 1):
            if isinstance(line, (str, bytes)) and not line.strip():
                continue
            try:
                yield self._arrival(line, number)
            except InvalidEventError as error:
                yield BadLine(number=number, error=error)

    def _arrival(self, line: str | bytes | Mapping[str, Any], number: int) -> Arrival:
        timed = _timed(line)
        if timed.arrived_at is None and timed.occurred_at is None:
            raise InvalidEventError("missing_field", "occurred_at", "is required, or arrived_at, in a file")
        given = timed.occurred_at if timed.arrived_at is None else timed.arrived_at
        assert given is not None
        arrived = epoch_ms(given)
        event = to_event(
            timed, source=SOURCE, received_at=arrived, pseudonyms=self._pseudonyms, scales=self._scales,
            new_id=lambda: natural_id(SOURCE, f"line {number}"),
        )  # fmt: skip
        return Arrival(event=event, arrived_at=arrived, lane=timed.lane, number=number)


def epoch_ms(given: Time) -> int:
    """Return a time in ms since the epoch."""
    return given if isinstance(given, int) else (given - _EPOCH) // _MS


def _timed(line: str | bytes | Mapping[str, Any]) -> Timed:
    """Return the native event of a line. Raises InvalidEventError with the reason that the gateway would give."""
    if isinstance(line, str):
        line = line.encode("utf-8", "surrogatepass")
    try:
        if not isinstance(line, bytes):
            return msgspec.convert(line, Timed)
        if len(line) <= MAX_EVENT_BYTES and b"\\u0000" not in line:
            return _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # the gateway's own words for it follow
    return _refused(line)


def _refused(line: bytes | Mapping[str, Any]) -> Timed:
    plain: object = line
    if isinstance(line, bytes) and len(line) <= MAX_EVENT_BYTES:
        try:
            plain = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            plain = line
    if not isinstance(plain, Mapping):
        decode(plain)
        raise InvalidEventError("bad_json", "", "is no JSON object")
    decode({name: value for name, value in plain.items() if name not in {"arrived_at", "lane"}})
    if plain.get("lane", Lane.LIVE) not in set(Lane):
        raise InvalidEventError("bad_type", "lane", "is neither live nor history")
    raise InvalidEventError(
        "bad_time", "arrived_at", "is no time", "write RFC 3339 with an offset, or epoch milliseconds"
    )
