"""One vector into one table of the real server: refused rows, cuts, replays, a lost token log, views and the border of a month."""

import asyncio
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from clickhouse_driver import Client

from deploy.engines.local import Endpoints
from schemas.errors import ContractError
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from schemas.topics import LIVE
from sinks.insert import Inserter
from sinks.ranges import Range, token
from sinks.refusals import Refusal
from sinks.rows import Place, Rows, place_columns
from sinks.store_checks import check_settings, check_ttl, check_views, watching_views
from sinks.storing import SETTINGS, Doubt, insert

TABLE, VECTOR = "kept", [Range("t1", 0, 0, 19), Range("t1", 1, 5, 24)]
DAY_MS = 86_400_000
MONTH_END_MS = 1_790_812_800_000
"""2026-10-01."""
DDL = """
CREATE TABLE {name} (event_id String, n UInt16, topic String, topic_id String, `partition` UInt16, `offset` UInt64,
    arrived_at DateTime64(3, 'UTC'), CONSTRAINT plain CHECK event_id != 'bad')
ENGINE = MergeTree PARTITION BY toYYYYMM(arrived_at) ORDER BY `offset` TTL toDateTime(arrived_at) + INTERVAL 25 MONTH
SETTINGS non_replicated_deduplication_window = 5000
"""


class Interrupted(Exception):
    """The test's kill."""


@pytest.fixture
def client(engines: Endpoints, clickhouse_database: str) -> Iterator[Client]:
    host, port = engines.clickhouse_native
    with Client(host, port=port, database=clickhouse_database) as one:
        one.execute(DDL.format(name=TABLE))
        yield one


@pytest.fixture
def connect(engines: Endpoints, clickhouse_database: str) -> Any:
    host, port = engines.clickhouse_native
    return lambda: Client(host, port=port, database=clickhouse_database)


def rows_of(vector: Sequence[Range], poison: dict[int, Any], *, each: int = 2, step_ms: int = 0) -> Rows:
    """Return `each` rows a record; `poison`: number of the record -> the change that makes its last row unfit."""
    places = [
        Place("topic", one.topic_id, one.partition, offset, MONTH_END_MS - 20 * step_ms + i * step_ms)
        for i, (one, offset) in enumerate((one, offset) for one in vector for offset in range(one.first, one.last + 1))
        for _ in range(each)
    ]
    rows = Rows({"event_id": [f"e{i}" for i in range(len(places))], "n": [1] * len(places), **place_columns(places)})
    for number, change in poison.items():
        for column, value in change.items():
            rows.columns[column][number * each + each - 1] = value
    return rows


POISONS = ({"event_id": None}, {"n": 70_000}, {"event_id": "bad"}, {"event_id": "\ud800"})
"""Refused by the driver, by its range check, by the table's constraint, by the encoding."""


def store(
    connect: Any, rows: Rows, *, vector: Sequence[Range] = VECTOR, doubt: Doubt = Doubt.NONE, **more: Any
) -> list[Refusal]:
    one = Inserter(connect, Telemetry(), Readiness(), lambda: None)
    try:
        more.setdefault("found", lambda _refusal: None)
        return asyncio.run(one.store(TABLE, rows, vector, token(TABLE, vector), doubt=doubt, **more))
    finally:
        one.close()


def stored(client: Client, table: str = TABLE) -> list[tuple[int, int, int]]:
    """Return (partition, offset, rows)."""
    return client.execute(f"SELECT `partition`, `offset`, count() FROM {table} GROUP BY 1, 2 ORDER BY 1, 2")


def expected(poison: dict[int, Any], each: int = 2) -> list[tuple[int, int, int]]:
    numbered = [(one.partition, offset) for one in VECTOR for offset in range(one.first, one.last + 1)]
    return [(*place, each) for i, place in enumerate(numbered) if i not in poison]


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_of_refused_rows_are_stored_once_and_records_are_never_cut(
    client: Client, connect: Any, seed: int
) -> None:
    chance = Random(seed)
    poison = {one: chance.choice(POISONS) for one in chance.sample(range(40), chance.randrange(1, 6))}
    refused = store(connect, rows_of(VECTOR, poison))
    assert stored(client) == expected(poison)
    places = rows_of(VECTOR, {}, each=1).places()
    assert [one.place for one in refused] == [places[number] for number in sorted(poison)]
    assert all(one.detail and "Column values" not in one.detail for one in refused)


