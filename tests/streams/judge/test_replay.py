"""`barometer replay` over the real stages: a clean pass agrees, and it sees what was tampered with."""

import asyncio
import random
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaProducer

from deploy.alarms import By, arm, renew, resolve
from deploy.certificate import read
from deploy.certifying import check, run
from deploy.engines.local import Endpoints
from deploy.positions import Positions
from deploy.replay import Range, replay
from deploy.said import Said, differences
from schemas.arrival import sent_header
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.errors import UsageError
from schemas.event import Answer, Channel, Direction, FeedbackEvent
from schemas.readiness import Readiness
from schemas.rules import IMMEDIATE
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import ADMITTED, GROUP_JUDGE, GROUP_TALLY, LIVE, SOURCES, sink_group
from sinks import clickhouse
from sinks.migrate import migrate
from sinks.shadow import live_hashes
from sinks.sinking import run_sink


def event(dice: random.Random, number: int, now_ms: int, *, past: bool) -> dict[str, Any]:
    score = float(dice.randrange(1, 6))
    one = FeedbackEvent(
        event_id=str(uuid.UUID(int=dice.getrandbits(128), version=4)), channel=Channel.CARD, kind="rating", source="test",
        touchpoint=dice.choice(("paris", "lyon")), occurred_at=now_ms - (dice.randrange(9, 30) * 86_400_000 if past else 0),
        received_at=now_ms, direction=Direction.IN,
        answers=[Answer(question="csat", score=score, scale_min=1, scale_max=5)],
    )  # fmt: skip
    record: dict[str, Any] = msgspec.to_builtins(one)
    return record


def publish(installation: Any, count: int, *, seed: int, past: bool = False) -> None:
    """Publish live cards, every tenth twice, or past ones as the gate would; one that is no event among them."""
    dice = random.Random(seed)
    topic = installation.settings.topic_prefix + (ADMITTED.name if past else LIVE[Channel.CARD].name)
    producer = KafkaProducer(
        bootstrap_servers=installation.settings.kafka_bootstrap, acks="all", enable_idempotence=True
    )
    for number in range(count):
        now_ms = system_clock()
        record = event(dice, number, now_ms, past=past)
        for _ in range(2 if number % 10 == 0 and not past else 1):
            producer.send(
                topic, key=record["event_id"].encode(), value=encode(Kind.EVENT, record), headers=[sent_header(now_ms)]
            )
    producer.send(topic, key=b"x", value=b"\x00no event")
    producer.close()


def settle(installation: Any) -> None:
    """Wait until all raw records are counted and their panes judged."""
    settings = installation.settings
    deadline = time.monotonic() + 60
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        ends = positions.ends(SOURCES)
        while True:
            tallies = {(one.topic, one.partition): one for one in positions.of(GROUP_TALLY)}
            behind = [at for at, end in ends.items() if tallies[at].offset < end]
            pane = max(one.metadata.get("to", 0) for one in tallies.values())
            if not behind and int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0) >= pane:
                return
            assert time.monotonic() < deadline, behind
            time.sleep(0.1)


def store(settings: Settings) -> None:
    """Let the real sink write all tallies, readings and transitions."""
    tables = ("tallies", "readings", "alarm_transitions")

    async def run() -> None:
        stop = asyncio.Event()
        sink = asyncio.create_task(run_sink(settings, Telemetry(), Readiness(), tables, stop=stop))
        with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
            deadline = time.monotonic() + 60
            while any(one.lag for table in tables for one in positions.of(sink_group(table))):
                assert time.monotonic() < deadline, "the sink does not reach the ends"
                await asyncio.sleep(0.1)
        stop.set()
        await sink

    migrate(settings)
    asyncio.run(run())


