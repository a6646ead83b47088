"""Row 29 of the matrix: what a network does between our processes and the engines, by the links."""

import time

from tests.faults.fault import Scene, fault
from tests.faults.links import spoilt


@fault(29, "network: answers of ClickHouse break off in the middle: inserted or not?", proofs=("answer broken off",))
def answers_lost(scene: Scene) -> None:
    link = scene.ground.store_link
    for _ in range(4):
        before = _errors(scene)
        with spoilt(link, "limit_data", bytes=scene.rng.randrange(0, 60)):
            scene.seen(lambda before=before: _errors(scene) > before, 4.0)
        scene.hit("answer broken off", int(_errors(scene) - before))
        scene.flow(20)


@fault(29, "network: the connections to Kafka and ClickHouse are reset", proofs=("connections reset",))
def connections_reset(scene: Scene) -> None:
    for link in (scene.ground.store_link, scene.ground.broker_link):
        for answers in (True, False):
            with spoilt(link, "reset_peer", answers=answers, timeout=scene.rng.randrange(0, 20)):
                time.sleep(2.0)
            scene.hit("connections reset")
            time.sleep(1.0)


@fault(29, "network: a black hole to ClickHouse, then to Kafka", proofs=("black hole",), limit_s=120.0)
def black_hole(scene: Scene) -> None:
    for link in (scene.ground.store_link, scene.ground.broker_link):
        with spoilt(link, "timeout", timeout=0):
            time.sleep(scene.lasting(6.0, 60.0))
        scene.hit("black hole")
        link.cut()  # what the hole took is gone from the stream of bytes: a connection that lived on would speak nonsense
        link.mend()


@fault(29, "network: 20 kB/s, 300 ms, and answers in slices of 7 bytes", proofs=("slow",), limit_s=90.0)
def slow_network(scene: Scene) -> None:
    for link in (scene.ground.store_link, scene.ground.broker_link):
        link.add("bandwidth", rate=20)
        link.add("latency", latency=300, jitter=100)
        time.sleep(3.0)
        link.mend()
        with spoilt(link, "slicer", average_size=7, size_variation=3, delay=10):
            time.sleep(2.0)
        scene.hit("slow")


def _errors(scene: Scene) -> float:
    return scene.ground.metric("sink", 'barometer_inserts_total{outcome="retried"')
