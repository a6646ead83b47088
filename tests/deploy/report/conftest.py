"""A store with two weeks of a small chain, written straight into the tables."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from clickhouse_driver import Client

from deploy.engines.local import Endpoints
from schemas.catalogue import Catalogue, load
from schemas.settings import Settings
from sinks.clickhouse import connect
from sinks.migrate import migrate

MONDAY = datetime(2026, 11, 16, tzinfo=UTC) - timedelta(hours=1)
"""Week 47 of 2026 begins, in Paris."""
HOSTILE = '<script>alert(1)</script> & "quoted" \u202eevil jean@example.org 06 12 34 56 78'
SHOPS = {"paris": 0.93, "lyon": 0.9, "lille": 0.62, "nantes": 0.87}
"""Shop -> share of satisfied in week 47; geneve has no answers."""

_NULLABLE = {"p0", "p1", "change_pane", "occurred_first", "occurred_last"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load()


@pytest.fixture(scope="module")
def settings(engines: Endpoints) -> Settings:
    host, port = engines.clickhouse_native
    name = f"t{uuid.uuid4().hex[:10]}"
    return Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=name)


@pytest.fixture(scope="module")
def store(settings: Settings, catalogue: Catalogue) -> Iterator[Client]:
    """A client of the filled store; the tests of a module only read it."""
    migrate(settings)
    with connect(settings) as client:
        fill(client, catalogue)
        yield client
        client.execute(f"DROP DATABASE {settings.clickhouse_database} SYNC")


def fill(client: Client, catalogue: Catalogue) -> None:
    """Write events, their counts and two alarms."""
    rng = Random(47)
    events: list[dict[str, Any]] = []
    for week in (0, 1):
        for shop, share in SHOPS.items():
            for _ in range(12 if shop == "nantes" else 120):
                good = rng.random() < (share if week == 1 else 0.9)
                events.append(_event(rng, shop, week, good))
    for number in range(90):
        events += _case(rng, number)
    events.append(
        {
            **_event(rng, "lille", 1, good=False),
            "text": HOSTILE,
            "answer_score": [1.0],
            "occurred_at": MONDAY + timedelta(days=3, hours=10, minutes=59),
        }
    )
    for week, count in ((-2, 400), (1, 40)):  # many more mails three weeks ago, and all of them bad
        events += [{**_event(rng, "paris", week, good=False), "channel": "email"} for _ in range(count)]
    insert(client, "feedback_events", [{"event_id": f"e{at:05}", **one} for at, one in enumerate(events)])
    insert(client, "tallies", list(_tallies(catalogue, events)))
    dispute = next(at for at, one in enumerate(events) if one["kind"] == "dispute" and one["occurred_at"] >= MONDAY)
    at = MONDAY + timedelta(days=3, hours=11)
    base = {"arrived_at": at, "dimension": "touchpoint", "severity": "page", "definition_hash": "d", "metric": "csat",
            "actor": "judge"}  # fmt: skip
    opened = {**base, "alarm_id": "a1", "rule": "satisfaction_drop", "key": "lille", "direction": "down", "n": 61, "bad": 24,
              "p0": 0.13, "p1": 0.25, "change_pane": at - timedelta(days=2), "occurred_first": MONDAY, "occurred_last": at,
              "first_pane": at}  # fmt: skip
    insert(client, "alarm_transitions", [
        {**opened, "transition_id": "t1", "sequence": 1, "state": "open", "pane": at},
        {**opened, "transition_id": "t2", "sequence": 2, "state": "acknowledged", "pane": at + timedelta(hours=1), "actor": "amelie",
         "note": "new staff at <till 2>"},
        {**base, "alarm_id": "a2", "transition_id": "t3", "sequence": 1, "rule": "dispute", "metric": "", "key": "lyon", "direction": "up",
         "state": "open", "pane": at, "first_pane": at, "event_id": f"e{dispute:05}"},
    ])  # fmt: skip


def insert(client: Client, table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows that name some of the columns."""
    names = sorted({name for row in rows for name in row})
    for name in names:
        empty = None if name in _NULLABLE else type(next(row[name] for row in rows if name in row))
        for row in rows:
            if name not in row:
                row[name] = None if empty is None else empty()
    client.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES", [[row[name] for name in names] for row in rows],
        settings={"async_insert": 0},
    )  # fmt: skip


def _event(rng: Random, shop: str, week: int, good: bool) -> dict[str, Any]:
    at = MONDAY + timedelta(days=7 * (week - 1), minutes=rng.randrange(7 * 1440))
    score = rng.choice((4, 5, 5)) if good else rng.choice((1, 2, 3))
    text = rng.choice(
        ("Très bien accueilli", "Rien à redire", "") if good else ("On attend trop à la caisse", "Article manquant", "")
    )
    return {
        "channel": "card", "kind": "rating", "touchpoint": shop, "subject": f"s{rng.randrange(400)}", "direction": "in",
        "occurred_at": at, "received_at": at, "arrived_at": at, "text": text and f"{text} ({rng.randrange(99)})",
        "answer_question": ["csat"], "answer_score": [float(score)], "answer_scale_min": [1.0], "answer_scale_max": [5.0],
    }  # fmt: skip


def _case(rng: Random, number: int) -> list[dict[str, Any]]:
    """Return the events of a customer on the ladder, with a question by mail that is mostly answered."""
    start = MONDAY - timedelta(days=rng.randrange(1, 200), minutes=rng.randrange(1440))
    shop, subject = rng.choice(list(SHOPS)), f"case{number}"
    last = MONDAY + timedelta(days=6)

    def made(kind: str, days: float, **more: Any) -> dict[str, Any]:
        at = min(start + timedelta(days=days), last)
        return {"channel": "call", "kind": kind, "touchpoint": shop, "subject": subject, "direction": "in", "occurred_at": at,
                "received_at": at, "arrived_at": at, "attributes": {"topic": ("delivery", "price")[number % 2]},
                "text": f"{kind} {number}"} | more  # fmt: skip

    out = [made("remark", 0)]
    if number % 2 == 0:
        out.append(made("complaint", 12 + number / 10))
    if number % 6 == 0:
        out.append(made("dispute", 40 + number / 5))
    asked = MONDAY + timedelta(hours=number)
    mail = {"channel": "email", "conversation_ref": f"c{number}", "attributes": {"topic": "order"}}
    out.append(made("question", 0, occurred_at=asked, arrived_at=asked, **mail))
    if number % 3:
        replied = asked + timedelta(hours=number % 40)
        out.append(made("reply", 0, occurred_at=replied, arrived_at=replied, direction="out", **mail))
    return out


def _tallies(catalogue: Catalogue, events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    csat, volume = (catalogue.named(name).identity for name in ("csat", "volume"))
    for one in events:
        for metric, bins in ((csat, one.get("answer_score", [])), (volume, [1])):
            for bin_ in bins:
                for dimension, key in (("*", "*"), ("channel", one["channel"]), ("touchpoint", one["touchpoint"])):
                    yield {
                        "metric": metric, "dimension": dimension, "key": key, "stratum": one["channel"],
                        "minute": one["occurred_at"].replace(second=0, microsecond=0), "bin": int(bin_), "count": 1,
                        "arrived_at": one["arrived_at"],
                    }  # fmt: skip
