"""A backtest over what ClickHouse holds is the backtest over the file: the same events, to the last field that counts."""

import json
import random
from typing import Any

import msgspec
import pytest
from clickhouse_driver import Client

from deploy.backtest import Backtest, backtest, row_of
from deploy.backtest_commands import commands_of
from deploy.backtesting import Run, Source
from deploy.native_lines import Arrival, NativeLines
from deploy.stored_events import as_if_live, stored_arrivals
from schemas.catalogue import load
from schemas.clock import system_clock
from schemas.event import Lane
from schemas.outputs import AlarmTransition
from schemas.rules import BaselineKind, RuleKind
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS
from sinks.clickhouse import connect
from sinks.migrate import migrate

PANE = 10_000
PACKAGED = load()
CATALOGUE = msgspec.structs.replace(
    PACKAGED,
    alarm=[
        msgspec.structs.replace(one, baseline=BaselineKind.FIXED, p0=0.1) if one.kind is RuleKind.DROP else one
        for one in PACKAGED.alarm
    ],
)
START = (system_clock() // DAY_MS - 20) * DAY_MS
"""The tables forget what is older than their retention."""
TEXTS = (
    "subject", "conversation_ref", "in_reply_to", "survey_ref", "touchpoint", "product", "agent_ref", "corrects", "text",
    "lang", "consent",
)  # fmt: skip


def file_of(seed: int) -> list[dict[str, Any]]:
    """Return two days of events of both lanes: all channels, several answers, disputes, orders; none twice."""
    rng = random.Random(seed)
    out = []
    for number in range(400):
        at = START + rng.randrange(2 * DAY_MS)
        channel = rng.choice(["card", "email", "call", "web", "order"])
        one: dict[str, Any] = {
            "id": f"e{number}", "channel": channel, "touchpoint": rng.choice(["paris", "lyon"]),
            "kind": rng.choice(["rating", "complaint", "comment"]), "occurred_at": at,
            "arrived_at": at + rng.choice([0, 500, 5 * HOUR_MS]), "lane": rng.choice(["live", "live", "history"]),
            "attributes": {"topic": "till"}, "customer": {"id": f"c{rng.randrange(50)}"},
            "answers": [
                {"question": question, "score": rng.randrange(1, 6), "scale": [1, 5 if question == "csat" else 7]}
                for question in rng.sample(["csat", "ces"], rng.randrange(3))
            ],
        }  # fmt: skip
        if channel == "order":
            one |= {
                "kind": "order_placed",
                "order": {"ref": f"O{number}", "amount": 12.5, "currency": "EUR", "items": 2},
            }
        if number % 100 == 7:
            one |= {"kind": "dispute", "channel": "email", "lane": "live"}
        out.append(one)
    bad = [
        {
            "id": f"bad{number}", "channel": "card", "touchpoint": "lyon", "occurred_at": at, "arrived_at": at,
            "answers": [{"question": "csat", "score": 1, "scale": [1, 5]}],
        }
        for number in range(25)
        for at in [START + DAY_MS + number * 60_000]
    ]  # fmt: skip
    return sorted(out + bad, key=lambda one: one["arrived_at"])


def stored(client: Client, arrivals: list[Arrival]) -> None:
    """Store events as the sink does: '' where the envelope has none, columns beside each other."""
    rows = []
    for offset, one in enumerate(arrivals):
        event = one.event
        row: dict[str, Any] = {name: getattr(event, name) or "" for name in TEXTS}
        row |= {name: getattr(event, name) for name in ("event_id", "kind", "source", "attributes", "retract")}
        row |= {"channel": str(event.channel), "direction": str(event.direction), "lane": str(one.lane)}
        row |= {name: getattr(event.traits, name) for name in ("backfill", "second_hand", "probe", "non_human")}
        for name in ("question", "question_version", "score", "scale_min", "scale_max", "derived_by"):
            row[f"answer_{name}"] = [getattr(answer, name) or "" for answer in event.answers]
        order = event.order
        row |= {"order_ref": order.ref if order else "", "order_currency": (order.currency or "") if order else ""}
        row |= {
            "order_amount_minor": order.amount_minor if order else None, "order_items": order.items if order else None,
            "occurred_at": event.occurred_at, "received_at": event.received_at, "arrived_at": one.arrived_at,
            "topic": f"feedback.{event.channel}.v1", "partition": offset % 4, "offset": offset,
        }  # fmt: skip
        rows.append(row)
    names = list(rows[0])
    client.execute(
        f"INSERT INTO feedback_events ({', '.join(names)}) VALUES", [[row[name] for name in names] for row in rows]
    )


@pytest.fixture
def settings(engines: Any, clickhouse_database: str) -> Settings:
    host, port = engines.clickhouse_native
    given = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=clickhouse_database)
    migrate(given)
    return given


def arrivals_of(lines: list[dict[str, Any]]) -> list[Arrival]:
    found = list(NativeLines(CATALOGUE.scales(), "FR").read(lines))
    assert all(isinstance(one, Arrival) for one in found)
    return [one for one in found if isinstance(one, Arrival)]


def test_the_stored_events_give_what_the_file_gives(settings: Settings) -> None:
    lines = file_of(3)
    with connect(settings) as client:
        stored(client, arrivals_of(lines))
    until = START + 3 * DAY_MS
    renew = commands_of([json.dumps({"command": "renew", "from_pane": START + DAY_MS})])
    expected = list(
        backtest(lines, CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000, until=until, commands=renew)
    )  # fmt: skip
    assert {one["rule"] for one in expected if one["type"] == "alarm"} >= {"satisfaction_drop", "dispute"}
    test = Backtest(CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    found = stored_arrivals(connect(settings), since_ms=START, until_ms=until)
    assert [row_of(one) for one in test.run_arrivals(found, renew, until=until)] == expected
    assert test.read == {"counted": len(lines), "repeats": 0}


def test_only_what_arrived_in_the_days_asked_for_is_read(settings: Settings) -> None:
    arrivals = arrivals_of(file_of(4))
    with connect(settings) as client:
        stored(client, arrivals)
    span = (START + HOUR_MS, START + DAY_MS)
    found = list(stored_arrivals(connect(settings), since_ms=span[0], until_ms=span[1]))
    assert [one.event.event_id for one in found] != []
    assert sorted(one.event.event_id for one in found) == sorted(
        one.event.event_id for one in arrivals if span[0] <= one.arrived_at < span[1]
    )
    assert [one.arrived_at for one in found] == sorted(one.arrived_at for one in found)


def test_imported_events_may_count_as_if_they_had_come_live(settings: Settings) -> None:
    late = START + 10 * DAY_MS
    lines = [one | {"lane": "history", "arrived_at": late} for one in file_of(5) if one["channel"] == "card"]
    with connect(settings) as client:
        stored(client, arrivals_of(lines))

    def alarms(*, as_live: bool) -> list[AlarmTransition]:
        source = Source(since=START, until=late + DAY_MS, as_live=as_live)
        run = Run(source, CATALOGUE, settings, commands=[], alarms_only=True, renewals=True)
        found = [one for one in run.outputs() if isinstance(one, AlarmTransition)]
        (report,) = run.reports([], rules=["satisfaction_drop"])
        assert report.alarms == len({one.alarm_id for one in found})
        return found

    assert alarms(as_live=False) == []
    assert {one.key for one in alarms(as_live=True)} == {"lyon", "paris"}
    moved = as_if_live(arrivals_of(lines)[0])
    assert (moved.lane, moved.arrived_at) == (Lane.LIVE, lines[0]["occurred_at"])
