"""Waiting: for a Kafka that is away, and until asked to stop."""

import asyncio
import time

from schemas.errors import UnavailableError
from schemas.readiness import Readiness
from sinks.patience import pause, until_done


def test_a_session_that_kafka_ends_begins_again_and_readiness_says_why_meanwhile() -> None:
    readiness, said = Readiness(), []

    async def session() -> None:
        said.append(readiness.failing().get("x", ""))
        if len(said) == 1:
            raise UnavailableError("kafka_unavailable", "no broker")
        readiness.ok("x")

    asyncio.run(until_done(session, readiness, "x", asyncio.Event()))
    assert said[0] == "" and "waits for Kafka" in said[1] and "no broker" in said[1]
    assert readiness.failing() == {}


def test_a_pause_ends_as_soon_as_it_is_asked_to() -> None:
    async def run() -> float:
        stop, before = asyncio.Event(), time.monotonic()
        asyncio.get_running_loop().call_soon(stop.set)
        await pause(stop, 60)
        return time.monotonic() - before

    assert asyncio.run(run()) < 30
