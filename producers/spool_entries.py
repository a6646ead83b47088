"""What the spool stores: records of one request, packed and sealed, and the lane that they take after they have lain."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from producers.publisher import Record
from schemas.sealing import OVERHEAD_BYTES
from schemas.topics import HISTORY, LIVE

ENTRY_BYTES = 256 * 1024
"""An entry holds records up to this size, and one record at least."""
ROW_BYTES = 64
"""What an entry costs beside its sealed bytes, about."""
RECORD_BYTES = 48
"""What a record costs beside its key and value, about."""
MAX_RECORD_BYTES = (1 << 20) - (16 << 10)
"""A larger one is refused: the broker would refuse it again and again, and all behind it would wait."""
_LIVE = {topic.name: topic for topic in LIVE.values()}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Record]).decode


class Entry(NamedTuple):
    """One row of the spool; `spooled_at` in epoch ms."""

    seq: int
    key_id: str
    spooled_at: int
    records: int
    sealed: bytes

    @property
    def bytes(self) -> int:
        """What it counts against the limit of the spool."""
        return len(self.sealed) + ROW_BYTES


def size_of(records: Sequence[Record]) -> int:
    """Return the bytes that these records will take, at most: two entries that follow each other hold more than ENTRY_BYTES."""
    content = sum(len(one.value) + len(one.key) + RECORD_BYTES for one in records)
    return content + (2 * content // ENTRY_BYTES + 1) * (ROW_BYTES + OVERHEAD_BYTES)


def cut(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Return the records in their order, in parts of at most ENTRY_BYTES, or of one larger record."""
    first, size = 0, 0
    for at, one in enumerate(records):
        size += len(one.value) + len(one.key) + RECORD_BYTES
        if size > ENTRY_BYTES and at > first:
            yield records[first:at]
            first, size = at, len(one.value) + len(one.key) + RECORD_BYTES
    if first < len(records):
        yield records[first:]


def packed(records: Sequence[Record]) -> bytes:
    """Return records as bytes."""
    return _encode(records)


def unpacked(data: bytes) -> list[Record]:
    """Return the records that `packed` was given. Raises msgspec.DecodeError."""
    return _decode(data)


def bound_to(seq: int, spooled_at: int) -> bytes:
    """Return what an entry's seal is bound to: it does not open in another place or as of another time."""
    return f"spool:{seq}:{spooled_at}".encode()


def topic_after(topic: str, lain_ms: int, slack_ms: int) -> str:
    """Return the topic for a record that was meant for `topic` and has lain for `lain_ms`.

    A copy of a live record can stand in its topic already: sent without an answer, or sent by the client before. All copies are
    received within H of the occurrence, so a lie of at most W - H leaves them within W of each other, where the repeat filter
    sees both. After that, less `slack_ms` for what is on its way and for clocks, only the gate of the history lane can know.
    A negative lie means a clock that was put back: how long it really was is not known, so it is taken as too long.
    """
    live = _LIVE.get(topic)
    if live is None:
        return topic
    assert live.repeat_window_ms is not None and live.live_max_age_ms is not None
    longest_ms = live.repeat_window_ms - live.live_max_age_ms - slack_ms
    return topic if -slack_ms <= lain_ms <= longest_ms else HISTORY.name
