"""The texts that show what an alarm is about: ids only, of its channels, key and time; bad answers and complaints first."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from clickhouse_driver import Client

from deploy.alarm_words import ENGLISH, details
from deploy.cli import main
from deploy.console import StoredAlarms
from deploy.engines.local import Endpoints
from schemas.settings import Settings, to_environ
from sinks import queries
from sinks.clickhouse import connect
from sinks.migrate import migrate
from sinks.verbatims import shown, verbatims

CATALOGUE = """
[[metric]]
name = "csat"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
question_version = "2"
scale = [1, 5]
box = [4, 5]
dimensions = ["*", "channel", "touchpoint", "parent", "product", "attr.topic", "channel+touchpoint"]

[[metric]]
name = "bottom"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [1, 2]
good = "low"

[[metric]]
name = "nps"
version = 1
owner = "o"
title = "t"
kind = "nps"
question = "nps"
scale = [0, 10]

[[metric]]
name = "ces"
version = 1
owner = "o"
title = "t"
kind = "mean"
question = "ces"
scale = [1, 7]

[[metric]]
name = "complaint_rate"
version = 1
owner = "o"
title = "t"
kind = "event_share"
good = "low"
events = ["complaint"]
channels = ["card", "email"]

[[touchpoint]]
name = "paris"
time_zone = "Europe/Paris"
parent = "north"

[[touchpoint]]
name = "lille"
time_zone = "Europe/Paris"
parent = "north"

[[touchpoint]]
name = "lyon"
time_zone = "Europe/Paris"
parent = "south"

[[touchpoint]]
name = "north"
time_zone = "Europe/Paris"

