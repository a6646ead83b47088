"""Counts by bin as one integer: 40 bits a bin, so that counts add, subtract and compare exactly in one operation.

A window is a sum of buckets; with a dictionary a bucket, adding 168 of them costs a hundred times more.
"""

from collections.abc import Mapping

from schemas.catalogue import Metric, MetricKind

BITS = 40
_MASK = (1 << BITS) - 1
LIMIT = 1 << 32
"""A single count stays below this, so that 256 of them fit a field."""


class Bins:
    """The bins of one metric: scale points, 0 and 1 for a share of events, 1 for a count of events."""

    __slots__ = ("first", "name", "shifts")

    def __init__(self, metric: Metric) -> None:
        self.name = metric.name
        if metric.scale is not None:
            self.first, last = metric.scale
        else:
            self.first, last = (1, 1) if metric.kind is MetricKind.COUNT else (0, 1)
        self.shifts = {bin_: (bin_ - self.first) * BITS for bin_ in range(self.first, last + 1)}
        """bin -> how far left a count of it stands."""

    def packed(self, counts: Mapping[int, int]) -> int:
        """Return bin -> count as one integer."""
        return sum(count << self.shifts[bin_] for bin_, count in counts.items())

    def counts(self, packed: int) -> dict[int, int]:
        """Return bin -> count, without zeros, in order of bins."""
        out, bin_ = {}, self.first
        while packed:
            count = packed & _MASK
            if count:
                out[bin_] = count
            packed >>= BITS
            bin_ += 1
        return out


def to_bytes(packed: int) -> bytes:
    """Return the integer as bytes, for a snapshot."""
    return packed.to_bytes((packed.bit_length() + 7) // 8, "little")


def from_bytes(raw: bytes) -> int:
    """Return the integer of `to_bytes`."""
    return int.from_bytes(raw, "little")
