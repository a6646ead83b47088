"""A small day through everything: files and HTTP in, readings out, and three recounts that agree."""

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from clickhouse_driver import Client

from deploy import wiring
from deploy.demo.files import HistoryFile, write_history
from deploy.demo.live import Sent, send_day
from deploy.demo.scenario import Month, month
from deploy.demo.shops import shops_of
from deploy.stack import Stack
from schemas import catalogue as catalogues
from schemas.clock import system_clock
from schemas.windows import DAY_MS, HOUR_MS
from sinks import clickhouse
from sinks.accounting import conservation, recount_repeats
from tests.end_to_end.conftest import settled
from tests.oracle import stored
from tests.oracle.comparison import differences
from tests.oracle.recount import recount

SEED = 21
LIVE_S = 8.0
PANE_MS = 1_000


class Played(msgspec.Struct, kw_only=True):
    """What was sent into the stack, and the last pane judged after it."""

    month: Month
    files: list[HistoryFile]
    sent: Sent
    before: dict[str, int]
    pane: int


def counts(stack: Stack) -> dict[str, int]:
    with clickhouse.connect(stack.settings) as client:
        stored_rows = {
            table: client.execute(f"SELECT count() FROM {table}")[0][0]
            for table in ("feedback_events", "rejected_events")
        }
    return {**stored_rows, "repeats": recount_repeats(stack.settings)}


def recent(drawn: Month, now: int) -> Month:
    """Return the month with every second past event within the last three hours, whatever the hour of the test."""
    rng = Random(SEED)
    moved = [
        replace(item, at_ms=now - 1 - rng.randrange(3 * HOUR_MS)) if index % 2 else item
        for index, item in enumerate(drawn.history)
    ]
    return replace(drawn, history=sorted((one for one in moved if one.at_ms < now), key=lambda one: one.at_ms))


@pytest.fixture(scope="module")
def played(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Played:
    now = system_clock()
    tomorrow = (now // DAY_MS + 1) * DAY_MS
    drawn = month(shops_of(catalogues.load()), SEED, tomorrow, history_events=800, live_events=400, live_s=LIVE_S)
    chosen = recent(drawn, now)
    settled(stack)
    before = counts(stack)
    files = write_history(chosen, tmp_path_factory.mktemp("history"))
    for file in files:
        wiring.import_file(stack.settings, file.path, mapping=file.mapping, source=file.source)
    sent = asyncio.run(
        send_day(
            chosen.live,
            gateway=stack.endpoints["gateway"],
            write_key=stack.endpoints["write_key"],
            clock=system_clock,
            seed=SEED,
        )
    )
    return Played(month=chosen, files=files, sent=sent, before=before, pane=settled(stack))


def test_everything_sent_is_a_row_a_repeat_or_rejected(stack: Stack, played: Played) -> None:
    after = counts(stack)
    grown = {name: after[name] - played.before[name] for name in after}
    sent = played.sent.items + sum(file.rows for file in played.files)
    assert grown["feedback_events"] + grown["repeats"] + grown["rejected_events"] == sent
    assert grown["feedback_events"] == len(played.month.history) + sum(
        send.repeats is None and not send.broken for send in played.month.live
    )
    assert grown["repeats"] > 0
    assert grown["rejected_events"] == sum(file.broken for file in played.files) + played.sent.rejected
    assert conservation(stack.settings).holds


@pytest.mark.usefixtures("played")
def test_final_readings_equal_the_naive_recount_of_the_stored_events(stack: Stack) -> None:
    pane = settled(stack)
    with clickhouse.connect(stack.settings) as client:
        readings, events = stored.readings(client), stored.events(client)
    due = [one for one in readings if one["status"] != "provisional"]
    assert {"1h", "24h", "7d", "28d"} == {one["window"] for one in due}
    assert {one["metric"] for one in due} >= set(stored.METRICS)
    assert differences(readings, recount(events, pane_ms=PANE_MS, until=pane), until=pane) == []


def test_the_newest_readings_hold_the_answers_of_the_last_seconds(stack: Stack, played: Played) -> None:
    settled(stack)
    with clickhouse.connect(stack.settings) as client:
        readings, events = stored.readings(client), stored.events(client)
    truth = recount(events, pane_ms=PANE_MS)
    newest: dict[Any, dict[str, Any]] = {}
    for one in sorted(readings, key=lambda one: (one["window_end"], one["revision"])):
        newest[(one["metric"], one["dimension"], one["key"]), one["window"]] = one
    at = ("csat", "touchpoint", played.month.injected_shop), "1h"
    assert newest[at]["bins"] == {str(bin_): count for bin_, count in truth[at].at(newest[at]["window_end"]).items()}


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize("metric", stored.METRICS)
def test_final_readings_equal_hand_written_sql(stack: Stack, metric: str) -> None:
    settled(stack)
    with clickhouse.connect(stack.settings) as client:
        assert stored.sql_differences(client, metric) == []


@pytest.mark.usefixtures("played")
def test_the_sql_recount_notices_a_row_too_many(stack: Stack) -> None:
    with clickhouse.connect(stack.settings) as client:
        spoil(client)
        try:
            assert stored.sql_differences(client, "csat") != []
        finally:
            client.execute("ALTER TABLE readings DELETE WHERE catalogue_hash = 'spoilt' SETTINGS mutations_sync = 2")


def spoil(client: Client) -> None:
    """Add a revision of one final reading that counts an answer too many."""
    client.execute(
        """
        INSERT INTO readings (* EXCEPT (revision, n, catalogue_hash), revision, n, catalogue_hash)
        SELECT * EXCEPT (revision, n, catalogue_hash), revision + 1, n + 1, 'spoilt' FROM readings
        WHERE metric = 'csat' AND status != 'provisional' ORDER BY window_end DESC, revision DESC LIMIT 1
        """
    )
