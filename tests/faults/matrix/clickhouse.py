"""Rows 22 to 28 of the matrix: ClickHouse."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sinks import clickhouse
from tests.faults.fault import FLOW_TIMEOUT_S, Scene, fault, needs_disk
from tests.faults.kills import at_hand

TABLE = "feedback_events"


def _ask(scene: Scene, query: str) -> Any:
    with clickhouse.connect(scene.ground.direct) as client:
        return client.execute(query)


@fault(22, "ClickHouse: kill -9, again and again", proofs=("clickhouse killed",))
def store_killed(scene: Scene) -> None:
    for _ in range(4):
        scene.kill_engine("clickhouse")
        scene.ground.store.await_ready(60)
        scene.flow(20)


@fault(
    23,
    "ClickHouse: away, then SIGSTOP",
    proofs=("clickhouse stopped", "clickhouse away"),
    tells=("sink",),
    limit_s=90.0,
)
def store_away(scene: Scene) -> None:
    scene.ground.store_link.cut()
    time.sleep(scene.lasting(8.0, 300.0))
    scene.hit("clickhouse away", int("sink" in scene.ground.unready()))
    scene.ground.store_link.mend()
    scene.flow(40)
    with scene.stopped("clickhouse"):
        time.sleep(scene.lasting(8.0, 120.0))


@fault(24, "ClickHouse: its disk is full, then grown", proofs=("refused for lack of space",), tells=("sink",),
       limit_s=90.0, needs=needs_disk)  # fmt: skip
def store_disk_full(scene: Scene) -> None:
    disk = scene.ground.store_disk
    disk.fill(64 << 10)
    try:
        scene.hit("refused for lack of space", int(scene.seen(lambda: _says(scene, "space"), 20.0)))
        time.sleep(scene.lasting(2.0, 60.0))
    finally:
        disk.grow()


def _says(scene: Scene, word: str) -> bool:
    """Whether the sink says that it is not ready, and why."""
    return word in scene.ground.unready().get("sink", "")


@contextmanager
def _password(scene: Scene, password: str) -> Iterator[None]:
    """Have the sink live with another password for a while."""
    environ = scene.ground.environ("sink")
    name = "BAROMETER_CLICKHOUSE_URL"
    before = environ[name]
    environ[name] = before.replace("default@", f"default:{password}@")
    try:
        scene.restart("sink")
        yield
    finally:
        environ[name] = before
        scene.restart("sink")


@fault(25, "ClickHouse: read-only, wrong password, too many parts, table renamed away", tells=("sink",), limit_s=90.0,
       proofs=("refused: read-only", "refused: password", "refused: parts", "refused: no table"))  # fmt: skip
def store_refuses(scene: Scene) -> None:
    _ask(scene, f"RENAME TABLE {TABLE} TO away")
    scene.hit("refused: no table", int(scene.seen(lambda: _says(scene, "does not exist"), 15.0)))
    _ask(scene, f"RENAME TABLE away TO {TABLE}")
    scene.flow(40)
    _ask(scene, f"SYSTEM STOP MERGES {TABLE}")
    _ask(scene, f"ALTER TABLE {TABLE} MODIFY SETTING parts_to_throw_insert = 1, parts_to_delay_insert = 1")
    scene.hit("refused: parts", int(scene.seen(lambda: _says(scene, "parts"), 15.0)))
    _ask(scene, f"ALTER TABLE {TABLE} RESET SETTING parts_to_throw_insert, parts_to_delay_insert")
    _ask(scene, f"SYSTEM START MERGES {TABLE}")
    scene.flow(40)
    _ask(scene, f"ALTER TABLE {TABLE} MODIFY SETTING table_readonly = 1")
    scene.hit("refused: read-only", int(scene.seen(lambda: _says(scene, "readonly"), 15.0)))
    _ask(scene, f"ALTER TABLE {TABLE} RESET SETTING table_readonly")
    scene.flow(40)
    with _password(scene, "another"):
        scene.hit("refused: password", int(scene.seen(lambda: _says(scene, "uthentication"), 30.0)))


@fault(26, "ClickHouse: the log of tokens is lost in a crash, and the sink dies with an insert whose fate it does not know",
       proofs=("sink stopped with an insert open", "token logs deleted"), limit_s=90.0)  # fmt: skip
def token_log_lost(scene: Scene) -> None:
    pid = _stop_within_an_insert(scene)
    scene.restart("clickhouse")
    scene.ground.store.await_ready(60)
    logs = [one for one in scene.ground.store_disk.path.rglob("deduplication_logs") if one.is_dir()]
    for one in logs:
        shutil.rmtree(one)
    scene.hit("token logs deleted", len(logs))
    scene.restart("clickhouse")
    scene.ground.store.await_ready(60)
    os.killpg(pid, signal.SIGKILL)
    scene.until(lambda: scene.ground.child("sink").pid not in {None, pid}, "new start of the sink")


def _stop_within_an_insert(scene: Scene) -> int:
    """Stop the sink while the mark of an insert is committed; return its pid."""
    deadline = time.monotonic() + FLOW_TIMEOUT_S
    while time.monotonic() < deadline:
        pid = scene.ground.child("sink").pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        if at_hand(scene.positions, "sink")[1]:
            scene.hit("sink stopped with an insert open")
            return pid
        os.kill(pid, signal.SIGCONT)
        time.sleep(scene.rng.uniform(0.0, 0.1))
    raise AssertionError("the sink had no insert open")


@fault(27, "ClickHouse: a materialised view throws for some batches, then is gone", proofs=("the view threw",),
       tells=("sink",))  # fmt: skip
def view_throws(scene: Scene) -> None:
    _ask(scene, "CREATE TABLE IF NOT EXISTS faulty (x UInt8) ENGINE = Null")
    _ask(
        scene,
        f"CREATE MATERIALIZED VIEW faulty_view TO faulty AS SELECT throwIf(cityHash64(event_id) % 3 = 0, 'planted') AS x FROM {TABLE}",
    )
    scene.hit("the view threw", int(scene.seen(lambda: _says(scene, "planted"), 20.0)))
    time.sleep(2.0)
    _ask(scene, "DROP VIEW faulty_view SYNC")


@fault(28, "schema: a column is added, another renamed and back, while rows come in", proofs=("column added",))
def column_added(scene: Scene) -> None:
    name = f"later_{scene.rng.randrange(10**6)}"
    _ask(scene, f"ALTER TABLE {TABLE} ADD COLUMN {name} String DEFAULT 'none'")
    scene.flow(60)
    old = _ask(scene, f"SELECT countIf({name} = 'none') FROM {TABLE}")[0][0]
    scene.hit("column added", old)
    _ask(scene, f"ALTER TABLE {TABLE} RENAME COLUMN {name} TO {name}_b")
    scene.flow(40)
    _ask(scene, f"ALTER TABLE {TABLE} DROP COLUMN {name}_b")
