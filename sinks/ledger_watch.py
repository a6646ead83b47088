"""The residue as a gauge: every few minutes the last closed hours are balanced, by SQL alone."""

import asyncio
import logging
from collections import defaultdict

from clickhouse_driver import Client

from schemas.clock import Clock
from schemas.ledger import SINK
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import SOURCES
from schemas.windows import HOUR_MS
from sinks.clickhouse import PASSING, connect, unavailable
from sinks.ledger_balance import balance
from sinks.patience import pause

EVERY_S = 300.0
HOURS = 3
"""Closed hours that are balanced again and again; older ones are `barometer audit`'s."""
log = logging.getLogger(__name__)


def look(client: Client, telemetry: Telemetry, now_ms: int) -> None:
    """Set the gauges from what stands in the store now."""
    unaccounted: dict[str, int] = defaultdict(int)
    for one in balance(client, now_ms // HOUR_MS * HOUR_MS - HOURS * HOUR_MS):
        unaccounted[one.line.source_topic] += one.unaccounted
        if one.faults:
            line = one.line
            log.error(
                "%s-%d, offsets %d to %d: %s; run `barometer audit`",
                line.source_topic, line.source_partition, line.first_offset, line.next_offset - 1, "; ".join(one.faults),
            )  # fmt: skip
    for topic, ends in _closed(client).items():
        telemetry.set("unaccounted_events", unaccounted.pop(topic, 0), topic=topic)
        telemetry.set("accounted_hour_timestamp_seconds", ends, topic=topic)
    for topic, count in unaccounted.items():
        telemetry.set("unaccounted_events", count, topic=topic)


def _closed(client: Client) -> dict[str, int]:
    """Return source topic -> end of the last hour that all its partitions have closed, in s. Only sources get ticks in every hour."""
    return dict(
        client.execute(
            "SELECT toString(source_topic), toUnixTimestamp(min(closed)) FROM"
            " (SELECT source_topic, max(hour) + INTERVAL 1 HOUR AS closed FROM ledger"
            " WHERE writer = %(writer)s AND source_topic IN %(topics)s"
            " GROUP BY source_topic, source_partition) GROUP BY source_topic",
            {"writer": SINK, "topics": tuple(one.name for one in SOURCES)},
        )
    )


async def watch_ledger(settings: Settings, telemetry: Telemetry, stop: asyncio.Event, clock: Clock) -> None:
    """Keep the gauges up to date until `stop`; while ClickHouse is away they stay, and the log says why."""

    def once() -> None:
        with connect(settings) as client:
            look(client, telemetry, clock())

    while not stop.is_set():
        try:
            await asyncio.to_thread(once)
        except PASSING as error:
            log.warning("the ledger is not balanced: %s", unavailable(error))
        await pause(stop, EVERY_S)
