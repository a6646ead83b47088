"""Rows 19 to 21 of the matrix: the sink."""

import os
import signal
import time

from kafka.admin import KafkaAdminClient

from schemas.topics import sink_group
from sinks import clickhouse
from sinks.owner import SESSION_MS
from tests.faults.fault import Scene, fault
from tests.faults.matrix.streams import second


@fault(19, "sink: kill -9 at a random moment", proofs=("killed with unfinished work",))
def sink_killed(scene: Scene) -> None:
    for _ in range(3):
        scene.kill("sink")


@fault(20, "sink: two at once; the owner is paused beyond its session, the other writes, the owner goes on",
       proofs=("sink stopped", "the other took over"), limit_s=120.0)  # fmt: skip
def two_sinks(scene: Scene) -> None:
    other = second(scene, "sink", "sink")
    try:
        time.sleep(6.0)
        assert other.poll() is None, "the second sink ended by itself"
        before = _rows(scene)
        with scene.stopped("sink"):
            time.sleep(scene.lasting(2.0, 2.0))
            stood = _rows(scene)
            taken = scene.seen(lambda: _rows(scene) > max(stood, before), scene.lasting(40.0, 90.0))
            scene.hit("the other took over", int(taken))
            time.sleep(3.0)
        time.sleep(4.0)
    finally:
        other.kill()
        other.wait()


def _rows(scene: Scene) -> int:
    with clickhouse.connect(scene.ground.direct) as client:
        count: int = client.execute("SELECT count() FROM feedback_events")[0][0]
    return count


@fault(21, "sink: its committed offsets are deleted, everything is read again", proofs=("offsets deleted",), limit_s=90.0,
       at_random=False)  # fmt: skip
def offsets_deleted(scene: Scene) -> None:
    ground = scene.ground
    group = ground.direct.topic_prefix + sink_group("feedback_events")
    admin = KafkaAdminClient(bootstrap_servers=ground.direct.kafka_bootstrap)
    try:
        with scene.stopped("sink") as pid:
            time.sleep(SESSION_MS / 1000 + 3)  # only a group without members lets go of its offsets
            admin.delete_groups([group])
            scene.hit("offsets deleted", int(not any(admin.list_group_offsets(group).get(group, {}))))
            os.killpg(pid, signal.SIGKILL)
    finally:
        admin.close()
