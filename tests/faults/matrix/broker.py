"""Rows 8 to 13 of the matrix: the broker."""

import os
import signal
import time
from functools import partial

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec

from deploy.engines.supervisor import Child
from schemas.event import Channel
from schemas.topics import LIVE, sink_group
from tests.faults.fault import Scene, fault, needs_disk
from tests.faults.kills import Kill


@fault(
    12, "broker: three nodes, the leader of a live topic is killed", three=True, proofs=("leader killed",), limit_s=90.0
)
def leader_killed(scene: Scene) -> None:
    cluster = scene.ground.cluster
    assert cluster is not None
    topic = scene.ground.direct.topic_prefix + scene.rng.choice(list(LIVE.values())).name
    for _ in range(2):
        node = cluster.leader(topic)
        _kill_nodes(scene, [node])
        scene.hit("leader killed")
        scene.flow(40)
        cluster.nodes[node].await_ready(60)


@fault(12, "broker: three nodes, two of three are killed: nothing is acknowledged until they are back", three=True,
       proofs=("two of three killed",), limit_s=120.0)  # fmt: skip
def two_of_three_killed(scene: Scene) -> None:
    cluster = scene.ground.cluster
    assert cluster is not None
    _kill_nodes(scene, scene.rng.sample(range(3), 2))
    scene.hit("two of three killed")
    for node in cluster.nodes:
        node.await_ready(90)
    scene.flow(40)


def _kill_nodes(scene: Scene, numbers: list[int]) -> None:
    """Kill nodes at once, at a random moment, and return when the supervisor has started them again."""
    cluster = scene.ground.cluster
    assert cluster is not None
    time.sleep(scene.rng.uniform(0.05, 1.2))
    pids = {number: cluster.nodes[number].pid for number in numbers}
    for pid in pids.values():
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
    for number, pid in pids.items():
        scene.until(partial(_another, cluster.nodes[number], pid), "new start of a node")
        scene.kills.append(Kill(target="kafka node", at="random", unfinished=1, open=1))


def _another(node: Child, pid: int | None) -> bool:
    return node.pid not in {None, pid}


@fault(8, "broker: kill -9, again and again", proofs=("kafka killed",), limit_s=90.0)
def broker_killed(scene: Scene) -> None:
    for _ in range(3):
        scene.kill_engine("kafka")
        scene.ground.broker.await_ready(60)
        scene.flow(40)


@fault(9, "broker: away under load", proofs=("broker away",), limit_s=90.0)
def broker_away(scene: Scene) -> None:
    before = scene.ledger.sends
    scene.ground.broker_link.cut()
    time.sleep(scene.lasting(15.0, 300.0))
    scene.hit("broker away", scene.ledger.sends - before)
    scene.ground.broker_link.mend()


@fault(10, "broker: SIGSTOP", proofs=("kafka stopped",), limit_s=90.0)
def broker_stopped(scene: Scene) -> None:
    with scene.stopped("kafka"):
        time.sleep(scene.lasting(12.0, 60.0))


@fault(11, "broker: its disk is full, then grown", proofs=("the disk was full",), limit_s=120.0, needs=needs_disk)
def broker_disk_full(scene: Scene) -> None:
    disk = scene.ground.broker_disk
    log = scene.ground.broker.spec.log
    starts = scene.ground.broker.starts
    disk.fill(64 << 10)
    try:
        time.sleep(scene.lasting(8.0, 60.0))
        full = "No space left" in log.read_text(errors="replace") or "No space left" in _logged(scene)
        scene.hit("the disk was full", int(full or scene.ground.broker.starts > starts))
    finally:
        disk.grow()
    # a broker that lost its only log folder ends itself; the supervisor starts it again
    scene.ground.broker.await_ready(90)


def _logged(scene: Scene) -> str:
    file = scene.ground.folder / "logs" / "kafka.log"
    return file.read_text(errors="replace") if file.exists() else ""


@fault(13, "broker: its retention takes records that the sink has not read: the sink stops, it does not jump",
       proofs=("records gone", "the sink stopped"), final=True)  # fmt: skip
def log_cut_short(scene: Scene) -> None:
    ground = scene.ground
    topic = ground.direct.topic_prefix + LIVE[Channel.CARD].name
    with scene.stopped("sink") as pid:
        scene.flow(300)
        admin = KafkaAdminClient(bootstrap_servers=ground.direct.kafka_bootstrap)
        try:
            ends = {
                one: end.offset
                for one, end in admin.list_partition_offsets(
                    {
                        TopicPartition(topic, number): OffsetSpec.LATEST
                        for number in range(LIVE[Channel.CARD].partitions)
                    }
                ).items()
            }
            admin.delete_records(ends)
        finally:
            admin.close()
        scene.hit("records gone", sum(ends.values()))
        before = _committed(scene)
        os.killpg(pid, signal.SIGKILL)
    log = ground.child("sink").spec.log
    scene.hit("the sink stopped", int(scene.seen(lambda: b"offset_out_of_range" in log.read_bytes(), 60.0)))
    time.sleep(3.0)
    if _committed(scene) != before:
        scene.wrong("the sink went on behind the records that are gone")
    if "sink" not in ground.unready():
        scene.wrong("the sink says that it is ready")


def _committed(scene: Scene) -> dict[tuple[str, int], int]:
    group = sink_group("feedback_events")
    return {(one.topic, one.partition): one.offset for one in scene.positions.of(group) if "card" in one.topic}
