"""Kills of all processes of the stack, and row 30 of the matrix: everything dies at once.

The page cache survives a kill: a loss of power is not simulated.
"""

import os
import signal
from functools import partial

from deploy.engines.supervisor import Child
from tests.faults.fault import Scene, fault
from tests.faults.kills import TARGETS, Kill

AGAINST_THE_FLOW = ("sink", "judge", "gate", "tally", "gateway")
"""Each has work as long as those after it run."""
assert set(AGAINST_THE_FLOW) == set(TARGETS)


@fault(30, "kill -9 of each process of the stack, one so soon after the other that several are down at once",
       proofs=("killed with unfinished work",))  # fmt: skip
def each_killed(scene: Scene) -> None:
    for target in AGAINST_THE_FLOW:
        scene.kill(target, patient=False)


@fault(30, "kill -9 of every process and both engines at once", proofs=("all killed",), limit_s=90.0)
def everything_killed(scene: Scene) -> None:
    ground = scene.ground
    scene.flow(scene.rng.randrange(20, 120))
    pids = {name: ground.child(name).pid for name in (*ground.names(), "kafka", "clickhouse")}
    for pid in pids.values():
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
    for name, pid in pids.items():
        scene.until(partial(_another, ground.child(name), pid), f"new start of {name}")
        scene.kills.append(Kill(target=name, at="all at once", unfinished=1, open=1))
    scene.hit("all killed")


def _another(child: Child, pid: int | None) -> bool:
    return child.pid not in {None, pid}
