"""Count the events of a backtest as stage 1 counts those of its topics: by lane and channel, with what it remembers of customers."""

from collections.abc import Iterable

import numpy as np

from deploy.native_lines import Arrival
from schemas.arrival import pane_of
from schemas.blocks import Cells
from schemas.catalogue import Catalogue
from schemas.event import Channel, Lane
from schemas.event import to_record as event_record
from schemas.rules import IMMEDIATE
from streams.core.counting import count_panes, frame_of
from streams.core.merging import merged
from streams.core.recall import Recall

Source = tuple[Lane, Channel | None]
"""What remembers by itself: each channel of the live lane, and all admitted events together."""


class Counting:
    """Cells pane by pane; events come in order of arrival, repeats left out, no pane cut between two calls."""

    def __init__(self, catalogue: Catalogue, *, pane_ms: int, alarms_only: bool) -> None:
        """With `alarms_only` nothing is counted that no rule reads."""
        self._catalogue, self._pane_ms = catalogue, pane_ms
        rules = [rule for rule in catalogue.alarm if rule.kind not in IMMEDIATE]
        self._metrics = {rule.metric for rule in rules} if alarms_only else None
        self._dimensions = {rule.reads for rule in rules} if alarms_only else None
        memories = {
            (Lane.LIVE, channel): Recall(catalogue, pane_ms, live=True, channels=[channel]) for channel in Channel
        } | {(Lane.HISTORY, None): Recall(catalogue, pane_ms, live=False)}
        self._memories: dict[Source, Recall] = {at: one for at, one in memories.items() if one.reach_ms}
        for one in self._memories.values():
            one.begin(0)

    def count(self, arrivals: list[Arrival]) -> dict[int, Cells]:
        """Return pane -> cells of these events and of all that falls due up to the pane of the last one."""
        out: dict[int, list[Cells]] = {}
        by_source: dict[Source, list[Arrival]] = {}
        for one in arrivals:
            by_source.setdefault(self._source(one), []).append(one)
        last = pane_of(arrivals[-1].arrived_at, self._pane_ms)
        for source in sorted(by_source.keys() | self._memories.keys(), key=str):
            self._count(source, by_source.get(source, []), last, out)
        return _summed(out)

    def rest(self, end: int) -> dict[int, Cells]:
        """Return pane -> cells of what falls due up to the pane `end` though nothing came."""
        out: dict[int, list[Cells]] = {}
        for memory in self._memories.values():
            self._close(memory, [], end, out)
        return _summed(out)

    def _source(self, one: Arrival) -> Source:
        """Return what remembers this event; without memories a lane is one."""
        at = (one.lane, one.event.channel if one.lane is Lane.LIVE else None)
        return at if at in self._memories else (one.lane, None)

    def _count(self, source: Source, arrivals: list[Arrival], last: int, out: dict[int, list[Cells]]) -> None:
        frame = frame_of([event_record(one.event) for one in arrivals])
        arrived = np.array([one.arrived_at for one in arrivals], dtype=np.int64)
        panes = (arrived // self._pane_ms + 1) * self._pane_ms
        memory = self._memories.get(source)
        if memory is not None and arrivals:
            frame = memory.take(frame, np.ones(len(arrivals), dtype=np.bool_), arrived)
        counted = count_panes(
            frame,
            panes,
            self._catalogue,
            live=source[0] is Lane.LIVE,
            metrics=self._metrics,
            dimensions=self._dimensions,
        )
        for pane, cells in counted.items():
            out.setdefault(pane, []).append(cells)
        if memory is not None:
            self._close(memory, np.unique(panes).tolist(), last, out)

    def _close(self, memory: Recall, panes: Iterable[int], last: int, out: dict[int, list[Cells]]) -> None:
        """Close the panes with events and those in which something falls due, in order, up to `last`."""
        waiting = [*panes]
        while True:
            due = memory.next_due()
            following = min([*waiting[:1], *([] if due is None else [due])], default=None)
            if following is None or following > last:
                return
            if waiting and waiting[0] == following:
                waiting.pop(0)
            cells = memory.close(following)
            if len(cells):
                out.setdefault(following, []).append(cells)


def _summed(parts: dict[int, list[Cells]]) -> dict[int, Cells]:
    return {pane: merged(several) if len(several) > 1 else several[0] for pane, several in parts.items()}
