"""The judge: the tallies log in, numbered outputs out. Everything it does is a function of the log's order.

A pane is judged when the blocks of all sources that are waited for reach it (see vector.py). Of each source it keeps how far its
blocks reached: what is at or below is a block published again, and skipped; what begins beyond the next pane means lost
blocks, and stops.
"""

from collections.abc import Callable, Collection
from heapq import heappop, heappush
from typing import Any, NamedTuple, Self

import msgspec

from schemas.blocks import EMPTY, Block, Cells, Series, unpack
from schemas.catalogue import Catalogue
from schemas.declared import LESSON, SEEDS, declared
from schemas.errors import ContractError
from schemas.exclusion import SourceId
from schemas.outputs import Decision, DecisionKind, Output
from streams.core.engine import Engine
from streams.core.grid import up
from streams.core.merging import merged, parted
from streams.core.vector import Source, Vector
from streams.core.watching.watcher import By


class Awaited(NamedTuple):
    """What the new series of a catalogue wait for: their past, and what came since the change, which waits with them."""

    identities: set[str]
    cold: set[tuple[str, str]]
    """(metric, dimension) of series that go on and have a new listener."""
    cells: list[Cells]
    lessons: list[Cells]


class Judge:
    """One judge of one tallies partition; `pane` is the last pane judged, None before the first."""

    def __init__(self, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int, armed: bool = False) -> None:
        """`armed`: whether rules are armed without a decision that says so (see Engine)."""
        self.engine = Engine(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, armed=armed)
        self.seq = 0
        """The number of the last output."""
        self.skipped = 0
        """Blocks that were published again."""
        self._pane_ms = pane_ms
        self._declared = {catalogue.hash}
        """Hashes of the catalogues that blocks may be counted with."""
        self._awaited: dict[str, Awaited] = {}
        """Catalogue hash -> what its new series wait for."""
        self._vector = Vector(pane_ms)
        self._cells: dict[int, list[Cells]] = {}
        self._panes: list[int] = []
        self._decisions: list[tuple[int, int, Decision]] = []
        self._decided = 0

    @property
    def pane(self) -> int | None:
        """Return the last pane judged."""
        return self.engine.pane

    @property
    def sources(self) -> list[Source]:
        """Return the sources of the log's sources record, in order; empty before it."""
        return self._vector.sources

    def slowest(self) -> Source | None:
        """Return the source that holds the judge back, None before the sources record."""
        return self._vector.slowest()

    def caught_up(self, source: SourceId) -> bool:
        """Tell whether a source that is left out could be waited for again without holding the others back."""
        return self._vector.caught_up(source)

    def feed(self, record: Block | Decision) -> list[Output]:
        """Take the next record of the log and return what it makes due. Raises ContractError where the log is not ours: stop."""
        out = self._block(record) if isinstance(record, Block) else self._decision(record)
        for output in out:
            self.seq += 1
            msgspec.structs.force_setattr(output, "seq", self.seq)
        return out

    def _block(self, block: Block) -> list[Output]:
        self._check(block)
        if block.topic in SEEDS:
            awaited = self._awaited.get(block.catalogue_hash)
            if awaited is not None:
                (awaited.lessons if block.topic == LESSON else awaited.cells).append(block.cells)
            return []
        if not self._vector.take(block):
            self.skipped += 1
            return []
        if len(block.cells):
            self._hold(self._vector.pane_of(block), block.cells)
        return self._judge()

    def _hold(self, pane: int, cells: Cells) -> None:
        held = self._cells.get(pane)
        if held is None:
            held = self._cells[pane] = []
            heappush(self._panes, pane)
        held.append(cells)

    def _check(self, block: Block) -> None:
        self._same("pane length", block.pane_ms, self._pane_ms)
        if block.catalogue_hash not in self._declared:
            self._same("catalogue", block.catalogue_hash, self.engine.catalogue.hash)
        if block.to_pane % self._pane_ms:
            raise ContractError(
                "bad_pane", f"{block.topic}/{block.partition}: {block.to_pane} is no pane of {self._pane_ms} ms"
            )
        topics = self._vector.topics
        if topics and block.topic not in SEEDS and block.source not in topics:
            raise ContractError(
                "unknown_source", f"{block.topic}/{block.partition} with topic id {block.topic_id} is no source here",
                "a topic was re-created or has grown: start a new installation, or restore the topic",
            )  # fmt: skip

    def _same(self, what: str, theirs: object, ours: object) -> None:
        if theirs != ours:
            raise ContractError(
                "other_definition", f"the log has {what} {theirs}, this process {ours}",
                "run with the catalogue and settings that the log was begun with, or begin a new installation",
            )  # fmt: skip

    def _decision(self, decision: Decision) -> list[Output]:
        if decision.kind is DecisionKind.SOURCES:
            return self._begin(decision)
        if decision.kind in {DecisionKind.EXCLUDE, DecisionKind.INCLUDE}:
            return self._wait_for(decision)
        if decision.kind is DecisionKind.CATALOGUE:
            self._declared.add(declared(decision).catalogue.hash)
        self._decided += 1
        from_pane = up(decision.from_pane or 0, self._pane_ms)
        heappush(self._decisions, (from_pane, self._decided, decision))
        return [] if self.pane is None else self._decide(self.pane + self._pane_ms)

    def _begin(self, decision: Decision) -> list[Output]:
        self._same("pane length", decision.body["pane_ms"], self._pane_ms)
        if decision.body["catalogue_hash"] not in self._declared:
            self._same("catalogue", decision.body["catalogue_hash"], self.engine.catalogue.hash)
        topics = {(topic_id, partition): topic for topic, topic_id, partition in decision.body["sources"]}
        if self._vector.topics:
            if topics != self._vector.topics:
                raise ContractError(
                    "other_sources", "the log holds two different sources records", "begin a new installation"
                )
            return []
        unknown = sorted(self._vector.known - topics.keys())
        if unknown or not topics:
            raise ContractError("unknown_source", f"blocks of {unknown} came before a sources record without them")
        self._vector.topics = topics
        return self._judge()

    def _wait_for(self, decision: Decision) -> list[Output]:
        """Leave a source out, or wait for it again, from here in the log on."""
        vector = self._vector
        if not (vector.exclude if decision.kind is DecisionKind.EXCLUDE else vector.include)(decision):
            self.engine.ignore(decision)
            return []
        return self._judge()

    def _judge(self) -> list[Output]:
        """Judge every pane that is reached, each once; the first is the largest first pane of a source."""
        out: list[Output] = []
        before = self._vector.reached
        if before is None:
            begin = self._vector.begin()
            if begin is None:
                return []
            out += self._advance(begin, self._take(begin))
        reached = self._vector.reach()
        if reached == before:
            return out
        self._vector.reached = reached
        while self._panes and self._panes[0] <= reached:
            pane = self._panes[0]
            out += self._advance(pane, self._take(pane))
        if self.pane is not None and self.pane < reached:
            out += self._advance(reached, EMPTY)
        return out + self._decide(reached + self._pane_ms)

    def _take(self, pane: int) -> Cells:
        """Remove and return the sum of the cells up to `pane`."""
        parts: list[Cells] = []
        while self._panes and self._panes[0] <= pane:
            parts += self._cells.pop(heappop(self._panes))
        return merged(parts)

    def _advance(self, pane: int, cells: Cells) -> list[Output]:
        """Judge up to `pane` with its cells, each decision in its place."""
        out: list[Output] = []
        while self._decisions and self._decisions[0][0] <= pane:
            before = self._decisions[0][0] - self._pane_ms
            if self.pane is not None and self.pane < before:
                out += self.engine.advance(before, EMPTY)
            due = pane if self.pane is None else before + self._pane_ms
            out += self._decide(due)
            if self._panes and self._panes[0] == due < pane:  # what a decision has released
                out += self.engine.advance(due, self._admitted(self._take(due)))
        if self._panes and self._panes[0] == pane:
            cells = merged([cells, self._take(pane)])
        return out + self.engine.advance(pane, self._admitted(cells))

    def _admitted(self, cells: Cells) -> Cells:
        """Return the cells of the series that go on; those of series that wait for their past wait with it, others end."""
        if len(self._declared) == 1:
            return cells
        for awaited in self._awaited.values():
            held, cells = parted(cells, _of(awaited.identities))
            if len(held):
                awaited.cells.append(held)
        return parted(cells, lambda one: self.engine.knows(one.metric))[0]

    def _decide(self, pane: int) -> list[Output]:
        """Apply the decisions that are due before `pane` is judged."""
        out: list[Output] = []
        while self._decisions and self._decisions[0][0] <= pane:
            decision = heappop(self._decisions)[2]
            if decision.kind is DecisionKind.CATALOGUE:
                out += self._change(decision, pane)
            elif decision.kind is DecisionKind.SEEDED:
                self._release(str(decision.body["catalogue_hash"]), pane)
            else:
                out += self.engine.decide(decision, before=pane)
        return out

    def _change(self, decision: Decision, pane: int) -> list[Output]:
        """Go on with another catalogue; its new series wait for their past if it says so."""
        catalogue = declared(decision).catalogue
        before = self.engine
        self.engine, ended, cold = before.changed(catalogue, pane, By(decision.author, decision.note))
        if decision.body["seed"]:
            new = {identity for identity in catalogue.by_identity() if not before.knows(identity)}
            self._awaited[catalogue.hash] = Awaited(new, set(cold), [], [])
        return list(ended)

    def _release(self, name: str, pane: int) -> None:
        """Let the series of a catalogue begin with `pane`: their past and what has come since is complete."""
        awaited = self._awaited.pop(name, None)
        if awaited is None:
            return
        self.engine.teach(parted(merged(awaited.lessons), lambda one: one[:2] in awaited.cold)[0])
        cells = merged(awaited.cells)
        if len(cells):
            self._hold(pane, cells)

    def pack(self) -> bytes:
        """Return the whole state as bytes: what `unpack` made of them goes on as this judge would have."""
        return msgspec.msgpack.encode(
            {
                "engine": self.engine.freeze(),
                "seq": self.seq,
                "skipped": self.skipped,
                **self._vector.freeze(),
                "cells": [[pane, _plain(parts)] for pane, parts in sorted(self._cells.items())],
                "declared": sorted(self._declared),
                "awaited": [
                    [name, sorted(one.identities), sorted(one.cold), _plain(one.cells), _plain(one.lessons)]
                    for name, one in sorted(self._awaited.items())
                ],
                "decisions": sorted(self._decisions, key=lambda waiting: waiting[:2]),
                "decided": self._decided,
            }
        )

    @classmethod
    def unpack(cls, packed: bytes, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int) -> Self:
        """Return the judge that `pack` wrote. Raises ContractError for that of another catalogue or pane length."""
        state: dict[str, Any] = msgspec.msgpack.decode(packed)
        out = cls(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms)
        out.engine.thaw(state["engine"])
        out.seq, out.skipped = state["seq"], state["skipped"]
        out._vector.thaw(state)
        for pane, parts in state["cells"]:
            out._cells[pane] = _cells(parts)
        out._declared = set(state["declared"])
        for name, identities, cold, cells, lessons in state["awaited"]:
            at = {(metric, dimension) for metric, dimension in cold}
            out._awaited[name] = Awaited(set(identities), at, _cells(cells), _cells(lessons))
        out._panes = sorted(out._cells)
        waiting = msgspec.convert(state["decisions"], list[tuple[int, int, Decision]])
        out._decisions, out._decided = waiting, state["decided"]
        return out


def _of(identities: Collection[str]) -> Callable[[Series], bool]:
    return lambda one: one.metric in identities


def _plain(parts: list[Cells]) -> list[tuple[list[Series], int, bytes]]:
    return [(part.series, len(part), part.pack()) for part in parts]


def _cells(plain: list[Any]) -> list[Cells]:
    return [unpack([Series(*one) for one in series], rows, raw) for series, rows, raw in plain]
