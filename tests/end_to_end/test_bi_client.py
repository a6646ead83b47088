"""Somebody else's client, over HTTP, as the user for BI tools: it reads the readings and can write nothing."""

from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from deploy.engines.local import Endpoints
from deploy.stack import Stack
from schemas.clock import system_clock
from tests.end_to_end.conftest import settled


@pytest.fixture(scope="module")
def reader(stack: Stack, engines: Endpoints) -> Client:
    event = {
        "channel": "card",
        "touchpoint": "lyon",
        "occurred_at": system_clock(),
        "answers": [{"question": "csat", "score": 5}],
    }
    answer = httpx.post(
        f"{stack.endpoints['gateway']}/v1/feedback",
        json=event,
        headers={"Authorization": f"Bearer {stack.endpoints['write_key']}"},
    )
    assert answer.json()["accepted"] == 1
    settled(stack)
    url = urlsplit(engines.clickhouse_http)
    return clickhouse_connect.get_client(
        host=str(url.hostname),
        port=int(url.port or 8123),
        username=engines.bi_user,
        password=engines.bi_password,
        database=stack.settings.clickhouse_database,
    )


def test_a_bi_client_reads_the_latest_readings_with_n_and_interval(reader: Client) -> None:
    found = reader.query(
        """
        SELECT n, value, lo, hi FROM v_readings_latest
        WHERE metric = 'csat' AND dimension = 'touchpoint' AND key = 'lyon' AND window = '1h'
        ORDER BY window_end DESC LIMIT 1
        """
    )
    ((n, value, lo, hi),) = found.result_rows
    assert n >= 1
    assert 0 <= lo <= value <= hi <= 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO readings SELECT * FROM readings",
        "ALTER TABLE readings DELETE WHERE 1",
        "DROP TABLE readings",
        "CREATE TABLE mine (x Int8) ENGINE = Memory",
    ],
)
def test_a_write_of_the_bi_client_is_refused(reader: Client, statement: str) -> None:
    with pytest.raises(DatabaseError):
        reader.command(statement)
