"""kill -9 in the middle of the load: nothing is lost, nothing counted twice, and all of it equals a clean pass."""

import os
import time
import uuid
from collections.abc import Iterator
from random import Random

import pytest
from rich.console import Console
from rich.table import Table

from deploy import alarms, wiring
from deploy.engines.local import Endpoints
from deploy.positions import Positions
from deploy.replay import replay
from deploy.settle import settle
from deploy.stack import Stack
from schemas.rules import IMMEDIATE
from schemas.settings import Settings
from sinks import clickhouse
from sinks.accounting import conservation
from tests.faults.kills import POINTS, TARGETS, Kill, at_point, at_random
from tests.faults.load import HIT, SHOPS, Load, event, send_all

SETTLE_TIMEOUT_S = 240.0
AGAINST_THE_FLOW = ("sink", "judge", "gate", "tally", "gateway")
"""Each has work as long as those after it run."""
LEARNED = 280
"""Old answers by shop, so that the drop alarm is armed."""


@pytest.fixture
def stack(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"faults{uuid.uuid4().hex[:8]}"
    host, port = engines.clickhouse_native
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("faults")),
        kafka_bootstrap=engines.kafka_bootstrap,
        topic_prefix=f"{name}.",
        clickhouse_url=f"clickhouse://default@{host}:{port}/{name}",
        clickhouse_database=name,
        gateway_port=28_380,
        pane_ms=1_000,
        provisional_step_ms=10_000,
        snapshot_every_s=5.0,
        sink_flush_s=0.5,
        log_level="warning",
    )
    running = Stack(settings, environ=os.environ)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        with clickhouse.connect(running.settings, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


def armed(stack: Stack, rng: Random) -> set[str]:
    """Send old answers through the history lane and arm the rules; return the ids sent."""
    past = [event(rng, shop, 0.1, old=True) for shop in SHOPS for _ in range(LEARNED)]
    send_all(stack.endpoints["gateway"], stack.endpoints["write_key"], past)
    settled(stack)
    for rule in wiring.catalogue(stack.settings).alarm:
        if rule.kind not in IMMEDIATE:
            alarms.arm(stack.settings, rule, {}, alarms.By("faults"))
    return {one["id"] for one in past}


def settled(stack: Stack) -> None:
    settle(stack.settings.kafka_bootstrap, stack.settings.topic_prefix, timeout_s=SETTLE_TIMEOUT_S)


def campaign(stack: Stack, *, rounds: int, seed: int, points: bool) -> list[Kill]:
    """Kill under load, then hold rows, ids, readings and transitions against what was acknowledged.

    With `points` the sink dies at its kill points too; without, the kills come so fast that several processes are down at once.
    """
    rng = Random(seed)
    sent = armed(stack, rng)
    load = Load(stack.endpoints["gateway"], stack.endpoints["write_key"], seed=seed)
    kills: list[Kill] = []
    load.start()
    try:
        with Positions(stack.settings.kafka_bootstrap, stack.settings.topic_prefix) as positions:
            order = [target for target in AGAINST_THE_FLOW for _ in range(rounds)]
            if points:
                rng.shuffle(order)
            for target in order:
                kills.append(at_random(stack, target, positions, load, rng, patient=points))
                told(f"{target} killed with {kills[-1].unfinished} unfinished")
            for point in POINTS if points else ():
                kills += at_point(stack, point, positions, rounds, rng)
                told(f"sink killed {rounds} times at {point}")
    finally:
        load.stop()
    settled(stack)
    show(kills, load)
    balance = conservation(stack.settings)
    told(str(balance))
    assert balance.holds
    with clickhouse.connect(stack.settings) as client:
        stored = [row[0] for row in client.execute("SELECT event_id FROM feedback_events")]
        transitions = client.execute(
            "SELECT rule, key, state, count() FROM alarm_transitions GROUP BY ALL ORDER BY ALL"
        )
    told(f"transitions: {transitions}")
    assert len(stored) == len(set(stored))
    assert set(stored) == load.acked | sent
    assert {(rule, key) for rule, key, _, _ in transitions if rule == "satisfaction_drop"} == {
        ("satisfaction_drop", HIT)
    }
    report = replay(stack.settings, tell=told)
    told(f"replay: {report.readings} readings, {report.transitions} transitions, {report.difference_count} differences")
    assert report.differences == []
    assert report.equal
    assert all(kill.unfinished > 0 and kill.open > 0 for kill in kills)
    return kills


def told(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def show(kills: list[Kill], load: Load) -> None:
    table = Table(
        title=f"Kills under load: {len(load.acked)} events acknowledged, {load.sends} sends, {load.retries} sent again"
    )
    for column in (
        "process",
        "at",
        "kills",
        "unfinished, least",
        "unfinished, most",
        "open, least",
        "ready again, most",
    ):
        table.add_column(column)
    for target, at in dict.fromkeys((kill.target, kill.at) for kill in kills):
        held = [kill for kill in kills if (kill.target, kill.at) == (target, at)]
        slowest = max(kill.ready_s or 0.0 for kill in held)
        table.add_row(
            target,
            at,
            str(len(held)),
            str(min(kill.unfinished for kill in held)),
            str(max(kill.unfinished for kill in held)),
            str(min(kill.open for kill in held)),
            f"{slowest:.1f} s" if slowest else "",
        )
    Console(width=140).print(table)


@pytest.mark.timeout(600)
def test_one_kill_of_each_process_loses_nothing_and_doubles_nothing(stack: Stack) -> None:
    assert {kill.target for kill in campaign(stack, rounds=1, seed=5, points=False)} == set(TARGETS)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_a_campaign_of_kills_loses_nothing_and_doubles_nothing(stack: Stack, pytestconfig: pytest.Config) -> None:
    rounds, seed = pytestconfig.getoption("--rounds", 5), pytestconfig.getoption("--seed", 1)
    kills = campaign(stack, rounds=rounds, seed=seed, points=True)
    assert len(kills) == rounds * (len(TARGETS) + len(POINTS))
