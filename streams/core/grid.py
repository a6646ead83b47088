"""Which window ends a bucket, a pane or a lateness concern: plain arithmetic on the UTC grid, all times in ms."""

from dataclasses import dataclass

from schemas.windows import Window

_PRUNINGS = 8
"""How often state is looked through while a count passes through its rung."""


def up(at: int, step: int) -> int:
    """Return the first multiple of `step` at or after `at`."""
    return -(-at // step) * step


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The ends of one window of one metric, seen pane by pane."""

    window: Window
    lateness_ms: int
    pane_ms: int
    provisional_step_ms: int
    """At most one provisional row in a step; the pane length: in every pane."""

    def entered(self, bucket: int) -> int:
        """Return the first end whose window holds `bucket`."""
        step = self.window.step_ms
        return bucket // step * step + step

    def due(self, end: int) -> int:
        """Return the pane in which the window becomes final: the first that ends at or after end + lateness."""
        return up(end + self.lateness_ms, self.pane_ms)

    def overdue(self, pane: int) -> int:
        """Return the last end that became final before `pane`."""
        step = self.window.step_ms
        return (pane - self.pane_ms - self.lateness_ms) // step * step

    def next_end(self, pane: int) -> int:
        """Return the end whose rows are provisional in `pane`: the first at or after it."""
        return up(pane, self.window.step_ms)

    def next_since(self, end: int) -> int:
        """Return the first pane in which `end` is the next end."""
        return up(end - self.window.step_ms + 1, self.pane_ms)

    def check(self, pane: int) -> int:
        """Return the first pane, from `pane` on, in which provisional rows are written."""
        return up(up(pane, self.provisional_step_ms), self.pane_ms)

    def recountable(self, pane: int) -> int:
        """Return the first end whose whole window the rung still holds."""
        return up(self.window.rung_start(pane) + self.window.length_ms, self.window.step_ms)

    def kept(self, pane: int) -> int:
        """Return the start of the oldest bucket that is kept: one step before the rung, for the window before."""
        return self.window.rung_start(pane) - self.window.step_ms

    def pruning(self, pane: int) -> int:
        """Return the pane in which state out of reach is next forgotten."""
        return up(pane + self.window.span_ms // _PRUNINGS, self.pane_ms)