[[touchpoint]]
name = "south"
time_zone = "Europe/Paris"
"""
QUESTIONS = {"csat": (1, 5, lambda score: score <= 3), "bottom": (1, 5, lambda score: score <= 2),
             "nps": (0, 10, lambda score: score <= 6), "ces": (1, 7, lambda score: score <= 3)}  # fmt: skip
PARENTS = {"paris": "north", "lille": "north", "lyon": "south"}
START = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
KEYS = (
    ("*", "*"), ("channel", "email"), ("touchpoint", "lyon"), ("parent", "north"), ("product", "shoe"), ("attr.topic", "till"),
    ("channel+touchpoint", '["card","lille"]'), ("channel+touchpoint", "__other__"), ("touchpoint", "__other__"), ("weather", "rain"),
)  # fmt: skip


@pytest.fixture(scope="module")
def settings(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    host, port = engines.clickhouse_native
    path = Path(tmp_path_factory.mktemp("catalogue")) / "catalogue.toml"
    path.write_text(CATALOGUE)
    name = f"t{uuid.uuid4().hex[:10]}"
    one = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=name, catalogue=str(path))
    migrate(one)
    yield one
    with connect(one) as client:
        client.execute(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with connect(settings) as one:
        for table in ("feedback_events", "alarm_transitions"):
            one.execute(f"TRUNCATE TABLE {table}")
        yield one


def insert(client: Client, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    client.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES", [[row[name] for name in names] for row in rows],
        settings={"async_insert": 0},
    )  # fmt: skip


def said(number: int, at: datetime, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number:04}", "channel": "card", "kind": "rating", "touchpoint": "lyon", "product": "", "direction": "in",
        "attributes": {}, "text": "a text", "occurred_at": at, "received_at": at, "arrived_at": at, "probe": False,
        "second_hand": False, "non_human": False, "corrects": "", "retract": False, "answer_question": [],
        "answer_question_version": [], "answer_score": [], "answer_scale_min": [], "answer_scale_max": [],
    } | more  # fmt: skip


def answer(question: str, score: float, version: str = "2") -> dict[str, Any]:
    lowest, highest, _ = QUESTIONS[question]
    return {"answer_question": [question], "answer_question_version": [version], "answer_score": [float(score)],
            "answer_scale_min": [float(lowest)], "answer_scale_max": [float(highest)]}  # fmt: skip


def step(alarm: str, sequence: int, state: str, **more: Any) -> dict[str, Any]:
    at = START + timedelta(days=2, hours=sequence)
    return {
        "transition_id": f"{alarm}-{sequence}", "alarm_id": alarm, "sequence": sequence, "rule": "r", "metric": "csat",
        "dimension": "*", "key": "*", "state": state, "actor": "judge", "pane": at, "first_pane": at, "change_pane": None,
        "occurred_first": None, "occurred_last": None, "event_id": "", "evidence": "{}", "arrived_at": at, "note": "",
    } | more  # fmt: skip


def of(client: Client) -> dict[str, list[str]]:
    return dict(client.execute("SELECT alarm_id, event_ids FROM v_alarm_verbatims"))


def random_events(rng: Random, count: int) -> list[dict[str, Any]]:
    out = []
    for number in range(count):
        question = rng.choice(list(QUESTIONS))
        lowest, highest, _ = QUESTIONS[question]
        asked = {} if rng.random() < 0.4 else answer("csat" if question == "bottom" else question, rng.randint(lowest, highest),
                                                     rng.choice("12"))  # fmt: skip
        out.append(said(
            number, START + timedelta(seconds=rng.randrange(3 * 86_400), milliseconds=rng.randrange(1000)),
            channel=rng.choice(("card", "email", "call")), touchpoint=rng.choice(("paris", "lille", "lyon", "north", "")),
            product=rng.choice(("", "shoe")), attributes=rng.choice(({}, {"topic": "till"})),
            kind=rng.choice(("rating", "comment", "complaint", "praise", "letter")), text=rng.choice(("", "a text", "another")),
            direction=rng.choice(("in", "in", "in", "out")), probe=rng.random() < 0.05, second_hand=rng.random() < 0.05,
            non_human=rng.random() < 0.05, **asked,
        ))  # fmt: skip
    return out


def at_key(event: dict[str, Any], dimension: str, key: str) -> bool:
    if dimension == "channel+touchpoint":
        return key.startswith("[") and [event["channel"], event["touchpoint"]] == json.loads(key)
    held = {
        "*": "*", "channel": event["channel"], "touchpoint": event["touchpoint"], "parent": PARENTS.get(event["touchpoint"]),
        "product": event["product"], "attr.topic": event["attributes"].get("topic"),
    }  # fmt: skip
    return held.get(dimension) == key


def is_bad(event: dict[str, Any], metric: str) -> bool:
    if event["kind"] in {"remark", "complaint", "letter", "dispute"}:
        return True
    question = "csat" if metric == "bottom" else metric
    if event.get("answer_question") != [question] or (metric == "csat" and event["answer_question_version"] != ["2"]):
        return False
    return bool(QUESTIONS[metric][2](event["answer_score"][0]))


def naive(events: list[dict[str, Any]], alarm: dict[str, Any]) -> list[str]:
    channels = {"card", "email"} if alarm["metric"] == "complaint_rate" else {"card", "email", "call"}
    found = [
        one for one in events
        if one["text"] and one["direction"] == "in" and not (one["probe"] or one["second_hand"] or one["non_human"])
        and one["channel"] in channels and at_key(one, alarm["dimension"], alarm["key"])
        and alarm["occurred_first"] <= one["occurred_at"] < alarm["occurred_last"] + timedelta(minutes=1)
    ]  # fmt: skip
    ordered = sorted(
        found, key=lambda one: (not is_bad(one, alarm["metric"]), -one["occurred_at"].timestamp(), one["event_id"])
    )
    return [one["event_id"] for one in ordered[:5]]


def test_the_view_finds_what_loops_over_all_events_find(client: Client) -> None:
    rng = Random(5)
    events = random_events(rng, 1_500)
    insert(client, "feedback_events", events)
    alarms = [
        step(f"{metric} {dimension} {key} {hours}", 1, "open", metric=metric, dimension=dimension, key=key,
             occurred_first=START + timedelta(minutes=rng.randrange(2_000)),
             occurred_last=START + timedelta(minutes=2_000 + 60 * hours))
        for metric in (*QUESTIONS, "complaint_rate")
        for dimension, key in KEYS
        for hours in (1, 20)
    ]  # fmt: skip
    insert(client, "alarm_transitions", alarms)
    found = of(client)
    assert found == {one["alarm_id"]: naive(events, one) for one in alarms}
    silent = {one["key"] for one in alarms if not found[one["alarm_id"]]}
    assert silent == {"__other__", "rain"}, "every key that can be mapped has texts, no other has"


def test_the_time_is_that_of_the_newest_opening_and_an_end_in_whole_minutes_counts_its_minute(client: Client) -> None:
    minute = timedelta(minutes=1)
    insert(client, "feedback_events", [
        said(number, START + number * minute + timedelta(seconds=40), **answer("csat", 1)) for number in range(20)
    ])  # fmt: skip
    first = {"occurred_first": START, "occurred_last": START + minute}
    again = {"occurred_first": START + 10 * minute, "occurred_last": START + 11 * minute}
    insert(client, "alarm_transitions", [
        step("reopened", 1, "open", **first), step("reopened", 2, "resolved"), step("reopened", 3, "open", **again),
        step("reopened", 4, "acknowledged", actor="ann", **first), step("reopened", 5, "resolved", **first),
        step("pending", 1, "pending", **first),
        step("withdrawn", 1, "pending", **first), step("withdrawn", 2, "resolved", note="withdrawn"),
        step("counts", 1, "open", change_pane=START + 17 * minute),
        step("unknown", 1, "open", metric="gone", **first),
    ])  # fmt: skip
    assert of(client) == {
        "reopened": ["e0011", "e0010"], "pending": ["e0001", "e0000"], "withdrawn": ["e0001", "e0000"],
        "counts": ["e0019", "e0018", "e0017"], "unknown": [],
    }  # fmt: skip


def test_an_immediate_alarm_has_its_event_and_what_was_taken_back_is_never_shown(client: Client) -> None:
    span = {"occurred_first": START, "occurred_last": START}
    insert(client, "feedback_events", [
        said(1, START), said(2, START), said(3, START, corrects="e0001"), said(4, START, corrects="e0002", retract=True),
    ])  # fmt: skip
    insert(client, "alarm_transitions", [
        step("drop", 1, "open", **span),
        step("dispute", 1, "open", metric="dispute", event_id="e0009", actor="tally", **span),
        step("dispute", 2, "acknowledged", metric="dispute", event_id="e0009", actor="ann", **span),
    ])  # fmt: skip
    assert of(client) == {"drop": ["e0003"], "dispute": ["e0009"]}


def test_rows_of_an_alarm_are_shown_with_the_ids_at_the_step_that_opened_it(client: Client, settings: Settings) -> None:
    insert(client, "feedback_events", [said(1, START), said(2, START)])
    span = {"occurred_first": START, "occurred_last": START, "evidence": '{"strata": {"card": {"n": 2}}}'}
    insert(client, "alarm_transitions", [
        step("drop", 1, "pending", **span), step("drop", 2, "open", **span), step("drop", 3, "open", actor="ann", note="n", **span),
        step("drop", 4, "resolved", **span), step("wait", 1, "pending", **span),
        step("dispute", 1, "open", metric="dispute", event_id="e0009", actor="tally"),
    ])  # fmt: skip
    rows = shown(client, queries.alarm_history(connect(settings)))
    evidence = {(one["alarm_id"], one["sequence"]): json.loads(one["evidence"]) for one in rows}
    told = {at: found["verbatims"] for at, found in evidence.items() if "verbatims" in found}
    assert told == {("drop", 2): ["e0001", "e0002"], ("wait", 1): ["e0001", "e0002"]}
    assert evidence["drop", 2]["strata"] == {"card": {"n": 2}}
    assert verbatims(client, ["dispute", "none"]) == {"dispute": ["e0009"]}
    assert verbatims(client, []) == {} and shown(client, []) == []


def test_the_console_and_the_command_show_the_ids(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    insert(client, "feedback_events", [said(1, START), said(2, START)])
    span = {"occurred_first": START, "occurred_last": START}
    insert(
        client, "alarm_transitions", [step("drop", 1, "open", severity="page", direction="down", n=2, bad=2, **span)]
    )
    kept = StoredAlarms(settings)
    (row,) = kept.history("dr", 10)
    assert details(row, ENGLISH)[-1] == "in their words: e0001, e0002"
    assert json.loads(kept.history("", 10)[0]["evidence"]) == {}
    for name, value in to_environ(msgspec.structs.replace(settings, kafka_bootstrap="localhost:1")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as done:
        main(["alarms", "show", "dr"])
    assert done.value.code == 0
    assert "in their words: e0001, e0002" in capsys.readouterr().out
