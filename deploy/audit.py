"""`barometer audit`: does every offset that the log gave out have its row, or a reason for none; and which ids are missing."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from deploy import wiring
from deploy.positions import SINK_TOPICS, Positions
from schemas.errors import UsageError
from schemas.ledger import Line
from schemas.settings import Settings
from schemas.topics import GROUP_GATE, SOURCES, TOPICS, sink_group
from schemas.windows import HOUR_MS
from sinks.clickhouse import PASSING, unavailable
from sinks.gate_lines import line_of
from sinks.ledger_balance import TABLE_OF, Stretch, balance
from sinks.ledger_edge import Acked, acknowledged
from sinks.ledger_lines import Open, ended
from sinks.ledger_search import Found, search
from sinks.positions import describe, open_reader
from sinks.rows import Place

LONGEST_HOURS = 144
"""Rejected rows are kept for 7 days; without them the balance of an hour cannot be drawn."""
Tell = Callable[[str], None]
TELL_EVERY = 100


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch with what does not hold, and by name what is behind it where the log was read again."""

    stretch: Stretch
    faults: list[str]
    found: Found | None = None

    @property
    def holds(self) -> bool:
        """Return whether every offset is accounted for."""
        return not self.faults


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit has seen. `edge`: what gateways and imports say was acknowledged; `conflicts`: ids with more than one body."""

    since_ms: int
    entries: list[Entry]
    edge: list[Acked]
    conflicts: int
    waiting: list[str]
    """Partitions whose sink has not come to the hour under way."""

    @property
    def holds(self) -> bool:
        """Return whether nothing is lost and nothing stands twice."""
        return all(one.holds for one in self.entries) and not any(one.faults for one in self.edge)


def audit(settings: Settings, *, hours: int, now_ms: int, deep: bool = False, tell: Tell = lambda _: None) -> Audit:
    """Balance the last closed hours and the one under way; read the log again where something does not hold, or all of it.

    `tell` hears how far the reading has come. Raises UsageError, UnavailableError.
    """
    if not 1 <= hours <= LONGEST_HOURS:
        raise UsageError(
            "bad_hours", f"--hours {hours} is not from 1 to {LONGEST_HOURS}", "rejected rows are kept for 7 days"
        )
    this_hour = now_ms // HOUR_MS * HOUR_MS
    since = this_hour - hours * HOUR_MS
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        opened = list(_open_lines(positions))
        ends = positions.ends(TOPICS)
    ids = describe(settings.kafka_bootstrap, [settings.topic_prefix + one.name for one in TOPICS])
    current = {found.topic_id for found in ids.values()}
    try:
        with wiring.clickhouse(settings) as client:
            stretches = balance(client, since, [one for one in opened if one.hour >= since])
            edge = acknowledged(client, since, [one.line for one in stretches], ends, current)
            conflicts = client.execute(_CONFLICTS, {"since": since})[0][0]
            entries = asyncio.run(_examined(settings, client, stretches, current, deep=deep, tell=tell))
    except PASSING as error:
        raise unavailable(error) from error
    ticked = {
        one.name for one in SOURCES
    }  # of other topics a quiet hour ends with the next record, whenever that comes
    late = [one for one in opened if one.hour < this_hour and one.source_topic in ticked]
    waiting = [f"{one.source_topic}-{one.source_partition}" for one in late]
    return Audit(since_ms=since, entries=entries, edge=edge, conflicts=conflicts, waiting=sorted(waiting))


_CONFLICTS = """
    SELECT count() FROM
    (
        SELECT event_id FROM feedback_events WHERE arrived_at >= fromUnixTimestamp64Milli(%(since)s, 'UTC')
        GROUP BY event_id HAVING uniqExact(event_hash) > 1
    )
"""


def _open_lines(positions: Positions) -> Iterator[Line]:
    """Yield the lines that the sinks and the gate keep open, ended where they have committed."""
    for at in positions.of(GROUP_GATE):
        decided = line_of(at.metadata, at.partition, at.offset)
        if decided is not None:
            yield decided
    for table in sorted(set(TABLE_OF.values()) & SINK_TOPICS.keys()):
        for one in positions.of(sink_group(table)):
            if one.metadata.get("line") is not None:
                line = msgspec.convert(one.metadata["line"], Open)
                if line.hour >= 0:
                    place = Place(one.topic, one.metadata["topic_id"], one.partition, one.offset, 0)
                    yield ended(line, place, one.offset)


async def _examined(
    settings: Settings, client: Any, stretches: Sequence[Stretch], current: set[str], *, deep: bool, tell: Tell
) -> list[Entry]:
    out = []
    reader = await open_reader(settings.kafka_bootstrap)
    try:
        for done, one in enumerate(stretches):
            if deep and done % TELL_EVERY == 0:
                tell(f"{done} of {len(stretches)} stretches read again")
            found = None
            faults = one.faults
            if (faults or deep) and one.line.source_topic in TABLE_OF and one.line.source_topic_id in current:
                found = await search(reader, lambda query: query(client), settings.topic_prefix, one.line)
                faults = _judged(one, found)
            out.append(Entry(stretch=one, faults=faults, found=found))
    finally:
        await reader.stop()
    return out


def _judged(one: Stretch, found: Found) -> list[str]:
    """Return what does not hold, now that the log was read again: a stretch that nobody counted may still be whole."""
    whole = found.read_from <= one.line.first_offset
    if not one.counted and found.clean and whole:
        return []
    faults = one.faults
    if not faults and not found.clean:
        faults = ["the log says otherwise than the ledger"]
    line = one.line
    if one.counted and whole and (found.ticks, found.repeats) != (line.ticks, line.repeats):
        seen = f"the log holds {found.ticks} ticks and {found.repeats} repeats"
        faults = [*faults, f"{seen}, the sink says {line.ticks} and {line.repeats}"] if not found.missing else faults
    return faults
