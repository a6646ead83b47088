"""Panes, repeats and blocks of one source partition: a pure function of its log.

A pane closes when a later record's arrived time reaches its end; a stretch without records closes as one empty block, but for
panes in which a message became late (streams/core/recall). Blocks that are made again, from whatever state a block has left
behind, are equal byte for byte. Another catalogue goes on from a block: then that pane begins a block, records or not.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from schemas.arrival import SENT_SLACK_MS
from schemas.blocks import Block, Cells
from schemas.catalogue import Catalogue
from schemas.errors import ContractError
from schemas.repeats import RepeatFilter
from schemas.rules import RuleKind
from streams.core.canonical import Ints
from streams.core.columns import Columns
from streams.core.counting import count_events
from streams.core.memory import Memory
from streams.core.merging import merged

NO_SENT = -1
DISPUTE = "dispute"
LEGAL_THREAT, MARKED = "legal_threat", "true"
"""The attribute, and its value, by which the edge marks a legal threat."""
_FOLD_ROWS = 200_000


class RecordKind(IntEnum):
    EVENT = 0
    TICK = 1
    UNDECODABLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Consecutive records of a partition as columns; `sent_ms` is NO_SENT where a record does not say when it was sent.

    `frame` (see counting.FRAME_SCHEMA) and `disputes` have a row for each record of kind EVENT.
    """

    offsets: Ints
    append_ms: Ints
    sent_ms: Ints
    kinds: NDArray[np.int8]
    frame: pl.DataFrame
    disputes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets)

    def parted(self, at: int) -> "tuple[Run, Run]":
        """Return the first `at` records, and the others."""
        row = int((self.kinds[:at] == RecordKind.EVENT).sum())
        return self._slice(slice(at), slice(row)), self._slice(slice(at, None), slice(row, None))

    def _slice(self, records: slice, events: slice) -> "Run":
        return Run(
            offsets=self.offsets[records], append_ms=self.append_ms[records], sent_ms=self.sent_ms[records],
            kinds=self.kinds[records], frame=self.frame[events], disputes=self.disputes[events],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TallyState:
    """What a block leaves behind: the last pane closed (0: none), the arrived time so far, the offset to read on from."""

    to: int = 0
    arrived: int = 0
    next_offset: int = 0


class Dispute(NamedTuple):
    """A dispute in the log; `pane` is the end of the pane in which it arrived."""

    event_id: str
    touchpoint: str | None
    occurred_at: int
    pane: int


class LegalThreat(Dispute):
    """An event in the log that the edge marked as a legal threat, of whatever kind it is."""

    __slots__ = ()


def arrived_of(run: Run, previous_ms: int) -> Ints:
    """Return the arrived times of a run that follows records which arrived until `previous_ms`; see schemas.arrival."""
    bounded = np.where(run.sent_ms == NO_SENT, run.append_ms, np.minimum(run.append_ms, run.sent_ms + SENT_SLACK_MS))
    arrived: Ints = np.maximum(np.maximum.accumulate(bounded), previous_ms)
    return arrived


def panes_of(arrived: Ints, pane_ms: int) -> Ints:
    """Return the ends of the panes that hold these times."""
    return (arrived // pane_ms + 1) * pane_ms


def disputes_of(
    run: Run, panes: Ints, first: NDArray[np.bool_] | None = None, *, threats: bool = False
) -> list[Dispute]:
    """Return the disputes of a run, and with `threats` the legal threats after them; no probes, no retractions.

    Where `first` (by event) is given, those that are no repeats.
    """
    out = _found(run, panes, run.disputes if first is None else run.disputes & first, Dispute)
    if threats:
        marked = Columns(run.frame).attribute(LEGAL_THREAT).among((MARKED,))
        out += _found(run, panes, marked if first is None else marked & first, LegalThreat)
    return out


def _found(run: Run, panes: Ints, chosen: NDArray[np.bool_], kind: type[Dispute]) -> list[Dispute]:
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return []
    at = panes[run.kinds == RecordKind.EVENT][rows].tolist()
    probe = pl.col("traits").struct.field("probe").alias("probe")
    named = run.frame[rows].select("event_id", "touchpoint", "occurred_at", probe, "retract")
    return [
        kind(one, touchpoint, occurred_at, pane)
        for (one, touchpoint, occurred_at, probe, retract), pane in zip(named.iter_rows(), at, strict=True)
        if not probe and not retract
    ]


class PartitionTally:
    """Turn the records of one partition into blocks; feed it every record from `state.next_offset` on, in order.

    `live`: the lane of the topic; `repeat_filter`: None where the topic has none; `memory`: one that knows what came before
    `state`, in the place of an empty one. `state` moves with each block.
    """

    def __init__(
        self,
        topic: str,
        topic_id: str,
        partition: int,
        catalogue: Catalogue,
        pane_ms: int,
        live: bool,  # noqa: FBT001 - one of two lanes
        repeat_filter: RepeatFilter | None,
        state: TallyState,
        memory: Memory | None = None,
    ) -> None:
        self.topic, self.topic_id, self.partition = topic, topic_id, partition
        self.state = state
        self.arrived = state.arrived
        self.pane: int | None = None
        """End of the pane that is open; None before the first record."""
        self.disputes: list[Dispute] = []
        """Disputes and legal threats found, the newest last; whoever forwards them clears the list."""
        self.left_out = 0
        """Answers among the records fed that `one_per` has left out."""
        self._threats = any(rule.kind is RuleKind.LEGAL_THREAT for rule in catalogue.alarm)
        self.catalogue, self._catalogue_hash = catalogue, catalogue.hash
        self._pane_ms, self._live = pane_ms, live
        self._remembered = 0
        self._memory = memory or Memory(catalogue, pane_ms, topic, repeat_filter, live=live)
        self.reach_ms = 0 if memory is not None else self._memory.reach_ms
        """How much arrived time before the next record is to be remembered before anything is fed; 0 where nothing is."""
        self._begin()

    def _begin(self) -> None:
        self._frames: list[pl.DataFrame] = []
        self._rows = 0
        self._parts: list[Cells] = []
        self._events = self._repeats = self._ticks = self._undecodable = 0

    @property
    def next_pane(self) -> int:
        """Return the first pane of which nothing is counted yet: the first that another catalogue can count."""
        return (self.pane or self.state.to) + self._pane_ms

    def remember(self, run: Run) -> None:
        """Take records before `state.next_offset` into memory, in order, from `reach_ms` before on; before anything is fed."""
        if not len(run):
            return
        arrived = arrived_of(run, self._remembered)
        self._remembered = int(arrived[-1])
        self._memory.take(run.frame, arrived[run.kinds == RecordKind.EVENT])

    def feed(self, run: Run) -> list[Block]:
        """Take the next records; return the blocks that they close, oldest first."""
        if not len(run):
            return []
        self._memory.begin(self.state.to)
        arrived = arrived_of(run, self.arrived)
        panes = panes_of(arrived, self._pane_ms)
        is_event = run.kinds == RecordKind.EVENT
        before = self._memory.left_out
        first, frame = self._memory.take(run.frame, arrived[is_event])
        self.left_out += self._memory.left_out - before
        if self._live:
            self.disputes += disputes_of(run, panes, first, threats=self._threats)
        rows = np.concatenate(([0], np.cumsum(is_event)))
        blocks: list[Block] = []
        starts = np.flatnonzero(np.diff(panes, prepend=-1))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(run)], strict=True):
            blocks += self._reach(int(panes[start]), int(run.offsets[start]))
            self._take(run.kinds[start:end], frame[int(rows[start]) : int(rows[end])], first[rows[start] : rows[end]])
            self.arrived = int(arrived[end - 1])
        return blocks

    def feed_before(self, run: Run, pane: int) -> tuple[list[Block], Run | None]:
        """Take the records of panes before `pane`, which is `next_pane` or later; return the blocks, and the other records.

        If there are any, everything before `pane` is closed, and only a successor may take them.
        """
        at = int(np.searchsorted(panes_of(arrived_of(run, self.arrived), self._pane_ms), pane))
        if at == len(run):
            return self.feed(run), None
        head, rest = run.parted(at)
        blocks = self.feed(head)
        self._memory.begin(self.state.to)
        return blocks + self._reach(pane, int(rest.offsets[0])), rest

    def successor(self, catalogue: Catalogue) -> "PartitionTally":
        """Return who goes on from `state`, at which all that was fed is closed, with another catalogue.

        What this tally remembers goes over to it where the catalogues want to know the same, so that its `reach_ms` is 0;
        otherwise it is to be told, as after a restart.
        """
        window, memory = self._memory.window_ms, self._memory.kept(catalogue)
        return PartitionTally(
            self.topic, self.topic_id, self.partition, catalogue, self._pane_ms, self._live,
            None if window is None or memory is not None else RepeatFilter(window), self.state, memory,
        )  # fmt: skip

    def _take(self, kinds: NDArray[np.int8], frame: pl.DataFrame, kept: NDArray[np.bool_]) -> None:
        self._ticks += int((kinds == RecordKind.TICK).sum())
        self._undecodable += int((kinds == RecordKind.UNDECODABLE).sum())
        if not len(kept):
            return
        fresh = int(kept.sum())
        self._events += fresh
        self._repeats += len(kept) - fresh
        if fresh < len(kept):
            frame = frame.filter(pl.Series(kept))
        self._frames.append(frame)
        self._rows += fresh
        if self._rows > _FOLD_ROWS:
            self._fold()

    def _fold(self) -> None:
        """Count what is held as rows, so that a pane of any size needs little memory."""
        if self._rows:
            frame = pl.concat(self._frames) if len(self._frames) > 1 else self._frames[0]
            self._parts.append(count_events(frame, self.catalogue, live=self._live))
        self._frames, self._rows = [], 0

    def _reach(self, pane: int, offset: int) -> list[Block]:
        """Close what lies before `pane`, in which the record at `offset` arrived."""
        if pane == self.pane:
            return []
        if pane <= (self.pane or self.state.to):
            raise ContractError(
                "arrived_went_back",
                f"{self.topic}-{self.partition} offset {offset}: pane {pane} is closed already",
                "the committed metadata does not belong to this log",
            )
        blocks = []
        if self.pane is not None:
            self._fold()
            blocks.append(self._close(self.pane, self.pane, offset))
        step = self._pane_ms
        if self.state.to == 0:
            blocks.append(self._close(0, pane - step, offset))
        else:
            blocks += self._pass(pane, offset)
        self.pane = pane
        return blocks

    def _pass(self, pane: int, offset: int) -> list[Block]:
        """Close the quiet panes before `pane` in as few blocks as may be: a pane that has cells of its own is one."""
        blocks, step = [], self._pane_ms
        while (due := self._memory.next_due()) is not None and due < pane:
            if due > self.state.to + step:
                blocks.append(self._close(self.state.to + step, due - step, offset))
            blocks.append(self._close(due, due, offset))
        if pane > self.state.to + step:
            blocks.append(self._close(self.state.to + step, pane - step, offset))
        return blocks

    def _close(self, from_pane: int, to_pane: int, next_offset: int) -> Block:
        self._parts.append(self._memory.close(to_pane))
        block = Block(
            topic=self.topic, topic_id=self.topic_id, partition=self.partition,
            from_pane=from_pane, to_pane=to_pane, pane_ms=self._pane_ms,
            arrived_ms=self.arrived, next_offset=next_offset, catalogue_hash=self._catalogue_hash,
            cells=merged(self._parts),
            events=self._events, repeats=self._repeats, ticks=self._ticks, undecodable=self._undecodable,
        )  # fmt: skip
        self.state = TallyState(to=to_pane, arrived=self.arrived, next_offset=next_offset)
        self._begin()
        return block
