"""Arrived time: a clock that is part of the log.

*arrived* of a record is the running maximum, per source partition, of min(log-append time, header `sent` + 60 s). It never
goes back, is the same at every reading, and a broker clock that runs ahead cannot poison it by more than a minute.
"""

from collections.abc import Iterable, Sequence

SENT_HEADER = "sent"
SENT_SLACK_MS = 60_000
SENT_DIGITS = 16  # anybody can write a header: a longer number is none
TICK_KEY = b"\x00tick"
LOG_APPEND_TIME = 1


def sent_of(headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """Return the header `sent` in ms, or None where it is absent or no number."""
    for name, value in headers:
        if name == SENT_HEADER:
            return int(value) if value is not None and value.isdigit() and len(value) <= SENT_DIGITS else None
    return None


def sent_header(now_ms: int) -> tuple[str, bytes]:
    """Return the header that says when a producer sent the record."""
    return (SENT_HEADER, str(now_ms).encode())


def arrived(previous_ms: int, append_ms: int, sent_ms: int | None) -> int:
    """Return the arrived time of the next record of a partition."""
    bounded = append_ms if sent_ms is None else min(append_ms, sent_ms + SENT_SLACK_MS)
    return max(previous_ms, bounded)


def arrived_run(previous_ms: int, append_ms: Sequence[int], sent_ms: Sequence[int | None]) -> list[int]:
    """Return the arrived times of consecutive records of a partition."""
    out = []
    for append, sent in zip(append_ms, sent_ms, strict=True):
        previous_ms = arrived(previous_ms, append, sent)
        out.append(previous_ms)
    return out


def pane_of(arrived_ms: int, pane_ms: int) -> int:
    """Return the end of the pane that holds `arrived_ms`; the pane is [end - pane_ms, end)."""
    return (arrived_ms // pane_ms + 1) * pane_ms


def is_tick(key: bytes | None, value: bytes | None) -> bool:
    """Return whether a record only carries time."""
    return value is None and key == TICK_KEY
