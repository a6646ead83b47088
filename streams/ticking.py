"""When a quiet partition needs a tick: a record that only carries time, so that its panes close."""

from collections.abc import Hashable

GRACE_MS = 200
AGAIN_MS = 1_000


class Ticker:
    """Say which partitions want a tick: 200 ms after a pane's end that they have not passed, one outstanding, again after 1 s."""

    def __init__(self, pane_ms: int) -> None:
        self._pane_ms = pane_ms
        self._outstanding: dict[Hashable, tuple[int, int]] = {}

    def due(self, partition: Hashable, arrived_ms: int, now_ms: int) -> bool:
        """Return whether to append a tick now; if so it counts as appended. `arrived_ms`: arrived time of the partition."""
        end = (now_ms - GRACE_MS) // self._pane_ms * self._pane_ms
        if arrived_ms >= end:
            return False
        wanted, sent_ms = self._outstanding.get(partition, (0, 0))
        if arrived_ms < wanted and now_ms - sent_ms < AGAIN_MS:
            return False
        self._outstanding[partition] = (end, now_ms)
        return True