@pytest.mark.long
def test_replay_agrees_with_the_stages_and_commands_are_applied(
    installation: Any, engines: Endpoints, clickhouse_database: str, tmp_path: Path
) -> None:
    tally, judge = installation.start("tally"), installation.start()
    publish(installation, 900, seed=1, past=True)
    publish(installation, 300, seed=2)
    settle(installation)
    assert renew(installation.settings, author="test", note="", from_pane=None, timeout_s=30) is not None
    for rule in installation.catalogue.alarm:
        if rule.kind not in IMMEDIATE:
            assert arm(installation.settings, rule, {"alarms": 0}, By("test"), timeout_s=30) is not None
    resolve(installation.settings, "unknown", author="test", note="", timeout_s=30)
    tally.kill()
    judge.kill()
    publish(installation, 300, seed=3)
    tally, judge = installation.start("tally"), installation.start()
    settle(installation)
    installation.stop(tally, saves=False)
    installation.stop(judge)
    report = replay(installation.settings, against="kafka")
    assert report.differences == []
    assert report.events == 1500
    armed = sum(rule.kind not in IMMEDIATE for rule in installation.catalogue.alarm)
    assert report.decisions == 3 + armed
    assert report.readings > 0
    host, port = engines.clickhouse_native
    url = f"clickhouse://default@{host}:{port}/{clickhouse_database}"
    settings = msgspec.structs.replace(installation.settings, clickhouse_url=url)
    store(settings)
    again = replay(settings)
    assert again.differences == []
    assert {one.table for one in again.tables if one.live_rows} == {"tallies", "readings"}
    assert (again.events, again.outputs, again.transitions) == (report.events, report.outputs, report.transitions)
    assert again.pane is not None
    certified_and_tampered(settings, again.pane, tmp_path / "certificate.json")


DAMAGE = (
    ("readings", "ALTER TABLE readings UPDATE n = n + 1 WHERE status = 'final'"),
    ("tallies", "ALTER TABLE tallies DELETE WHERE (offset, minute) IN (SELECT offset, minute FROM tallies LIMIT 1)"),
    ("readings", "INSERT INTO readings SELECT * FROM readings WHERE seq > 0 AND status = 'provisional' LIMIT 1"),
)


def certified_and_tampered(settings: Settings, pane: int, file: Path) -> None:
    """A certificate of a range holds until a row of the range is changed, deleted or doubled; a row beyond it is not its affair."""
    with clickhouse.connect(settings) as client:
        half = client.execute("SELECT toUnixTimestamp64Milli(quantileExact(to_pane)) FROM tallies")[0][0]
    assert run(settings, within=Range(half), certified=file) == 0
    made = read(file)
    assert made.equal and (made.from_ms, made.to_ms) == (half, pane)
    assert sum(one.end for one in made.sources) > 0 and all(
        one.rows for one in made.tables if one.table != "alarm_transitions"
    )
    assert check(settings, made) == []
    with clickhouse.connect(settings) as client:
        client.execute(
            "ALTER TABLE tallies UPDATE count = count + 1 WHERE to_pane <= fromUnixTimestamp64Milli(%(half)s)"
            " SETTINGS mutations_sync = 1",
            {"half": half},
        )
    assert check(settings, made) == []
    topics = {one.table: one.topic_id for one in made.tables}
    for table, damage in DAMAGE:
        before = live_hashes(settings, 0, pane, topics)[table]
        with clickhouse.connect(settings) as client:
            client.execute(f"{damage} SETTINGS mutations_sync = 1" if damage.startswith("ALTER") else damage)
        assert live_hashes(settings, 0, pane, topics)[table] != before
    found = replay(settings).differences
    assert all(any(one.startswith(f"{table}: ") for one in found) for table, _ in DAMAGE), found
    assert len(check(settings, msgspec.structs.replace(made, from_ms=0))) == len({table for table, _ in DAMAGE})
    file.write_text(file.read_text().replace('"equal": true', '"equal": false'))
    with pytest.raises(UsageError, match="not as it was written"):
        read(file)


def test_a_difference_is_named() -> None:
    def said(*records: dict[str, Any]) -> Said:
        out = Said()
        for record in records:
            out.add(record)
        return out

    reading = {
        "seq": 1, "metric_version": "m", "dimension": "*", "key": "*", "window": "1h", "window_end": 60_000, "revision": 0,
        "status": "final", "n": 3,
    }  # fmt: skip
    second = {**reading, "seq": 2, "revision": 1, "status": "revised", "n": 4}
    transition = {"seq": 3, "transition_id": "t", "state": "open"}
    clean = said(reading, second, transition)
    assert list(differences(clean, said(second, transition, reading), "x")) == []
    assert any("n 4 != 5" in one for one in differences(clean, said(reading, {**second, "n": 5}, transition), "x"))
    assert any("1 outputs are missing" in one for one in differences(clean, said(second, transition), "x"))
    assert any("twice" in one for one in differences(clean, said(reading, second, second, transition), "x"))
    assert any("only in the clean pass" in one for one in differences(clean, said(reading, second), "x"))
