"""Kill a process of a stack with proof of unfinished work: stopped first, measured while it stands still, then killed."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import cast

from deploy.engines.supervisor import Child
from deploy.positions import Positions
from deploy.stack import Stack
from schemas.topics import GROUP_GATE, GROUP_JUDGE, GROUP_TALLY, sink_group
from tests.faults.load import Load

TARGETS = ("gateway", "tally", "judge", "sink", "gate")
POINTS = ("sink.before_insert", "sink.after_insert")
GROUPS = {"tally": GROUP_TALLY, "judge": GROUP_JUDGE, "sink": sink_group("feedback_events"), "gate": GROUP_GATE}
READY_TIMEOUT_S = 60.0
LONGEST_WAIT_S = 3.0
TRIES = 200
POLL_S = 0.05
KILL_SETTING = "BAROMETER_KILL_POINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill: where, and what was unfinished then, in requests (gateway), records (by offsets), or open inserts."""

    target: str
    at: str
    unfinished: int
    open_inserts: int
    ready_s: float


def at_random(stack: Stack, target: str, positions: Positions, load: Load, rng: Random) -> Kill:
    """Kill `target` at a random moment with work at hand; return when it is ready again."""
    child = stack.child(target)
    time.sleep(rng.uniform(0.2, LONGEST_WAIT_S))
    for _ in range(TRIES):
        pid = child.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        unfinished = load.unanswered if target == "gateway" else _lag(positions, target)
        if unfinished:
            inserts = _open_inserts(positions) if target == "sink" else 0
            os.killpg(pid, signal.SIGKILL)
            return Kill(
                target=target,
                at="random",
                unfinished=unfinished,
                open_inserts=inserts,
                ready_s=_ready_again(stack, target, pid),
            )
        os.kill(pid, signal.SIGCONT)
        time.sleep(rng.uniform(0, POLL_S))
    raise AssertionError(f"{target} had no unfinished work in {TRIES} looks")


def at_point(stack: Stack, point: str, positions: Positions, times: int, rng: Random) -> list[Kill]:
    """Have the sink kill itself at a named point, `times` times, each at the second insert or later after its start."""
    child = stack.child("sink")
    env = cast(dict[str, str], child.spec.env)
    kills: list[Kill] = []
    pid = child.pid
    assert pid is not None
    try:
        env[KILL_SETTING] = f"{point}:{rng.randrange(2, 5)}"
        os.killpg(pid, signal.SIGKILL)  # the next one has the setting
        while len(kills) < times:
            pid = _started(child, pid)
            began = time.monotonic()
            env[KILL_SETTING] = f"{point}:{rng.randrange(2, 5)}" if len(kills) < times - 1 else ""
            _wait(partial(_gone, child, pid), "kill at the point")
            kills.append(
                Kill(
                    target="sink",
                    at=point,
                    unfinished=_lag(positions, "sink"),
                    open_inserts=_open_inserts(positions),
                    ready_s=time.monotonic() - began,
                )
            )
    finally:
        env[KILL_SETTING] = ""
    child.await_ready(READY_TIMEOUT_S)
    return kills


def _gone(child: Child, pid: int) -> bool:
    return child.pid != pid


def _started(child: Child, before: int) -> int:
    """Return the pid of the next incarnation."""
    _wait(lambda: child.pid not in {None, before}, "new start")
    pid = child.pid
    assert pid is not None
    return pid


def _ready_again(stack: Stack, target: str, killed: int) -> float:
    began = time.monotonic()
    child = stack.child(target)
    _started(child, killed)
    child.await_ready(READY_TIMEOUT_S)
    return time.monotonic() - began


def _wait(there: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not there():
        assert time.monotonic() < deadline, f"no {what} within {READY_TIMEOUT_S} s"
        time.sleep(POLL_S)


def _lag(positions: Positions, target: str) -> int:
    return sum(one.lag for one in positions.of(GROUPS[target]))


def _open_inserts(positions: Positions) -> int:
    """Return the partitions whose committed mark says that an insert was under way."""
    return sum("pending" in one.metadata for one in positions.of(GROUPS["sink"]))
