"""A calendar of due panes: who wants to be looked at, when and why. Cost follows the entries, never the panes."""

from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

Who = TypeVar("Who", bound=Hashable)


class Calendar(Generic[Who]):
    """Entries by pane; the same entry twice is one."""

    __slots__ = ("_by_pane", "_panes")

    def __init__(self) -> None:
        self._by_pane: dict[int, dict[Who, set[int]]] = {}
        self._panes: list[int] = []

    def enter(self, pane: int, who: Who, what: int) -> None:
        """Note that `who` is due in `pane` for `what`."""
        waiting = self._by_pane.get(pane)
        if waiting is None:
            waiting = self._by_pane[pane] = {}
            heappush(self._panes, pane)
        held = waiting.get(who)
        if held is None:
            waiting[who] = {what}
        else:
            held.add(what)

    def first(self) -> int | None:
        """Return the first pane with entries, None if there is none."""
        return self._panes[0] if self._panes else None

    def take(self) -> list[tuple[Who, set[int]]]:
        """Remove the first pane and return its entries, in no particular order."""
        return list(self._by_pane.pop(heappop(self._panes)).items())

    def items(self) -> Iterator[tuple[int, list[tuple[Who, set[int]]]]]:
        """Yield all panes in order with their entries."""
        for pane in sorted(self._by_pane):
            yield pane, list(self._by_pane[pane].items())
