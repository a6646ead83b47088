"""The rewriting of DDL for Replicated tables: one to one, and parsed by the real server, which has no Keeper to run it with."""

import re

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from deploy.engines.local import Endpoints
from schemas.settings import Settings
from sinks.migrate import Migration, migrations, shown
from sinks.replicated import replicated

NO_ZOOKEEPER = 225


@pytest.mark.parametrize("migration", migrations(), ids=lambda one: one.name)
def test_only_engine_and_window_change_and_can_be_changed_back(migration: Migration) -> None:
    for plain in migration.statements:
        made = replicated(plain)
        back = re.sub(r"Replicated(\w*MergeTree)\('[^']*', '\{replica\}'\)", r"\1", made)
        back = re.sub(
            r" replicated(_deduplication_window = \d+), replicated_\w+_seconds = \d+", r" non_replicated\1", back
        )
        assert back == plain
        filled = "non_replicated_deduplication_window" in plain
        assert (
            "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')" in made
        ) == filled
        assert (made == plain) != filled
        assert replicated(made) == made


def test_engines_with_arguments_keep_them() -> None:
    statement = "CREATE TABLE t (v UInt8) ENGINE = ReplacingMergeTree(v) ORDER BY v SETTINGS non_replicated_deduplication_window = 9"
    made = replicated(statement)
    assert "ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', v)" in made
    assert "replicated_deduplication_window = 9, replicated_deduplication_window_seconds = 604800" in made


def test_the_server_takes_every_replicated_table_up_to_where_it_needs_a_keeper(
    engines: Endpoints, clickhouse_database: str
) -> None:
    """Not run beyond that: the ClickHouse of the tests is built without Keeper (USE_NURAFT is off)."""
    host, port = engines.clickhouse_native
    made = [replicated(one) for migration in migrations() for one in migration.statements if replicated(one) != one]
    assert len(made) >= 6
    with Client(host, port=port, database=clickhouse_database) as client:
        for statement in made:
            formatted = client.execute("SELECT formatQuery(%(text)s)", {"text": statement})[0][0]
            assert "ReplicatedMergeTree" in formatted
            known = statement.replace("{shard}", "01").replace("{replica}", "r1")  # this server has no macros either
            with pytest.raises(ServerException) as refused:
                client.execute(known)
            assert refused.value.code == NO_ZOOKEEPER


def test_what_is_shown_is_what_the_settings_make() -> None:
    assert shown(Settings()).count("ENGINE = Replicated") == 0
    text = shown(Settings(clickhouse_tables="replicated"))
    assert text.count("ENGINE = Replicated") == shown(Settings()).count("non_replicated_deduplication_window =")
