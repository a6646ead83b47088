"""Rows of rejections: kept from when they were made, however old their record; what became of them is said once."""

from deploy.engines.local import Endpoints
from schemas.settings import Settings
from schemas.windows import DAY_MS
from sinks.clickhouse import connect
from sinks.migrate import migrate
from sinks.rejected import EXPIRED, OPEN, REINJECTED, Chosen, Fate, chosen_rows, empty, listed, say, with_bytes
from sinks.store_checks import expired_before_ms, find_table, ttl_ms
from sinks.tables import REJECTED_TABLE

ROW = (
    "INSERT INTO rejected_events (rejected_id, stage, reason, raw, raw_bytes, received_at, topic_id, `partition`, `offset`,"
    " arrived_at{more}) SELECT %(id)s, 'sink', 'bad_avro', unhex('00FF'), 2, now64(3) - INTERVAL 30 DAY, 't', 0, %(at)s,"
    " now64(3) - INTERVAL 30 DAY{value}"
)


def test_what_is_set_aside_late_is_kept_and_a_fate_belongs_to_one_row(
    engines: Endpoints, clickhouse_database: str
) -> None:
    host, port = engines.clickhouse_native
    settings = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=clickhouse_database)
    migrate(settings)
    with connect(settings) as client:
        for at in (1, 2):  # the same input, rejected twice
            client.execute(ROW.format(more="", value=""), {"id": "late", "at": at})
        old = ROW.format(more=", rejected_at", value=", now64(3) - INTERVAL 8 DAY")
        client.execute(old, {"id": "old", "at": 3})
        client.execute(f"OPTIMIZE TABLE {REJECTED_TABLE} FINAL")
        found = client.execute(f"SELECT rejected_id, `offset` FROM {REJECTED_TABLE} ORDER BY `offset`")
        assert found == [("late", 1), ("late", 2)]
        assert ttl_ms(find_table(client, REJECTED_TABLE)) == 7 * DAY_MS
        assert expired_before_ms(client, REJECTED_TABLE) == 0 < expired_before_ms(client, "readings")

        first, second = with_bytes(client, chosen_rows(client, Chosen(ids=("late",))))
        assert first.kept == second.kept == b"\x00\xff"
        for at_ms in (1_790_000_000_000, 1_790_000_000_500):
            say(client, [Fate(*first.place, REINJECTED, "e", at_ms, "anna", "")])
        assert client.execute("SELECT count() FROM rejected_fates") == [(1,)]
        fates = {one["fate"]: (one["replays"], one["event_id"]) for one in listed(client, Chosen())}
        assert fates == {REINJECTED: (1, "e"), OPEN: (0, "")}
        assert chosen_rows(client, Chosen(fates=(OPEN,))) == [second._replace(kept=b"")]

        empty(client, [first])
        say(client, [Fate(*first.place, EXPIRED, "", 1_790_000_001_000, "anna", "")])
        left = with_bytes(client, chosen_rows(client, Chosen(stage="sink")))
        assert [(one.fate, one.kept) for one in left] == [(EXPIRED, b""), (OPEN, b"\x00\xff")]
        assert [one["event_id"] for one in listed(client, Chosen(fates=(EXPIRED,)))] == ["e"]
