"""Migrations, column comments, token windows and what the read-only users may see."""

import os
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from deploy.engines.clickhouse import READY_TIMEOUT_S, Reader, clickhouse_child
from deploy.engines.local import Endpoints
from deploy.engines.ports import Ports
from deploy.engines.supervisor import Child, stop_all
from schemas.errors import ContractError
from schemas.settings import Settings
from sinks.access import BI_GRANTS, BI_TEXT_GRANTS, BI_TEXT_VIEWS, BI_VIEWS
from sinks.clickhouse import connect
from sinks.migrate import Migration, apply, migrate, migrations
from sinks.store_checks import check_token_window
from sinks.tables import TABLES


@pytest.fixture
def settings(engines: Endpoints, clickhouse_database: str) -> Settings:
    host, port = engines.clickhouse_native
    return Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=clickhouse_database)


def test_migrations_are_applied_once_and_a_changed_one_is_refused(settings: Settings) -> None:
    assert migrate(settings) == [one.name for one in migrations()]
    lines: list[str] = []
    assert migrate(settings, lines.append) == []
    assert "up to date" in lines[-1]
    changed = [one._replace(text=one.text + "\n-- changed") if one.version == 2 else one for one in migrations()]
    with connect(settings) as client:
        with pytest.raises(ContractError) as refused:
            apply(client, [*changed, Migration(99, "0099_new.sql", "CREATE TABLE n (a Int8) ENGINE = Memory")], print)
        assert refused.value.reason == "migration_changed"
        assert client.execute("EXISTS n") == [(0,)]
        with pytest.raises(ContractError) as unknown:
            apply(client, migrations()[:-1], print)
        assert unknown.value.reason == "migration_unknown"


def test_a_migration_cut_short_is_run_again(settings: Settings) -> None:
    with connect(settings) as client:
        client.execute(migrations()[0].statements[0])
    assert migrate(settings)[0] == migrations()[0].name


def test_every_column_of_every_table_and_view_has_a_comment(settings: Settings) -> None:
    migrate(settings)
    with connect(settings) as client:
        bare = client.execute(
            "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' ORDER BY ALL"
        )
        assert bare == []
        assert (
            client.execute("SELECT name FROM system.tables WHERE database = currentDatabase() AND comment = ''") == []
        )
        shown = client.execute("SHOW CREATE VIEW v_readings_as_known_at")[0][0]
    columns = shown[shown.index("(") + 1 : shown.index(")\nDEFINER")].strip().splitlines()
    assert len(columns) == 19
    assert all("COMMENT" in line for line in columns)


def test_token_window_is_asserted(settings: Settings) -> None:
    migrate(settings)
    with connect(settings) as client:
        for table in TABLES:
            check_token_window(client, table, 0.2)
        with pytest.raises(ContractError) as short:
            check_token_window(client, "readings", 0.01)
        assert short.value.reason == "token_window"
        client.execute("ALTER TABLE readings MODIFY SETTING non_replicated_deduplication_window = 0")
        with pytest.raises(ContractError):
            check_token_window(client, "readings", 1.0)


def test_daily_views_keep_calendar_days_of_the_touchpoint_and_the_known_intervals(settings: Settings) -> None:
    migrate(settings)
    late, score = "2026-03-28 23:30:00", "[1.0], [5.0]"
    rows = ", ".join(
        f"('{i}', 'card', 'rating', 'paris', '{late}', ['csat'], ['1'], [{5 if i < 8 else 1}.0], {score}, {second}, '{late}')"
        for i, second in [(i, "false") for i in range(10)] + [(10, "true")]
    )
    with connect(settings) as client:
        client.execute(
            "INSERT INTO feedback_events (event_id, channel, kind, touchpoint, occurred_at, answer_question, answer_question_version,"
            " answer_score,"
            f" answer_scale_min, answer_scale_max, second_hand, arrived_at) VALUES {rows}"
        )
        day, shop, n, satisfied, value, lo, hi, level = client.execute("SELECT * FROM v_csat_daily")[0]
    assert (str(day), shop, n, satisfied, value, level) == ("2026-03-29", "paris", 10, 8, 0.8, 0.95)
    assert lo == pytest.approx(0.490162, abs=1e-6)
    assert hi == pytest.approx(0.943318, abs=1e-6)


@pytest.fixture
def store(tmp_path: Path):
    """A ClickHouse of its own, whose users have the grants that `up` gives them."""
    ports = Ports()
    native, http = ports.take(23_000), ports.take(23_123)
    readers = [
        Reader(name="bi", password="a", grants=BI_GRANTS),
        Reader(name="bi_text", password="b", grants=BI_TEXT_GRANTS),
    ]
    for name in ("clickhouse", "logs"):
        (tmp_path / name).mkdir()
    child = Child(clickhouse_child(
        tmp_path / "clickhouse", tmp_path / "logs", native_port=native, http_port=http, readers=readers, env=os.environ
    ))  # fmt: skip
    child.start()
    try:
        child.await_ready(READY_TIMEOUT_S)
        migrate(Settings(clickhouse_url=f"clickhouse://default@127.0.0.1:{native}"))
        yield native
    finally:
        stop_all([child], 5)
        ports.release()


def refused(client: Client, query: str) -> bool:
    try:
        client.execute(query)
    except ServerException as error:
        return error.code in {497, 164, 60}
    return False


def test_readers_see_views_but_no_tables_no_text_and_write_nothing(store: int) -> None:
    with Client("127.0.0.1", port=store, user="bi", password="a", database="barometer") as bi:
        for view in BI_VIEWS:
            bi.execute(f"SELECT * FROM {view}" + ("(T = now64(3))" if view.endswith("_at") else ""))
        for view in ("v_metric_csat", "v_metric_nps_windows", "v_metric_csat_smoothed(half_life_h = 24, T = now())"):
            bi.execute(f"SELECT * FROM {view}")
        for query in (
            "SELECT text FROM feedback_events", "SELECT count() FROM feedback_events", "SELECT * FROM v_events_text",
            "SELECT raw FROM rejected_events", "INSERT INTO touchpoints (name) VALUES ('x')", "DROP VIEW v_events",
            "CREATE TABLE barometer.x (a Int8) ENGINE = Memory", "SET readonly = 0",
        ):  # fmt: skip
            assert refused(bi, query), query
        shown = bi.execute("SELECT name FROM system.columns WHERE database = 'barometer' AND table LIKE 'v\\_%'")
        assert not {"text", "subject", "also_known_as", "raw"} & {name for (name,) in shown}
    with Client("127.0.0.1", port=store, user="bi_text", password="b", database="barometer") as reader:
        for view in BI_TEXT_VIEWS:
            reader.execute(f"SELECT * FROM {view}" + ("(T = now64(3))" if view.endswith("_at") else ""))
        assert refused(reader, "SELECT text FROM feedback_events")
