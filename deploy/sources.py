"""Which sources the judge waits for, as its log says it, and what operators decide about them."""

import asyncio
import re
import time
from typing import NamedTuple

from aiokafka import TopicPartition

from deploy import alarms
from deploy.alarms import By
from deploy.positions import Positions
from schemas.blocks import Block
from schemas.clock import system_clock
from schemas.declared import SEEDS
from schemas.errors import ContractError, UnavailableError, UndecodableError, UsageError
from schemas.exclusion import Body, Why, exclusion, inclusion
from schemas.outputs import Decision, DecisionKind
from schemas.settings import Settings
from schemas.topics import GROUP_JUDGE, STATE, TALLIES
from streams.core.vector import Source, Vector
from streams.judged import vector_of
from streams.ranges import open_partition
from streams.snapshots import Shelf, Snapshot
from streams.tallies_log import entry_of

POLL_S = 0.1
APPLY_TIMEOUT_S = 30.0


class Standing(NamedTuple):
    """A source, and how far its blocks are behind those of the furthest one (ms; None before its first block)."""

    source: Source
    behind_ms: int | None

    @property
    def name(self) -> str:
        """Return TOPIC-PARTITION."""
        return f"{self.source.topic}-{self.source.partition}"


def standing(settings: Settings) -> list[Standing]:
    """Return all sources as the log stands now. Raises UsageError before a judge has begun it, UnavailableError."""
    return _standing(asyncio.run(_read(settings)))


def _standing(vector: Vector) -> list[Standing]:
    sources = vector.sources
    if not sources:
        raise UsageError(
            "no_sources_yet", "no judge has begun the log, so it names no sources", "start `barometer up` or a judge"
        )
    furthest = max((one.to or 0 for one in sources), default=0)
    return [Standing(one, None if one.to is None else furthest - one.to) for one in sources]


def exclude(settings: Settings, name: str, by: By, *, timeout_s: float = APPLY_TIMEOUT_S) -> Standing:
    """Let the judge go on without a source, now; return how it stands then. Raises UsageError where that changes nothing."""
    found = chosen(standing(settings), name)
    left_out = found.source.left_out
    if left_out is not None and left_out.why is Why.OPERATOR:
        raise UsageError("left_out_already", f"{found.name} is left out by an operator already", "see `sources list`")
    _decide(settings, DecisionKind.EXCLUDE, found, by, timeout_s)
    after = chosen(standing(settings), name)
    if after.source.left_out is None:
        raise UsageError("last_source", f"{name} is the last source that is waited for", "include another one first")
    return after


def include(settings: Settings, name: str, by: By, *, timeout_s: float = APPLY_TIMEOUT_S) -> Standing:
    """Let the judge wait for a source again, once it has caught up, and resume it where stage 1 has paused it."""
    found = chosen(standing(settings), name)
    if found.source.left_out is None:
        raise UsageError("not_left_out", f"{found.name} is not left out", "see `barometer sources list`")
    _decide(settings, DecisionKind.INCLUDE, found, by, timeout_s)
    return chosen(standing(settings), name)


def chosen(sources: list[Standing], name: str) -> Standing:
    """Return the source of a name such as `feedback.card.v1-2` or `card-2`. Raises UsageError."""
    short = {re.sub(r"^feedback\.|\.v\d+(?=-)", "", one.name): one for one in sources}
    found = {one.name: one for one in sources}.get(name) or short.get(name)
    if found is None:
        raise UsageError("no_such_source", f"{name!r} is none of {', '.join(sorted(short))}", "write TOPIC-PARTITION")
    return found


def _decide(settings: Settings, kind: DecisionKind, found: Standing, by: By, timeout_s: float) -> None:
    source = found.source
    body = Body(topic=source.topic, topic_id=source.topic_id, partition=source.partition, why=Why.OPERATOR)
    make = exclusion if kind is DecisionKind.EXCLUDE else inclusion
    decision = make(body, from_pane=None, author=by.author, note=by.note, made_at=system_clock())
    offset, deadline = alarms.write(settings, decision), time.monotonic() + timeout_s
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        while positions.of(GROUP_JUDGE)[0].offset <= offset:
            if time.monotonic() > deadline:
                raise UnavailableError(
                    alarms.NOT_YET, f"the decision stands in the log at offset {offset}, the judge has not come to it",
                    "it is in force when the judge comes to it: see `barometer doctor`",
                )  # fmt: skip
            time.sleep(POLL_S)


async def _read(settings: Settings) -> Vector:
    """Return the sources after the newest snapshot and the log behind it: what the judge knows at the end of its log."""
    prefix = settings.topic_prefix
    shelf, newest = Shelf(), None
    async with open_partition(settings.kafka_bootstrap, TopicPartition(prefix + STATE.name, 0)) as reader:
        async for records in reader.read(reader.first, reader.end):
            for record in records:
                shelf.put(record.key, record.value)
    held = shelf.newest()
    newest = None if held is None else held[0]
    vector = Vector(settings.pane_ms) if newest is None else vector_of(newest, settings.pane_ms)
    async with open_partition(settings.kafka_bootstrap, TopicPartition(prefix + TALLIES.name, 0)) as reader:
        start = _start(newest, reader.first)
        async for records in reader.read(start, reader.end):
            for record in records:
                try:
                    entry = entry_of(record.value)
                except UndecodableError:
                    continue
                _take(vector, entry)
    return vector


def _start(newest: Snapshot | None, first: int) -> int:
    start = 0 if newest is None else newest.next_offset
    if start < first:
        raise ContractError(
            "log_lost",
            f"the log begins at {first}, the newest state reaches up to {start}",
            "see deploy/docs/sources.md",
        )
    return start


def _take(vector: Vector, entry: Block | Decision) -> None:
    if isinstance(entry, Block):
        if entry.topic in SEEDS:
            return
        vector.take(entry)
    elif entry.kind is DecisionKind.SOURCES:
        vector.topics = {(topic_id, partition): topic for topic, topic_id, partition in entry.body["sources"]}
    elif entry.kind is DecisionKind.EXCLUDE:
        vector.exclude(entry)
    elif entry.kind is DecisionKind.INCLUDE:
        vector.include(entry)
    if vector.reached is not None or vector.begin() is not None:
        vector.reached = vector.reach()
