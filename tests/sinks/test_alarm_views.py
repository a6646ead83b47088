"""The alarm views: what is not resolved stands open, with the evidence of the newest judgement and whoever took it on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_driver import Client

from deploy.engines.local import Endpoints
from schemas.clock import system_clock
from schemas.settings import Settings
from sinks import queries
from sinks.clickhouse import connect
from sinks.migrate import migrate

NOW = datetime.fromtimestamp(system_clock() // 1000, UTC)
STEPS = (
    # alarm, sequence, state, actor, note, minutes after, bad
    ("aa1", 1, "pending", "judge", "", 0, 3), ("aa1", 2, "open", "judge", "", 5, 7),
    ("aa1", 3, "acknowledged", "ann", "mine", 6, 7), ("aa1", 4, "acknowledged", "bob", "look at the till", 9, 7),
    ("ab2", 1, "open", "tally", "", 20, 1),
    ("ac3", 1, "open", "judge", "", 1, 4), ("ac3", 2, "resolved", "judge", "", 2, 0),
    ("ad4", 1, "pending", "judge", "", 3, 2),
    ("ae5", 1, "open", "judge", "", 1, 4), ("ae5", 2, "acknowledged", "ann", "", 2, 4), ("ae5", 3, "resolved", "judge", "", 3, 1),
    ("ae5", 4, "open", "judge", "", 4, 9), ("ae5", 5, "flapping", "judge", "", 30, 5),
)  # fmt: skip


@pytest.fixture
def client(engines: Endpoints, clickhouse_database: str) -> Iterator[Client]:
    host, port = engines.clickhouse_native
    settings = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=clickhouse_database)
    migrate(settings)
    with connect(settings) as one:
        rows = [
            {
                "transition_id": f"{alarm}-{sequence}", "alarm_id": alarm, "sequence": sequence, "state": state,
                "actor": actor, "note": note, "pane": NOW + timedelta(minutes=minutes), "first_pane": NOW, "n": 10,
                "bad": bad, "evidence": "{}", "arrived_at": NOW,
            }
            for alarm, sequence, state, actor, note, minutes, bad in STEPS
        ]  # fmt: skip
        names = list(rows[0])
        one.execute(
            f"INSERT INTO alarm_transitions ({', '.join(names)}) VALUES",
            [[row[name] for name in names] for row in rows],
        )
        yield one


def test_every_state_but_resolved_stands_open_with_the_judges_evidence(client: Client) -> None:
    found = {row["alarm_id"]: row for row in queries.open_alarms(client)}

    def of(alarm: str, *names: str) -> list[Any]:
        return [found[alarm][name] for name in names]

    assert {alarm: row["state"] for alarm, row in found.items()} == {
        "aa1": "acknowledged", "ab2": "open", "ad4": "pending", "ae5": "flapping",
    }  # fmt: skip
    taken = of("aa1", "sequence", "bad", "acknowledged_by", "last_note", "opened_at", "acknowledged_at")
    assert taken == [4, 7, "ann", "look at the till", NOW + timedelta(minutes=5), NOW + timedelta(minutes=6)]
    assert of("ad4", "opened_at", "acknowledged_at", "acknowledged_by") == [None, None, ""]
    assert of("ab2", "opened_at", "bad") == [NOW + timedelta(minutes=20), 1]
    assert of("ae5", "opened_at", "bad") == [NOW + timedelta(minutes=4), 5]


def test_prefixes_and_history(client: Client) -> None:
    assert queries.alarm_states(client, "a") == {
        "aa1": "acknowledged", "ab2": "open", "ac3": "resolved", "ad4": "pending", "ae5": "flapping",
    }  # fmt: skip
    assert queries.alarm_states(client, "ac") == {"ac3": "resolved"}
    assert queries.alarm_states(client, "zz") == {}
    assert [row["sequence"] for row in queries.alarm_history(client, prefix="aa")] == [4, 3, 2, 1]
