"""The judge with what its shell remembers beside it: how far the log is read, its sources, the newest readings. No Kafka."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Self

import msgspec

from schemas.blocks import Block
from schemas.catalogue import Catalogue
from schemas.codec import Kind, encode
from schemas.declared import Catalogues
from schemas.errors import ContractError, UndecodableError
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output, Reading, output_to_record
from schemas.settings import Settings
from schemas.topics import ALARMS, READINGS
from streams.core.judge import Judge
from streams.core.vector import Vector
from streams.snapshots import Snapshot
from streams.tallies_log import ANOTHER, check_sources, entry_of
from streams.transactions import Position, Record

log = logging.getLogger(__name__)

GaugeKey = tuple[str, str, str, str]
"""Metric, window, dimension, key."""


class _State(msgspec.Struct, frozen=True, kw_only=True):
    judge: bytes
    sources: dict[str, Any] | None
    newest: list[Reading]


class Judged:
    """The judge after the records of the tallies log (topic id `log_id`) before `next_offset`."""

    def __init__(self, settings: Settings, catalogue: Catalogue, ours: Mapping[str, Any], log_id: str) -> None:
        """`ours`: what the decision `sources` has to say for this process to go on (see tallies_log)."""
        self.ours = ours
        self.log_id = log_id
        self.judge = Judge(catalogue, pane_ms=settings.pane_ms, provisional_step_ms=settings.provisional_step_ms)
        self.next_offset = 0
        self.sources: dict[str, Any] | None = None
        self.newest: dict[GaugeKey, Reading] = {}
        self.undecodable = 0
        self.blocks: Counter[str] = Counter()
        """Blocks fed by this process, by topic."""

    @classmethod
    def restored(
        cls, snapshot: Snapshot, settings: Settings, catalogues: Catalogues, ours: Mapping[str, Any], log_id: str
    ) -> Self:
        """Return the judge of a snapshot. Raises ContractError if it belongs to another log or to no declared catalogue."""
        if snapshot.tallies_topic_id != log_id:
            raise ContractError(
                "foreign_snapshot",
                f"the stored state belongs to the tallies log {snapshot.tallies_topic_id}, the log that stands is {log_id}",
                f"the log was created anew: {ANOTHER}",
            )
        catalogue = catalogues.by_hash(snapshot.catalogue_hash)
        if catalogue is None:
            raise ContractError(
                "unknown_catalogue",
                f"the stored state was counted with catalogue {snapshot.catalogue_hash}, which nobody has declared",
                f"the topic of catalogues has lost its records: restore it, or {ANOTHER}",
            )
        state = msgspec.msgpack.decode(snapshot.state, type=_State)
        if state.sources is not None:
            check_sources(state.sources, ours)
        out = cls(settings, catalogue, ours, log_id)
        out.judge = Judge.unpack(
            state.judge, catalogue, pane_ms=settings.pane_ms, provisional_step_ms=settings.provisional_step_ms
        )
        out.next_offset = snapshot.next_offset
        out.sources = state.sources
        out._remember(state.newest)
        return out

    def apply(self, offset: int, value: bytes | None) -> list[Output]:
        """Feed the record at `offset`; return what the judge says to it. Raises ContractError for what must stop a judge.

        A record that is none of ours changes nothing: were it a block, the next block of its source would not fit.
        """
        self.next_offset = offset + 1
        try:
            entry = entry_of(value)
        except UndecodableError as error:
            log.error("tallies log, offset %d: %s", offset, error)
            self.undecodable += 1
            return []
        if isinstance(entry, Decision) and entry.kind is DecisionKind.SOURCES:
            check_sources(entry.body, self.ours)
            self.sources = entry.body
        if isinstance(entry, Block):
            self.blocks[entry.topic] += 1
        outputs = self.judge.feed(entry)
        self._remember(one for one in outputs if isinstance(one, Reading))
        return outputs

    def position(self, snapshot_id: str = "") -> Position:
        """Return how far the judge has come."""
        return Position(
            offset=self.next_offset, pane=self.judge.pane, seq=self.judge.seq, log=self.log_id, snapshot=snapshot_id
        )

    def snapshot(self) -> Snapshot:
        """Return the whole state."""
        state = _State(judge=self.judge.pack(), sources=self.sources, newest=list(self.newest.values()))
        return Snapshot(
            next_offset=self.next_offset,
            pane=-1 if self.judge.pane is None else self.judge.pane,
            seq=self.judge.seq,
            tallies_topic_id=self.log_id,
            catalogue_hash=self.judge.engine.catalogue.hash,
            state=msgspec.msgpack.encode(state),
        )

    def _remember(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            at = (reading.metric, reading.window, reading.dimension, reading.key)
            held = self.newest.get(at)
            if held is None or (reading.window_end, reading.revision) >= (held.window_end, held.revision):
                self.newest[at] = reading


def vector_of(snapshot: Snapshot, pane_ms: int) -> Vector:
    """Return the sources as a snapshot knows them."""
    out = Vector(pane_ms)
    out.thaw(msgspec.msgpack.decode(msgspec.msgpack.decode(snapshot.state, type=_State).judge))
    return out


def record_of(output: Output, prefix: str, headers: tuple[tuple[str, bytes], ...]) -> Record:
    """Return an output as the record of its topic."""
    if isinstance(output, AlarmTransition):
        value = encode(Kind.TRANSITION, output_to_record(output))
        return Record(prefix + ALARMS.name, output.alarm_id.encode(), value, headers)
    key = f"{output.metric}|{output.dimension}|{output.key}".encode()
    return Record(prefix + READINGS.name, key, encode(Kind.READING, output_to_record(output)), headers)