def test_a_vector_cut_short_at_any_moment_is_finished_by_its_replay(client: Client, connect: Any) -> None:
    poison, cuts = {3: POISONS[2], 9: POISONS[1]}, 0
    partly = set()
    while True:
        vector = [Range(f"t{cuts}", 0, 0, 9)]
        rows, left = rows_of(vector, poison), [cuts]

        def cut(left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Interrupted

        def mine(vector: list[Range] = vector) -> list[tuple[int, int]]:
            topic_id = vector[0].topic_id
            return client.execute(
                f"SELECT `offset`, count() FROM {TABLE} WHERE topic_id = '{topic_id}' GROUP BY 1 ORDER BY 1"
            )

        try:
            store(connect, rows, vector=vector, cut=cut)
        except Interrupted:
            partly.add(len(mine()))
        else:
            break
        refused = store(connect, rows, vector=vector, doubt=Doubt.REPLAYED)
        assert [one.place[2] for one in refused] == [3, 9]
        assert mine() == [(offset, 2) for offset in range(10) if offset not in poison], f"cut {cuts}"
        cuts += 1
    assert cuts >= 8
    assert len(partly) >= 3  # the kill did come between the halves


def lose_token_log(client: Client, table: str = TABLE) -> None:
    """Delete the deduplication log from under the table, as a power cut may (ClickHouse #111577)."""
    path = client.execute(
        "SELECT data_paths[1] FROM system.tables WHERE database = currentDatabase() AND name = %(table)s",
        {"table": table},
    )[0][0]
    client.execute(f"DETACH TABLE {table}")
    shutil.rmtree(Path(path) / "deduplication_logs")
    client.execute(f"ATTACH TABLE {table}")


def test_a_replay_after_the_token_log_was_lost_adds_only_what_misses(client: Client, connect: Any) -> None:
    rows = rows_of(VECTOR, {}, step_ms=DAY_MS)
    store(connect, rows)
    assert client.execute(f"SELECT uniqExact(_partition_id) FROM {TABLE}")[0][0] == 2
    lose_token_log(client)
    store(connect, rows, doubt=Doubt.REPLAYED)
    assert stored(client) == expected({})
    client.execute(f"ALTER TABLE {TABLE} DROP PARTITION 202610")  # as if only September's part had landed
    lose_token_log(client)
    store(connect, rows, doubt=Doubt.REPLAYED)
    assert stored(client) == expected({})
    # without the look at what is stored the token alone does not help: the damage is real
    lose_token_log(client)
    insert(client, TABLE, rows, token(TABLE, VECTOR))
    assert stored(client) != expected({})
    with pytest.raises(ContractError, match="rows_twice"):
        store(connect, rows, doubt=Doubt.REPLAYED)


def test_a_batch_over_the_border_of_a_month_of_which_one_part_landed_is_completed(client: Client, connect: Any) -> None:
    rows = rows_of(VECTOR, {}, step_ms=DAY_MS)
    first = [i for i, at in enumerate(rows.columns["arrived_at"]) if at < MONTH_END_MS]
    assert 0 < len(first) < len(rows)
    insert(client, TABLE, rows.take(first), token(TABLE, VECTOR))
    store(connect, rows, doubt=Doubt.REPLAYED)
    assert stored(client) == expected({})
    insert(client, TABLE, rows, token(TABLE, VECTOR))  # the insert of a paused owner comes late
    assert stored(client) == expected({})


def test_a_log_read_again_in_other_cuts_adds_nothing(client: Client, connect: Any) -> None:
    store(connect, rows_of(VECTOR, {}))
    for one in ([Range("t1", 0, 0, 6)], [Range("t1", 0, 7, 19), Range("t1", 1, 5, 9)], [Range("t1", 1, 10, 24)]):
        store(connect, rows_of(one, {}), vector=one, doubt=Doubt.RECUT)
    assert stored(client) == expected({})


def test_records_set_aside_before_stay_so_though_the_table_would_take_them_now(client: Client, connect: Any) -> None:
    poison = {7: POISONS[2]}
    rows = rows_of(VECTOR, poison)
    refused = store(connect, rows)
    client.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT plain")
    assert store(connect, rows, doubt=Doubt.REPLAYED, aside={one.place for one in refused}) == []
    assert stored(client) == expected(poison)


VIEW = (
    "CREATE MATERIALIZED VIEW seen TO counts AS SELECT `partition`, count() AS c FROM kept{where} GROUP BY `partition`"
)
COUNTS = "CREATE TABLE counts (`partition` UInt16, c UInt64) ENGINE = MergeTree ORDER BY `partition`"


def test_a_materialised_view_without_a_token_window_is_refused(client: Client) -> None:
    check_views(client, TABLE, 1.0)
    client.execute(COUNTS)
    client.execute(VIEW.format(where=""))
    assert watching_views(client, TABLE)
    with pytest.raises(ContractError, match=r"ALTER TABLE .*counts.* MODIFY SETTING") as refused:
        check_views(client, TABLE, 1.0)
    assert refused.value.reason == "view_token_window"
    client.execute("ALTER TABLE counts MODIFY SETTING non_replicated_deduplication_window = 5000")
    check_views(client, TABLE, 1.0)
    client.execute(
        "CREATE MATERIALIZED VIEW inside ENGINE = MergeTree ORDER BY c AS SELECT c FROM counts"  # a view on the view's table
    )
    with pytest.raises(ContractError, match=r"inner_id"):
        check_views(client, TABLE, 1.0)


def test_a_deduplicated_retry_does_not_count_twice_in_a_view(client: Client, connect: Any) -> None:
    client.execute(COUNTS + " SETTINGS non_replicated_deduplication_window = 5000")
    client.execute(VIEW.format(where=""))
    rows = rows_of(VECTOR, {3: POISONS[2]})
    for doubt in (Doubt.NONE, Doubt.REPLAYED, Doubt.REPLAYED):
        store(connect, rows, doubt=doubt)
    assert stored(client) == expected({3: 1})
    assert client.execute("SELECT `partition`, sum(c) FROM counts GROUP BY 1 ORDER BY 1") == [(0, 38), (1, 40)]


def test_a_view_that_throws_is_waited_for_and_then_equals_its_table(client: Client, connect: Any) -> None:
    client.execute(COUNTS + " SETTINGS non_replicated_deduplication_window = 5000")
    client.execute(VIEW.format(where=" WHERE throwIf(`offset` = 12) = 0"))
    telemetry, readiness = Telemetry(), Readiness()
    one = Inserter(connect, telemetry, readiness, lambda: None)
    refused: list[Refusal] = []
    rows = rows_of(VECTOR, {})
    thread = threading.Thread(
        target=lambda: asyncio.run(one.store(TABLE, rows, VECTOR, token(TABLE, VECTOR), found=refused.append))
    )
    thread.start()
    retried = {"table": TABLE, "outcome": "retried"}
    limit = time.monotonic() + 30
    while not telemetry.registry.get_sample_value("barometer_inserts_total", retried):
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert "pushing to view" in readiness.failing()["clickhouse"]
    client.execute("ALTER TABLE seen MODIFY QUERY SELECT `partition`, count() AS c FROM kept GROUP BY `partition`")
    thread.join(30)
    one.close()
    assert not thread.is_alive()
    assert (stored(client), refused, readiness.failing()) == (expected({}), [], {})
    assert client.execute("SELECT `partition`, sum(c) FROM counts GROUP BY 1 ORDER BY 1") == [(0, 40), (1, 40)]


@pytest.mark.parametrize("fault", ["too many parts", "read-only user", "wrong password", "table dropped"])
def test_a_fault_of_the_store_is_waited_for_never_set_aside(
    client: Client, connect: Any, engines: Endpoints, clickhouse_database: str, fault: str
) -> None:
    host, port = engines.clickhouse_native
    wrong = {
        "read-only user": {"user": engines.bi_user, "password": engines.bi_password},
        "wrong password": {"user": engines.bi_user, "password": "no"},
    }.get(fault)
    mended = threading.Event()

    def reach() -> Client:
        if wrong is None or mended.is_set():
            return connect()
        return Client(host, port=port, database=clickhouse_database, **wrong)

    if fault == "too many parts":
        insert(client, TABLE, rows_of([Range("t0", 0, 0, 0)], {}), "before")
        client.execute(f"ALTER TABLE {TABLE} MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1")
    if fault == "table dropped":
        client.execute(f"RENAME TABLE {TABLE} TO away")
    telemetry, readiness, refused = Telemetry(), Readiness(), []
    one = Inserter(reach, telemetry, readiness, lambda: None)
    rows = rows_of(VECTOR, {})
    thread = threading.Thread(
        target=lambda: asyncio.run(one.store(TABLE, rows, VECTOR, token(TABLE, VECTOR), found=refused.append))
    )
    thread.start()
    retried = {"table": TABLE, "outcome": "retried"}
    limit = time.monotonic() + 30
    while (telemetry.registry.get_sample_value("barometer_inserts_total", retried) or 0) < 2:
        assert time.monotonic() < limit
        time.sleep(0.02)
    assert set(readiness.failing()) == {"clickhouse"}
    if fault == "too many parts":
        client.execute(f"ALTER TABLE {TABLE} RESET SETTING parts_to_delay_insert, parts_to_throw_insert")
    if fault == "table dropped":
        assert client.execute(f"EXISTS {TABLE}") == [(0,)]
        client.execute(f"RENAME TABLE away TO {TABLE}")
    mended.set()
    thread.join(30)
    one.close()
    assert (thread.is_alive(), refused, readiness.failing()) == (False, [], {})
    client.execute(f"ALTER TABLE {TABLE} DELETE WHERE topic_id = 't0' SETTINGS mutations_sync = 1")
    assert stored(client) == expected({})


def test_rows_that_go_before_their_records_are_refused_at_start(client: Client) -> None:
    topics = tuple(LIVE.values())
    check_ttl(client, TABLE, topics)
    client.execute(f"ALTER TABLE {TABLE} MODIFY TTL toDateTime(arrived_at) + INTERVAL 27 DAY")
    with pytest.raises(ContractError) as refused:
        check_ttl(client, TABLE, topics)
    assert refused.value.reason == "ttl_below_retention"
    client.execute(f"ALTER TABLE {TABLE} REMOVE TTL")
    check_ttl(client, TABLE, topics)


def test_a_profile_that_overrides_the_settings_of_inserts_is_refused(client: Client) -> None:
    check_settings(client, SETTINGS)
    with pytest.raises(ContractError) as refused:  # what the server answers is compared, not what was sent
        check_settings(client, {"readonly_setting_that_no_server_has": 1} | SETTINGS)
    assert refused.value.reason == "insert_settings"
