"""An insert whose fate is in doubt: retried under its token, then compared with what is stored."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from deploy.engines.local import Endpoints
from schemas.event import Channel
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import LIVE
from sinks.clickhouse import connect
from sinks.insert import Inserter
from sinks.migrate import migrate
from sinks.ranges import Range, token
from sinks.rows import Place, Rows, place_columns
from sinks.storing import Doubt
from tests.sinks.conftest import Stand, event, publish_events, wait_for
from tests.sinks.cutting import Cut, CuttingProxy

TABLE = "feedback_events"
VECTOR = [Range("t1", 0, 0, 99), Range("t1", 1, 5, 24)]


@pytest.fixture
def settings(engines: Endpoints, clickhouse_database: str) -> Settings:
    host, port = engines.clickhouse_native
    out = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=clickhouse_database)
    migrate(out)
    return out


def rows() -> Rows:
    places = [
        Place("feedback.card.v1", one.topic_id, one.partition, offset, 1_790_000_000_000 + offset * 40_000_000)
        for one in VECTOR
        for offset in range(one.first, one.last + 1)
    ]
    return Rows({"event_id": [f"{place.partition}:{place.offset}" for place in places], **place_columns(places)})


@pytest.fixture
def inserter(settings: Settings) -> Iterator[Inserter]:
    one = Inserter(lambda: connect(settings), Telemetry(), Readiness(), lambda: None)
    yield one
    one.close()


def counts(settings: Settings) -> tuple[int, int]:
    with connect(settings) as client:
        return client.execute(f"SELECT count(), uniqExact(`partition`, `offset`) FROM {TABLE}")[0]


def test_the_same_vector_again_adds_nothing_though_it_spans_months(inserter: Inserter, settings: Settings) -> None:
    for doubt in (Doubt.NONE, Doubt.NONE, Doubt.REPLAYED):
        asyncio.run(inserter.store(TABLE, rows(), VECTOR, token(TABLE, VECTOR), doubt=doubt))
    assert counts(settings) == (120, 120)
    with connect(settings) as client:
        assert client.execute(f"SELECT uniqExact(_partition_id) FROM {TABLE}")[0][0] > 1


def test_rows_that_miss_although_the_token_is_known_are_added(inserter: Inserter, settings: Settings) -> None:
    name = token(TABLE, VECTOR)
    asyncio.run(inserter.store(TABLE, rows(), VECTOR, name))
    with connect(settings) as client:
        client.execute(f"DELETE FROM {TABLE} WHERE `offset` % 3 = 0")
    assert counts(settings) == (79, 79)
    asyncio.run(inserter.store(TABLE, rows(), VECTOR, name, doubt=Doubt.REPLAYED))
    assert counts(settings) == (120, 120)


@pytest.mark.parametrize("cut", list(Cut))
def test_retry_of_a_failed_insert_stores_each_row_once(settings: Settings, cut: Cut, engines: Endpoints) -> None:
    proxy = CuttingProxy(engines.clickhouse_native, TABLE, cut, times=2)
    through = msgspec.structs.replace(settings, clickhouse_url=f"clickhouse://default@127.0.0.1:{proxy.port}")
    telemetry, readiness = Telemetry(), Readiness()
    one = Inserter(lambda: connect(through), telemetry, readiness, lambda: None)
    try:
        asyncio.run(one.store(TABLE, rows(), VECTOR, token(TABLE, VECTOR)))
    finally:
        one.close()
        proxy.close()
    assert proxy.left <= 0
    assert counts(settings) == (120, 120)
    outcomes = {"table": TABLE, "outcome": "retried"}
    assert telemetry.registry.get_sample_value("barometer_inserts_total", outcomes) == 2
    assert readiness.failing() == {}


def test_a_connection_whose_thread_still_speaks_after_a_cancelled_wait_is_left_alone(inserter: Inserter) -> None:
    async def run() -> list[Any]:
        slow = asyncio.create_task(inserter.ask(lambda client: client.execute("SELECT sleep(1)")))
        await asyncio.sleep(0.4)
        slow.cancel()
        with suppress(asyncio.CancelledError):
            await slow
        inserter.close()
        found: list[Any] = await inserter.ask(lambda client: client.execute("SELECT 2"))
        return found

    assert asyncio.run(run()) == [(2,)]


def test_a_table_that_cannot_be_filled_is_not_hidden_by_one_that_can(settings: Settings) -> None:
    readiness = Readiness()

    def one(name: str) -> Inserter:
        return Inserter(lambda: connect(settings), Telemetry(), readiness, lambda: None, name)

    async def run() -> dict[str, str]:
        gone, well = one("gone"), one("well")
        waits = asyncio.create_task(gone.store("no_such_table", rows(), VECTOR, token(TABLE, VECTOR)))
        await asyncio.to_thread(wait_for, lambda: "gone" in readiness.failing())
        await well.ask(lambda client: client.execute("SELECT 1"))
        failing = readiness.failing()
        waits.cancel()
        with suppress(asyncio.CancelledError):
            await waits
        well.close()
        return failing

    failing = asyncio.run(run())
    assert set(failing) == {"gone"} and "does not exist" in failing["gone"]


def test_a_store_that_refuses_is_waited_for_and_nothing_is_skipped(stand: Stand) -> None:
    publish_events(stand, LIVE[Channel.CARD], [event(i) for i in range(100)])
    stand.client.execute(f"RENAME TABLE {TABLE} TO away")
    stand.client.execute(f"CREATE TABLE {TABLE} AS away")
    stand.client.execute(f"ALTER TABLE {TABLE} DROP COLUMN lane")
    stand.start("sink", TABLE)
    wait_for(
        lambda: any('"pending"' in metadata for _, metadata in stand.committed(TABLE, LIVE[Channel.CARD]).values())
    )
    assert stand.count(f"count() FROM {TABLE}") == 0
    assert stand.count("count() FROM rejected_events") == 0
    stand.client.execute(f"ALTER TABLE {TABLE} ADD COLUMN lane LowCardinality(String)")
    wait_for(stand.caught_up)
    assert stand.count(f"count() FROM {TABLE}") == stand.count(f"uniqExact(event_id) FROM {TABLE}") == 100
