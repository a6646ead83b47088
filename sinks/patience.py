"""Waiting: for the next round, for a Kafka that is away, and for sinks that are behind."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiokafka import TopicPartition

from schemas.errors import UnavailableError
from schemas.readiness import Readiness
from sinks.positions import Positions

AGAIN_S = 1.0


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Return after so long, or as soon as `stop` is set."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def until_done(
    session: Callable[[], Awaitable[None]], readiness: Readiness, check: str, stop: asyncio.Event
) -> None:
    """Run a session to its end; whenever Kafka goes away meanwhile, say so under `check` and begin another."""
    while not stop.is_set():
        try:
            await session()
        except UnavailableError as error:
            readiness.fail(check, f"waits for Kafka: {error}")
            await pause(stop, AGAIN_S)
        else:
            return


async def behind(positions: Positions, prefix: str, wanted: Mapping[str, Mapping[TopicPartition, int]]) -> str:
    """Return which partition a group has not yet stored up to the offset that is wanted; "" if all have all.

    `wanted`: group without prefix -> partition -> offset. Raises UnavailableError.
    """
    for group, ends in wanted.items():
        found = await positions.of(prefix + group, list(ends))
        for tp in sorted(ends):
            reached = found[tp].offset if tp in found else 0
            if reached < ends[tp]:
                return f"{group} has stored {tp.topic}-{tp.partition} up to {reached}, needs {ends[tp]}"
    return ""
