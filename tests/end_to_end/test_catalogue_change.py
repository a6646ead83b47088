"""Another catalogue while everything runs and dies: what stays goes on, what is new is as if it had always been counted."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import msgspec
import pytest
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from deploy.alarms import By, arm
from deploy.catalogue_text import as_toml
from deploy.engines.local import Endpoints
from deploy.replay import replay
from deploy.stack import Stack
from schemas.catalogue import Catalogue, load
from schemas.clock import system_clock
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS
from sinks import clickhouse
from tests.end_to_end.conftest import settled
from tests.oracle import stored
from tests.oracle.comparison import differences, latest
from tests.oracle.recount import WINDOWS, recount

SEED = 5
PANE_MS = 1_000
AHEAD_S = 6
pytestmark = pytest.mark.long
REACH_MS = 36 * DAY_MS
PACKAGED = load()
CSAT, NPS, VOLUME = (PACKAGED.named(name) for name in ("csat", "nps", "volume"))
STRICT = msgspec.structs.replace(CSAT, name="csat_strict", box=(5,), target=None)
FALL = Rule(
    name="fall", owner="ops", kind=RuleKind.DROP, severity="page", metric="csat", baseline=BaselineKind.FIXED, p0=0.1,
    p1=(0.5,), budget_per_week=500.0, resolve_min_answers=10_000,
)  # fmt: skip
BEFORE = Catalogue(metric=[CSAT, NPS, VOLUME], alarm=[FALL])
STRICT_FALL = msgspec.structs.replace(FALL, name="strict_fall", metric="csat_strict")
AFTER = Catalogue(metric=[CSAT, STRICT, VOLUME], alarm=[msgspec.structs.replace(FALL, p1=(0.6,)), STRICT_FALL])


@pytest.fixture(scope="module")
def own(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run an installation of this module alone: its catalogue changes."""
    name, folder = f"e2c{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("change")
    (folder / "before.toml").write_text(as_toml(BEFORE))
    (folder / "after.toml").write_text(as_toml(AFTER))
    host, port = engines.clickhouse_native
    settings = Settings(
        data_dir=str(folder / "data"), catalogue=str(folder / "before.toml"), kafka_bootstrap=engines.kafka_bootstrap,
        topic_prefix=f"{name}.", clickhouse_url=f"clickhouse://default@{host}:{port}/{name}",
        clickhouse_http_url=engines.clickhouse_http, clickhouse_database=name, gateway_port=28_180, console_port=28_190,
        pane_ms=PANE_MS, provisional_step_ms=2_000, log_level="warning",
    )  # fmt: skip
    running = Stack(settings, environ=os.environ)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        with clickhouse.connect(running.settings, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


def barometer(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", *arguments, "--data-dir", stack.settings.data_dir],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def send(stack: Stack, dice: Random, count: int, *, past: bool = False, low: float = 0.1) -> None:
    """Send answers of now, or of the days that a judge reaches back to, and a repeat of one of them."""
    now = system_clock()
    items = []
    for _ in range(count):
        back = dice.choice((HOUR_MS // 2, DAY_MS, 7 * DAY_MS, REACH_MS - DAY_MS)) if past else 500
        bad = dice.random() < low
        items.append(
            {
                "id": str(uuid.UUID(int=dice.getrandbits(128), version=4)), "channel": dice.choice(("card", "email")),
                "kind": "rating", "touchpoint": dice.choice(("lyon", "paris", "lille")),
                "occurred_at": now - dice.randrange(back),
                "answers": [
                    {"question": "csat", "score": dice.choice((1, 2, 3)) if bad else dice.choice((4, 5))},
                    {"question": "nps", "score": dice.randrange(11)},
                ],
            }
        )  # fmt: skip
    for start in range(0, len(items), 100):
        answer = httpx.post(
            f"{stack.endpoints['gateway']}/v1/feedback", json=[*items[start : start + 100], items[start]],
            headers={"Authorization": f"Bearer {stack.endpoints['write_key']}"}, timeout=30,
        )  # fmt: skip
        answer.raise_for_status()
        assert answer.json()["rejected"] == []


def kill(stack: Stack, name: str) -> None:
    pid = stack.child(name).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


class Changed(msgspec.Struct, kw_only=True):
    """What `apply` said, the pane after all of it, and what stands in the store then."""

    said: dict[str, Any]
    pane: int
    readings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    transitions: list[tuple[str, str, str, int]]
    released: int
    """The pane in which the new metric said something for the first time."""
    last_of_gone: int
    """The pane in which the metric that is gone said something for the last time."""


@pytest.fixture(scope="module")
def changed(own: Stack) -> Changed:
    """Change the catalogue under load, with a kill of each process that has a part in it."""
    dice = Random(SEED)
    send(own, dice, 300, past=True)
    settled(own)
    assert arm(own.settings, FALL, {}, By("test")) is not None
    send(own, dice, 60, low=0.9)
    apply = barometer(
        own, "catalogue", "apply", str(Path(own.settings.catalogue).with_name("after.toml")), "--from", f"in {AHEAD_S}s",
        "--note", "as agreed", "--wait", "--json",
    )  # fmt: skip
    began = time.monotonic()
    for after_s, victim in ((AHEAD_S - 2.0, "tally"), (AHEAD_S + 0.5, "judge"), (AHEAD_S + 1.0, "recount")):
        while time.monotonic() - began < after_s:
            send(own, dice, 5)
            time.sleep(0.1)
        kill(own, victim)
    while apply.poll() is None:
        send(own, dice, 5)
        time.sleep(0.1)
    said = json.loads(ended(apply))
    send(own, dice, 50, past=True)
    send(own, dice, 50)
    until = settled(own) + 2 * own.settings.provisional_step_ms
    while (pane := settled(own)) < until:
        time.sleep(1.0)
    with clickhouse.connect(own.settings) as client:
        steps = client.execute(
            "SELECT rule, state, actor, toUnixTimestamp64Milli(pane) FROM alarm_transitions ORDER BY sequence"
        )
        said_at = "SELECT toUnixTimestamp64Milli({}(as_of)) FROM readings WHERE metric = '{}'"
        ((released,),) = client.execute(said_at.format("min", "csat_strict"))
        ((last_of_gone,),) = client.execute(said_at.format("max", "nps"))
        return Changed(
            said=said, pane=pane, readings=stored.readings(client), events=stored.events(client), transitions=steps,
            released=released, last_of_gone=last_of_gone,
        )  # fmt: skip


def naive(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Return (dimension, key) -> (occurred at, score) of every answer to csat, each event once, in order of time."""
    out: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for event in {one["event_id"]: one for one in events}.values():
        for answer in event["answers"]:
            if answer["question"] == "csat":
                for at in (("*", "*"), ("channel", event["channel"]), ("touchpoint", event["touchpoint"])):
                    out[at].append((event["occurred_at"], int(answer["score"])))
    return {at: sorted(answers) for at, answers in out.items()}


def within(answers: list[tuple[int, int]], end: int, length: int) -> dict[str, int]:
    chosen = answers[bisect_left(answers, (end - length, 0)) : bisect_left(answers, (end, 0))]
    return {str(score): count for score, count in Counter(score for _, score in chosen).items()}


def test_every_window_of_the_new_metric_holds_all_answers_of_before_and_after(changed: Changed) -> None:
    answers = naive(changed.events)
    rows = [one for one in changed.readings if one["metric"] == "csat_strict"]
    finals = [one for one in rows if one["status"] != "provisional"]
    assert {one["window"] for one in finals} == {"1h", "24h", "7d", "28d"}
    wrong = []
    for (series, window), ends in latest(rows).items():
        for end, row in ends.items():
            bins = {name: count for name, count in row["bins"].items() if count}
            expected = within(answers[series[1:]], end, WINDOWS[window][0])
            n = sum(expected.values())
            lo, hi = proportion_confint(expected.get("5", 0), n, 0.05, "wilson") if n else (None, None)
            figures = (row["n"], row["value"], row["lo"], row["hi"])
            wanted = (n, expected.get("5", 0) / n if n else None, lo, hi)
            if bins != expected or figures != pytest.approx(wanted, abs=1e-9):
                wrong.append((series, window, end, bins, expected, figures, wanted))
    assert wrong == []


def test_the_new_metric_has_every_row_within_reach_that_it_would_have_had(changed: Changed) -> None:
    """csat counts the same answers, so the recount of its changes tells where the new metric must have a row."""
    found = latest(changed.readings)
    checked = 0
    for ((metric, *at), window), counts in recount(changed.events, pane_ms=PANE_MS, until=changed.pane).items():
        if metric != "csat":
            continue
        length, step, lateness, _, _ = WINDOWS[window]
        rows = found[("csat_strict", *at), window]
        for end in counts.steps:
            within_reach = changed.released - length + 60_000 < end <= changed.pane - lateness
            if within_reach and not counts.is_dirty(end) and not counts.is_dirty(end - step):
                assert end in rows, (at, window, end)
                checked += 1
    assert checked > 100


def test_the_newest_figures_of_the_new_metric_are_those_of_all_answers(own: Stack, changed: Changed) -> None:
    answers = naive(changed.events)
    with clickhouse.connect(own.settings) as client:
        rows = client.execute(
            "SELECT dimension, key, window, toUnixTimestamp64Milli(max(window_end)) AS end, argMax(bins, window_end)"
            " FROM v_readings_latest WHERE metric = 'csat_strict' GROUP BY dimension, key, window"
        )
    assert len(rows) == 4 * len(answers)
    for dimension, key, window, end, bins in rows:
        expected = within(answers[dimension, key], end, WINDOWS[window][0])
        assert {name: count for name, count in bins.items() if count} == expected, (dimension, key, window)


def test_metrics_that_stay_go_on_unbroken_and_one_that_is_gone_ends(changed: Changed) -> None:
    truth = recount(changed.events, pane_ms=PANE_MS, until=changed.pane)
    stays = {at: counts for at, counts in truth.items() if at[0][0] in {"csat", "volume"}}
    kept = [one for one in changed.readings if one["metric"] in {"csat", "volume"}]
    assert differences(kept, stays, until=changed.pane) == []
    assert changed.last_of_gone < changed.said["from_pane"]


def test_an_open_alarm_of_a_changed_rule_ends_with_the_change_by_whoever_made_it(changed: Changed) -> None:
    steps = [(state, actor) for rule, state, actor, _ in changed.transitions if rule == "fall"]
    opened = [one for one in steps if one[0] == "open"]
    resolved = [
        (actor, pane) for rule, state, actor, pane in changed.transitions if (rule, state) == ("fall", "resolved")
    ]
    assert opened and len(resolved) == len(opened)
    assert {actor for actor, _ in resolved} != {"judge"}
    assert {pane for _, pane in resolved} == {changed.said["from_pane"]}


@pytest.mark.usefixtures("changed")
def test_views_over_tallies_and_over_events_agree_on_the_new_metric(own: Stack) -> None:
    columns = "dimension, key, window, window_end, n, value, lo, hi, quality, mapSort(bins), sum"
    with clickhouse.connect(own.settings) as client:
        for one, other in (("windows", "recount"), ("recount", "windows")):
            rows = client.execute(
                f"SELECT {columns} FROM v_metric_csat_strict_{one} EXCEPT SELECT {columns} FROM v_metric_csat_strict_{other}"
            )
            assert rows == []
        ((count, answers),) = client.execute(
            "SELECT count(), max(n) FROM v_metric_csat_strict_windows WHERE window = '28d' AND dimension = '*'"
        )
        assert count > 0 and answers > 300
        assert client.execute("SHOW TABLES LIKE 'v_metric_nps%'") == []


@pytest.mark.usefixtures("changed")
def test_a_replay_from_the_raw_topics_says_the_same_through_both_catalogues(own: Stack) -> None:
    report = replay(own.settings)
    assert report.differences == []
    assert report.planted > 0


def test_the_history_names_both_catalogues_and_commands_use_the_new_one(own: Stack, changed: Changed) -> None:
    rows = json.loads(ended(barometer(own, "catalogue", "history", "--json")))
    assert [(one["catalogue_hash"], one["state"]) for one in rows] == [(AFTER.hash, "in force"), (BEFORE.hash, "past")]
    assert rows[0]["note"] == "as agreed" and rows[0]["from_pane"] == changed.said["from_pane"]
    assert changed.said["unarmed"] == ["fall", "strict_fall"] and changed.said["events"] > 300
    assert "strict_fall is disarmed" in ended(barometer(own, "alarms", "disarm", "strict_fall"))
    again = barometer(own, "catalogue", "apply", str(Path(own.settings.catalogue).with_name("before.toml")))
    _, err = again.communicate(timeout=60)
    assert again.returncode == 1 and "series_ended" in err


@pytest.mark.usefixtures("changed")
def test_the_console_is_started_again_with_the_new_rules(own: Stack) -> None:
    deadline, asked = time.monotonic() + 60, {"rule": "strict_fall", "for_s": 60, "note": "tests"}
    while True:
        try:
            answer = httpx.post(f"{own.endpoints['console']}/v1/silences", json=asked, timeout=30)
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code < 300:
            break
        assert time.monotonic() < deadline, answer and answer.text
        time.sleep(0.2)
    assert own.child("console").starts == 2
