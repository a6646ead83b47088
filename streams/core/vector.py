"""How far the blocks of each source reach, and which sources the judge does not wait for.

A source may be left out by a decision in the log: from the pane that the decision names the judge goes on without it. Its blocks
are taken all the same when they come; what they count in panes that are judged belongs to the next pane.
"""

from typing import Any, NamedTuple

from schemas.blocks import Block
from schemas.errors import ContractError
from schemas.exclusion import SourceId, Why, body_of
from schemas.outputs import Decision

_RANK = list(Why)


class LeftOut(NamedTuple):
    """Why a source is not waited for, and from which pane on (0: from the pane after its last)."""

    why: Why
    from_pane: int


class Source(NamedTuple):
    """A source partition and how far its blocks reach; `to` is None before its first block."""

    topic: str
    topic_id: str
    partition: int
    to: int | None
    left_out: LeftOut | None = None

    @property
    def id(self) -> SourceId:
        """Return (topic id, partition)."""
        return self.topic_id, self.partition


class Vector:
    """The panes of all sources of one log; `reached` is the pane that all sources waited for reach, None before the first."""

    def __init__(self, pane_ms: int) -> None:
        self.topics: dict[SourceId, str] = {}
        self.reached: int | None = None
        self._pane_ms = pane_ms
        self._to: dict[SourceId, int] = {}
        self._first: dict[SourceId, int] = {}
        self._left_out: dict[SourceId, LeftOut] = {}

    @property
    def known(self) -> set[SourceId]:
        """Return the sources that have sent a block."""
        return set(self._to)

    @property
    def sources(self) -> list[Source]:
        """Return the sources of the log's sources record, in order; empty before it."""
        return [
            Source(topic, *one, self._to.get(one), self._left_out.get(one))
            for one, topic in sorted(self.topics.items(), key=lambda item: (item[1], item[0][1]))
        ]

    def slowest(self) -> Source | None:
        """Return the source that holds the judge back, None before the sources record."""
        waited = [one for one in self.sources if not self._is_free(one.id)]
        return min(waited, key=lambda source: -1 if source.to is None else source.to, default=None)

    def take(self, block: Block) -> bool:
        """Take the next block of a source; return whether it is new. Raises ContractError where blocks are missing."""
        source = block.source
        before = self._to.get(source)
        if before is not None and block.to_pane <= before:
            return False
        following = 0 if before is None else before + self._pane_ms
        if block.from_pane > following:
            raise ContractError(
                "blocks_lost", f"{block.topic}/{block.partition}: block from {block.from_pane}, next is {following}",
                "the tallies log is incomplete: replay the source topics",
            )  # fmt: skip
        self._to[source] = block.to_pane
        self._first.setdefault(source, block.to_pane)
        return True

    def pane_of(self, block: Block) -> int:
        """Return the pane in which the counts of a block are judged: its own, or the next one where that is judged already."""
        if self.reached is None or block.to_pane > self.reached:
            return block.to_pane
        return self.reached + self._pane_ms

    def begin(self) -> int | None:
        """Return the pane with which judging can begin: the largest first pane; None while a source has none or is behind it."""
        waited = [one for one in self.topics if not self._is_free(one)]
        if not waited or any(one not in self._to for one in waited):
            return None
        begin = max(self._first[one] for one in waited)
        return begin if min(self._to[one] for one in waited) >= begin else None

    def reach(self) -> int:
        """Return the pane that all sources waited for reach, for one whose judging can begin or has begun."""
        if self._left_out:
            least = min((self._to.get(one, 0) for one in self.topics if not self._is_free(one)), default=0)
        else:
            least = min(self._to.values())
        return least if self.reached is None else max(least, self.reached)

    def _is_free(self, source: SourceId) -> bool:
        """Tell whether the judge goes on without this source now."""
        left_out = self._left_out.get(source)
        if left_out is None:
            return False
        to = self._to.get(source)
        return to is None or to + self._pane_ms >= left_out.from_pane

    # --- decisions -------------------------------------------------------------------------------------------------

    def exclude(self, decision: Decision) -> bool:
        """Leave a source out; return whether that changes anything.

        It does not for an unknown source, for one that has already passed the pane named, for the last one that is waited for.
        """
        body, from_pane = body_of(decision), decision.from_pane or 0
        source, to = body.source, self._to.get(body.source)
        before = self._left_out.get(source)
        if source not in self.topics or (from_pane and to is not None and to >= from_pane):
            return False
        if before is None and len(self._left_out) + 1 >= len(self.topics):
            return False
        if before is not None and _RANK.index(body.why) <= _RANK.index(before.why):
            return False
        self._left_out[source] = LeftOut(body.why, from_pane)
        return True

    def include(self, decision: Decision) -> bool:
        """Wait for a source again; return whether that changes anything.

        An operator's word for a source that is behind makes it a silent one: it is waited for once it has caught up, so that
        nobody else stands still meanwhile.
        """
        body = body_of(decision)
        before = self._left_out.get(body.source)
        if before is None or body.why not in {Why.OPERATOR, before.why}:
            return False
        if body.why is Why.SILENT or self.caught_up(body.source):
            del self._left_out[body.source]
            return True
        self._left_out[body.source] = LeftOut(Why.SILENT, before.from_pane)
        return before.why is not Why.SILENT

    def caught_up(self, source: SourceId) -> bool:
        """Tell whether a source is at most one pane behind those that are waited for."""
        return self.reached is None or self._to.get(source, 0) >= self.reached - self._pane_ms

    # --- state -----------------------------------------------------------------------------------------------------

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "sources": [[*source, topic] for source, topic in sorted(self.topics.items())],
            "vector": [[*source, self._first[source], to] for source, to in sorted(self._to.items())],
            "left_out": [[*source, *why] for source, why in sorted(self._left_out.items())],
            "reached": self.reached,
        }

    def thaw(self, state: dict[str, Any]) -> None:
        """Take the state of `freeze`."""
        self.topics = {(topic_id, partition): topic for topic_id, partition, topic in state["sources"]}
        for topic_id, partition, first, to in state["vector"]:
            self._first[topic_id, partition], self._to[topic_id, partition] = first, to
        for topic_id, partition, why, from_pane in state.get(
            "left_out", ()
        ):  # states of earlier versions leave nobody out
            self._left_out[topic_id, partition] = LeftOut(Why(why), from_pane)
        self.reached = state["reached"]
