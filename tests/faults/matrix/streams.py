"""Rows 14 to 18 of the matrix: the two stages of the stream, tally and judge."""

import os
import shutil
import subprocess
import sys
import time

import msgspec
from kafka import KafkaProducer

from schemas.settings import keyring_path, to_environ
from schemas.topics import LIVE
from sinks import clickhouse
from tests.faults.fault import Scene, fault, needs_point
from tests.faults.load import event
from tests.faults.stimuli import MARK, plant, unplant

STAGES = ("tally", "judge")


@fault(14, "tally, judge and gate: kill -9 at a random moment", proofs=("killed with unfinished work",))
def streams_killed(scene: Scene) -> None:
    for target in ("judge", "gate", "tally"):
        scene.kill(target, patient=False)


def second(scene: Scene, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start another process beside the one that runs, with a data folder of its own, as another machine has it."""
    ground = scene.ground
    folder = ground.folder / "other"
    folder.mkdir(exist_ok=True)
    settings = msgspec.structs.replace(
        ground.settings,
        data_dir=str(folder),
        keyring=str(keyring_path(ground.settings)),  # one file for all processes
        ops_port=ground.ports.take(28_700),
        kill_point="",
        log_level="info",  # says what the group gives it
    )
    with (ground.folder / "logs" / f"second-{name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", *arguments], env={**os.environ, **to_environ(settings)},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


@fault(15, "tally and judge: a second worker comes and dies every few seconds; SIGSTOP beyond the group's timeout",
       proofs=("second worker lived", "tally stopped", "judge stopped"), limit_s=90.0)  # fmt: skip
def rebalance_storm(scene: Scene) -> None:
    for stage in STAGES:
        for _ in range(2):
            process = second(scene, stage, "worker", "--stage", stage)
            time.sleep(scene.rng.uniform(4.0, 7.0))
            scene.hit("second worker lived", int(process.poll() is None))
            process.kill()
            process.wait()
    for stage in STAGES:
        other = second(scene, stage, "worker", "--stage", stage)
        try:
            with scene.stopped(stage):
                time.sleep(scene.lasting(13.0, 70.0))
            time.sleep(2.0)
        finally:
            other.kill()
            other.wait()


@fault(
    16, "topics: poison: garbage, an unknown schema version, a cut record, an oversize record", proofs=("set aside",)
)
def poison(scene: Scene) -> None:
    ground = scene.ground
    with clickhouse.connect(ground.direct) as client:
        before = client.execute("SELECT count() FROM rejected_events WHERE stage = 'sink'")[0][0]
    producer = KafkaProducer(bootstrap_servers=ground.direct.kafka_bootstrap, max_request_size=2 << 20)
    bad = [b"garbage", b"\x00" * 64, b"\x00\x00\x00\x00\xff" + b"later", b"", b"\xff" * 900_000, os.urandom(500)]
    try:
        for topic in LIVE.values():
            for value in bad:
                producer.send(ground.direct.topic_prefix + topic.name, key=b"poison", value=value)
        producer.flush(30)
    finally:
        producer.close()

    def aside() -> bool:
        with clickhouse.connect(ground.direct) as client:
            found: int = client.execute("SELECT count() FROM rejected_events WHERE stage = 'sink'")[0][0]
        if found - before >= len(bad) * len(LIVE):
            scene.hit("set aside", found - before)
        return bool(scene.hits["set aside"])

    scene.until(aside, f"{len(bad) * len(LIVE)} records set aside", 60.0)
    if scene.hits["set aside"] != len(bad) * len(LIVE):
        scene.wrong(f"{scene.hits['set aside']} records set aside, {len(bad) * len(LIVE)} were planted")


@fault(16, "sink: rows that the store refuses for what they hold, among others", proofs=("set aside by bisection",),
       needs=needs_point("sink.mid_bisection"), limit_s=90.0)  # fmt: skip
def rows_refused(scene: Scene) -> None:
    ground = scene.ground
    with clickhouse.connect(ground.direct) as client, scene.client() as sender:
        before = client.execute("SELECT count() FROM rejected_events WHERE reason = 'refused_by_store'")[0][0]
        plant(ground)
        try:
            sent = 0
            for _ in range(6):
                events = [event(scene.rng, "paris", 0.1, old=False) for _ in range(20)]
                for number in scene.rng.sample(range(20), 2):
                    events[number]["id"] = MARK + events[number]["id"][8:]
                    sent += 1
                answer = sender.post("/v1/feedback", content=msgspec.json.encode(events))
                if answer.status_code == 202:
                    scene.ledger.taken([one["id"] for one in events], events)
                time.sleep(0.5)

            def aside() -> int:
                found: int = client.execute("SELECT count() FROM rejected_events WHERE reason = 'refused_by_store'")[0][
                    0
                ]
                return found - before

            scene.seen(lambda: aside() >= sent, 150.0)
            scene.hit("set aside by bisection", aside())
            if aside() != sent:
                scene.wrong(f"{aside()} rows set aside, {sent} were planted")
        finally:
            unplant(ground)


@fault(17, "sink: the store refuses every row of a topic: it stops and says so instead of setting all aside",
       proofs=("the sink stopped",), needs=needs_point("sink.mid_bisection"), limit_s=120.0)  # fmt: skip
def rows_all_refused(scene: Scene) -> None:
    ground = scene.ground
    with clickhouse.connect(ground.direct) as client:
        client.execute("ALTER TABLE feedback_events ADD CONSTRAINT planted CHECK rand() > 4294967295")
        try:
            scene.hit("the sink stopped", int(scene.seen(lambda: _stopped(scene), 60.0)))
        finally:
            client.execute("ALTER TABLE feedback_events DROP CONSTRAINT planted")


def _stopped(scene: Scene) -> bool:
    try:
        return scene.ground.metric("sink", "barometer_sink_stopped") > 0
    except AssertionError:  # it is between two lives
        return False


@fault(18, "streams: the data folder's state is deleted while all stages are dead", proofs=("state deleted",))
def state_deleted(scene: Scene) -> None:
    ground = scene.ground
    keyring = keyring_path(ground.settings).name
    kept = {"lock", "secrets", "logs", "endpoints.json", "leases", "spool", "imports", "keys"}
    kept |= {keyring, f"{keyring}-wal", f"{keyring}-shm"}
    pids = []
    for stage in (*STAGES, "gate"):
        pid = ground.child(stage).pid
        if pid is not None:
            pids.append((stage, pid))
            os.killpg(pid, 9)
    for one in ground.stack.folder.path.iterdir():
        if one.name not in kept:
            scene.notes.append(f"deleted {one.name}")
            shutil.rmtree(one) if one.is_dir() else one.unlink()
    scene.hit("state deleted")
    for stage, pid in pids:
        scene.until(lambda stage=stage, pid=pid: ground.child(stage).pid not in {None, pid}, f"new start of {stage}")
