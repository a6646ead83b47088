"""Events that ClickHouse holds, read back in order of arrival as stage 1 once saw them: for a backtest without a file.

Texts are not needed to count and stay where they are.
"""

from collections.abc import Iterator

import msgspec
from clickhouse_driver import Client

from deploy.native_lines import Arrival
from schemas.event import Lane
from sinks.clickhouse import PASSING, unavailable
from sinks.stored import event_of, selected

BLOCK_ROWS = 8_192


def stored_arrivals(client: Client, *, since_ms: int, until_ms: int, as_live: bool = False) -> Iterator[Arrival]:
    """Yield the events that arrived in [since, until), oldest first; rows stream, a block at a time.

    With `as_live` imported events count as if they had come live when they occurred: history that was loaded at once
    tests a rule only so. Raises UnavailableError.
    """
    at = "if(lane = 'history', occurred_at, arrived_at)" if as_live else "arrived_at"
    query = f"""
        SELECT lane, toUnixTimestamp64Milli({at}) AS at, {selected(texts=False)}
        FROM feedback_events
        WHERE at >= %(since)s AND at < %(until)s
        ORDER BY at, topic, partition, offset
    """
    try:
        rows = client.execute_iter(
            query, {"since": since_ms, "until": until_ms}, settings={"max_block_size": BLOCK_ROWS}
        )
        for lane, arrived_at, *row in rows:
            one = Arrival(event=event_of(row), arrived_at=arrived_at, lane=Lane(lane))
            yield as_if_live(one) if as_live else one
    except PASSING as error:
        raise unavailable(error) from error
    finally:
        client.disconnect()


def as_if_live(one: Arrival) -> Arrival:
    """Return an event of the history lane as if it had come live when it occurred; live ones and corrections as they are."""
    if one.lane is Lane.LIVE or one.event.corrects is not None:
        return one
    at = one.event.occurred_at
    return Arrival(event=msgspec.structs.replace(one.event, received_at=at), arrived_at=at, lane=Lane.LIVE)
