"""What a pane means for the windows of a metric; reckoned once a pane, however many series there are."""

from typing import NamedTuple

from schemas.metrics import Metric
from schemas.windows import WINDOWS
from streams.core.grid import Grid

EVERY_PANE = "1h"
"""The window whose provisional rows come in every pane."""


class Moment(NamedTuple):
    """What a pane means for one window: see the methods of Grid with these names."""

    kept: int
    recountable: int
    overdue: int
    check: int
    pruning: int
    open: int
    """Start of the first bucket that lies in no final window and in none beyond the rung."""


class Schedule:
    """The windows of a metric; metrics with the same windows and lateness share one."""

    __slots__ = ("_moments", "_pane", "grids")

    def __init__(self, grids: tuple[Grid, ...]) -> None:
        self.grids = grids
        self._pane: int | None = None
        self._moments: list[Moment] = []

    def moments(self, pane: int) -> list[Moment]:
        """Return what `pane` means for each window."""
        if pane != self._pane:
            self._pane = pane
            self._moments = [_moment(grid, pane) for grid in self.grids]
        return self._moments


def grids_of(metric: Metric, pane_ms: int, provisional_step_ms: int) -> tuple[Grid, ...]:
    """Return the grids of a metric's windows, in their order."""
    return tuple([
        Grid(
            window=WINDOWS[name],
            lateness_ms=metric.lateness(name),
            pane_ms=pane_ms,
            provisional_step_ms=pane_ms if name == EVERY_PANE else provisional_step_ms,
        )
        for name in metric.windows
    ])  # fmt: skip


def _moment(grid: Grid, pane: int) -> Moment:
    kept, recountable, overdue = grid.kept(pane), grid.recountable(pane), grid.overdue(pane)
    first = max(kept, recountable - grid.window.step_ms, overdue)
    return Moment(kept, recountable, overdue, grid.check(pane), grid.pruning(pane), first)
