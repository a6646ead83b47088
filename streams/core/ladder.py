"""The ladder of state: one rung a window, each with its own grain and reach (see schemas/windows.py).

A rung holds one bucket more than its reach, so that the window before the oldest recountable one can be compared with.
"""

from itertools import repeat

from schemas.windows import Window

_FAR = 16
"""Beyond this many buckets a sum is taken anew instead of rolled on."""


class Rung:
    """Counts of one series by bucket of occurred time, and their sum over the trailing window."""

    __slots__ = ("_bucket_ms", "_end", "_length_ms", "_total", "buckets")

    def __init__(self, window: Window) -> None:
        self.buckets: dict[int, int] = {}
        self._bucket_ms, self._length_ms = window.bucket_ms, window.length_ms
        self._end = 0
        self._total = 0

    def add(self, bucket: int, packed: int) -> bool:
        """Add counts to the bucket that starts at `bucket`; return whether it was empty."""
        held = self.buckets.get(bucket)
        if self._end - self._length_ms <= bucket < self._end:
            self._total += packed
        if held is None:
            self.buckets[bucket] = packed
            return True
        self.buckets[bucket] = held + packed
        return False

    def total(self, end: int) -> int:
        """Return the counts of [end - length, end)."""
        if end != self._end:
            apart = (end - self._end) // self._bucket_ms
            self._total = self._rolled(end) if -_FAR <= apart <= _FAR else self._summed(end)
            self._end = end
        return self._total

    def differs(self, end: int, step: int) -> bool:
        """Tell whether the counts of [end - length, end) are not those of the window `step` before."""
        held, grain, length = self.buckets, self._bucket_ms, self._length_ms
        change = 0
        for bucket in range(end - step, end, grain):
            change += held.get(bucket, 0) - held.get(bucket - length, 0)
        return change != 0

    def _rolled(self, end: int) -> int:
        held, grain, length, at = self.buckets, self._bucket_ms, self._length_ms, self._end
        total = self._total
        if end > at:
            for bucket in range(at, end, grain):
                total += held.get(bucket, 0) - held.get(bucket - length, 0)
        else:
            for bucket in range(end, at, grain):
                total += held.get(bucket - length, 0) - held.get(bucket, 0)
        return total

    def _summed(self, end: int) -> int:
        start = end - self._length_ms
        if len(self.buckets) * self._bucket_ms < self._length_ms:
            return sum(packed for bucket, packed in self.buckets.items() if start <= bucket < end)
        return sum(map(self.buckets.get, range(start, end, self._bucket_ms), repeat(0)))

    def prune(self, oldest: int) -> None:
        """Forget the buckets that start before `oldest`."""
        gone = [bucket for bucket in self.buckets if bucket < oldest]
        for bucket in gone:
            del self.buckets[bucket]
        if gone:
            self._end = self._total = 0  # what is rolled on may hold a forgotten bucket
