"""When the judge goes on without a source by itself, and when it waits for it again: decisions that it writes into the log.

A source is left out when the judge has seen it stand still for so long while another one came as far ahead. What is counted is
time spent looking, so that neither a clock that jumps nor a process that was stopped makes a source look silent.
"""

from collections.abc import Sequence

from schemas.exclusion import Body, SourceId, Why, exclusion, inclusion
from schemas.outputs import Decision
from streams.core.judge import Judge
from streams.core.vector import Source
from streams.renewals import AUTHOR, CAUGHT_UP

LONGEST_LOOK_MS = 2_000
"""What a look counts at most: whoever has not looked for longer does not know whether a source moved meanwhile."""
AGAIN_MS = 10_000
"""A decision that changed nothing is written again after this time at the earliest."""


class Exclusions:
    """What one judge has seen of its sources; a new one begins to look anew."""

    def __init__(self, after_ms: int, pane_ms: int) -> None:
        """`after_ms`: how long a source may stand still, and how far be behind; 0: for ever."""
        self._after_ms, self._pane_ms = after_ms, pane_ms
        self._looked_at: int | None = None
        self._stood: dict[SourceId, tuple[int | None, int]] = {}
        """Source -> its last pane, and for how long (ms) it has been that."""
        self._quiet: dict[SourceId, int] = {}
        """Source -> for how long (ms) nothing more is to be said about it."""

    def due(self, judge: Judge, backlog: int | None, now_ms: int) -> list[Decision]:
        """Return what to write now; `backlog`: records of the log that wait to be read (None: not known yet)."""
        looked_at, self._looked_at = self._looked_at, now_ms
        if backlog is None or backlog > CAUGHT_UP:
            self._stood.clear()  # blocks may wait unread
            return []
        step = 0 if looked_at is None else min(max(0, now_ms - looked_at), LONGEST_LOOK_MS)
        self._quiet = {source: left - step for source, left in self._quiet.items() if left > step}
        sources = judge.sources
        self._watch(sources, step)
        furthest = max((source.to or 0 for source in sources), default=0)
        return [
            decision for source in sources
            if source.id not in self._quiet and (decision := self._about(source, judge, furthest, now_ms)) is not None
        ]  # fmt: skip

    def written(self, decisions: Sequence[Decision]) -> None:
        """Remember that these stand in the log."""
        self._quiet |= {(str(one.body["topic_id"]), int(one.body["partition"])): AGAIN_MS for one in decisions}

    def _watch(self, sources: Sequence[Source], step: int) -> None:
        for source in sources:
            to, stood = self._stood.get(source.id, (source.to, 0))
            self._stood[source.id] = (source.to, stood + step if to == source.to else 0)

    def _about(self, source: Source, judge: Judge, furthest: int, now_ms: int) -> Decision | None:
        body = Body(topic=source.topic, topic_id=source.topic_id, partition=source.partition, why=Why.SILENT)
        following = None if source.to is None else source.to + self._pane_ms
        if source.left_out is not None:
            moved = source.to is not None and source.to >= source.left_out.from_pane
            if source.left_out.why is not Why.SILENT or not moved or not judge.caught_up(source.id):
                return None
            return inclusion(body, from_pane=following, author=AUTHOR, made_at=now_ms)
        behind_ms = furthest - (source.to or 0)
        if not self._after_ms or behind_ms < self._after_ms or self._stood[source.id][1] < self._after_ms:
            return None
        return exclusion(body, from_pane=following, author=AUTHOR, made_at=now_ms)
