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
from deploy.positions import SINK_TOPICS, Positions
from deploy.stack import Stack
from schemas.topics import GROUP_GATE, GROUP_JUDGE, GROUP_TALLY, sink_group
from tests.faults.load import Load

TARGETS = ("gateway", "tally", "judge", "sink", "gate")
POINTS = ("sink.before_insert", "sink.after_insert")
GROUPS = {
    "tally": [GROUP_TALLY],
    "judge": [GROUP_JUDGE],
    "sink": [sink_group(table) for table in SINK_TOPICS],
    "gate": [GROUP_GATE],
}
READY_TIMEOUT_S = 60.0
LONGEST_WAIT_S = 3.0
WORK_TIMEOUT_S = 60.0
POLL_S = 0.05
KILL_SETTING = "BAROMETER_KILL_POINT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill: where, and what was unfinished then.

    `unfinished`: requests without an answer (gateway), else records behind the committed positions. `open`: inserts under way
    (sink), requests (gateway), else partitions whose last pane (tally, judge) or batch (gate) was not committed.
    """

    target: str
    at: str
    unfinished: int
    open: int
    ready_s: float | None = None


def at_random(
    stack: Stack, target: str, positions: Positions, load: Load, rng: Random, *, patient: bool = True
) -> Kill:
    """Kill `target` at a random moment with work at hand; if `patient`, return when it is ready again."""
    child = stack.child(target)
    time.sleep(rng.uniform(0.2, LONGEST_WAIT_S))
    deadline = time.monotonic() + WORK_TIMEOUT_S
    while time.monotonic() < deadline:
        pid = child.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        unfinished, at_work = _at_hand(positions, target, load)
        if unfinished and at_work:
            os.killpg(pid, signal.SIGKILL)
            ready_s = _ready_again(stack, target, pid) if patient else None
            return Kill(target=target, at="random", unfinished=unfinished, open=at_work, ready_s=ready_s)
        os.kill(pid, signal.SIGCONT)
        time.sleep(rng.uniform(0, POLL_S))
    raise AssertionError(f"{target} had no unfinished work for {WORK_TIMEOUT_S} s")


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
            env[KILL_SETTING] = f"{point}:{rng.randrange(2, 5)}" if len(kills) < times - 1 else ""
            _wait(partial(_gone, child, pid), "kill at the point")
            unfinished, at_work = _at_hand(positions, "sink")
            kills.append(Kill(target="sink", at=point, unfinished=unfinished, open=at_work))
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


def _at_hand(positions: Positions, target: str, load: Load | None = None) -> tuple[int, int]:
    """Return what is unfinished and what is open of a process that stands still; see Kill."""
    if load is not None and target == "gateway":
        return load.unanswered, load.unanswered
    held = [one for group in GROUPS[target] for one in positions.of(group)]
    unfinished = sum(one.lag for one in held)
    if target == "sink":  # the mark that is committed before an insert says that it is under way
        return unfinished, sum("pending" in one.metadata for one in held)
    return unfinished, sum(one.lag > 0 for one in held)
