"""What falls due in which pane."""

from heapq import heappop, heappush

import numpy as np

from streams.core.canonical import Ints


class Dues:
    """Numbers by the pane in which they fall due, the earliest first."""

    def __init__(self) -> None:
        self._panes: list[int] = []
        self._numbers: dict[int, list[Ints]] = {}

    def add(self, panes: Ints, numbers: Ints) -> None:
        """Add numbers, each with its pane."""
        order = np.argsort(panes, kind="stable")
        placed, numbers = panes[order], numbers[order]
        starts = np.flatnonzero(np.diff(placed, prepend=placed[:1] - 1)).tolist()
        for start, end in zip(starts, [*starts[1:], len(placed)], strict=False):
            pane = int(placed[start])
            held = self._numbers.get(pane)
            if held is None:
                heappush(self._panes, pane)
                held = self._numbers[pane] = []
            held.append(numbers[start:end])

    def first(self) -> tuple[int, Ints] | None:
        """Return the earliest pane and what falls due in it."""
        if not self._panes:
            return None
        pane = self._panes[0]
        held = self._numbers[pane]
        if len(held) > 1:
            held[:] = [np.concatenate(held)]
        return pane, held[0]

    def drop(self) -> None:
        """Take the earliest pane out."""
        del self._numbers[heappop(self._panes)]

    def until(self, pane: int) -> list[Ints]:
        """Take out what falls due up to a pane."""
        out: list[Ints] = []
        while self._panes and self._panes[0] <= pane:
            out += self._numbers.pop(heappop(self._panes))
        return out
