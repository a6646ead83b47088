"""Kill a process of a stack with proof of unfinished work: stopped first, measured while it stands still, then killed."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from deploy.engines.supervisor import Child
from deploy.positions import SINK_TOPICS, Positions
from deploy.stack import Stack
from schemas.topics import GROUP_GATE, GROUP_JUDGE, GROUP_RECOUNT, GROUP_TALLY, sink_group
from tests.faults.load import Load

TARGETS = ("gateway", "tally", "judge", "sink", "gate")
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
        unfinished, at_work = at_hand(positions, target, load)
        if unfinished and at_work:
            os.killpg(pid, signal.SIGKILL)
            ready_s = _ready_again(stack, target, pid) if patient else None
            return Kill(target=target, at="random", unfinished=unfinished, open=at_work, ready_s=ready_s)
        os.kill(pid, signal.SIGCONT)
        time.sleep(rng.uniform(0, POLL_S))
    raise AssertionError(f"{target} had no unfinished work for {WORK_TIMEOUT_S} s")


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


def deaths_at(log: Path, point: str) -> int:
    """Return how often the process with this log has been killed at a named point."""
    return log.read_bytes().count(f"killed at {point}\n".encode())


def at_hand(positions: Positions, target: str, load: Load | None = None) -> tuple[int, int]:
    """Return what is unfinished and what is open of a process that stands still; see Kill."""
    if load is not None and target == "gateway":
        return load.unanswered, load.unanswered
    if target == "recount":  # it works on what the judge has passed; it has no records of its own to be behind
        judged = int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0)
        own = positions.committed(positions._prefix + GROUP_RECOUNT)
        done = max((int(json.loads(one.metadata)["pane"]) for one in own.values() if one.metadata), default=0)
        return max(0, judged - done), int(judged > done)
    held = [one for group in GROUPS[target] for one in positions.of(group)]
    unfinished = sum(one.lag for one in held)
    if target == "sink":  # the mark that is committed before an insert says that it is under way
        return unfinished, sum("pending" in one.metadata for one in held)
    return unfinished, sum(one.lag > 0 for one in held)
