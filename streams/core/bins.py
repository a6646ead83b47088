"""Counts by bin as one integer: 40 bits a bin, so that counts add, subtract and compare exactly in one operation.

A window is a sum of buckets; with a dictionary a bucket, adding 168 of them costs a hundred times more. Each field is
signed: a retraction may be counted before what it takes back, so a count may stand below 0 and borrow from the next field.
Where a sum does not follow from the bins (amounts), it has the lowest field.
"""

from collections.abc import Mapping

from schemas.metrics import Metric
from streams.core.kinds import KINDS

BITS = 40
SUM_BITS = 104
"""Holds the sum of all amounts that the counts of a field could have, with its sign."""
LIMIT = 1 << 32
"""A single count stays below this on both sides of 0, so that 127 of them fit a field."""


class Bins:
    """The bins of one metric, as its kind has them."""

    __slots__ = ("first", "name", "shifts", "summed")

    def __init__(self, metric: Metric) -> None:
        self.name = metric.name
        kind = KINDS[metric.kind]
        bins = kind.bins(metric)
        self.first = bins[0]
        self.summed = kind.summed
        """Whether the exact sum is packed with the counts."""
        before = SUM_BITS if self.summed else 0
        self.shifts = {bin_: (bin_ - self.first) * BITS + before for bin_ in bins}
        """bin -> how far left a count of it stands."""

    def packed(self, counts: Mapping[int, int], total: int = 0) -> int:
        """Return bin -> count as one integer, with the sum where it is packed."""
        out = total if self.summed else 0
        return out + sum(count << self.shifts[bin_] for bin_, count in counts.items())

    def counts(self, packed: int) -> dict[int, int]:
        """Return bin -> count, without zeros, in order of bins."""
        if self.summed:
            _, packed = _lowest(packed, SUM_BITS)
        out, bin_ = {}, self.first
        while packed:
            count, packed = _lowest(packed, BITS)
            if count:
                out[bin_] = count
            bin_ += 1
        return out

    def total(self, packed: int) -> int:
        """Return the sum of what was counted: amounts, or else bins."""
        if self.summed:
            return _lowest(packed, SUM_BITS)[0]
        return sum(bin_ * count for bin_, count in self.counts(packed).items())


def _lowest(packed: int, bits: int) -> tuple[int, int]:
    """Return the lowest field as a signed number, and the fields above it."""
    field = packed & ((1 << bits) - 1)
    if field >> (bits - 1):
        field -= 1 << bits
        return field, (packed >> bits) + 1
    return field, packed >> bits


def to_bytes(packed: int) -> bytes:
    """Return the integer as bytes, for a snapshot."""
    return packed.to_bytes((packed.bit_length() + 8) // 8, "little", signed=True)


def from_bytes(raw: bytes) -> int:
    """Return the integer of `to_bytes`."""
    return int.from_bytes(raw, "little", signed=True)
