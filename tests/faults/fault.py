"""What a fault of the matrix is, and the scene in which it is tried: a ground under load, a seeded generator, and what really hit."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import httpx

from deploy.positions import Positions
from schemas.killpoint import POINTS
from tests.faults.ground import Ground
from tests.faults.kills import Kill, at_hand, at_random
from tests.faults.ledger import Ledger
from tests.faults.load import Load

POLL_S = 0.05
FLOW_TIMEOUT_S = 60.0


@dataclass
class Scene:
    """One run of one fault. `hit` says that what was meant to happen did: a fault that hit nothing proves nothing."""

    ground: Ground
    load: Load
    rng: Random
    positions: Positions
    hits: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    long: bool = False
    """Whether outages last as long as the matrix says, minutes, instead of some seconds."""

    @property
    def ledger(self) -> Ledger:
        return self.ground.ledger

    def hit(self, what: str, times: int = 1) -> None:
        """Note that the fault did what it was meant to do."""
        if times:
            self.hits[what] += times

    def wrong(self, what: str) -> None:
        """Note that the product did what it must not, beyond what the checkers see."""
        self.problems.append(what)

    def lasting(self, short_s: float, long_s: float) -> float:
        """Return how long an outage lasts."""
        return long_s if self.long else short_s

    def flow(self, events: int = 100) -> None:
        """Return when so many more events were acknowledged. Raises AssertionError after a minute."""
        wanted = len(self.ledger.acked) + events
        self.until(lambda: len(self.ledger.acked) >= wanted, f"{events} acknowledged events", FLOW_TIMEOUT_S)

    def until(self, there: Callable[[], object], what: str, timeout_s: float = FLOW_TIMEOUT_S) -> None:
        """Return when `there` says so. Raises AssertionError."""
        deadline = time.monotonic() + timeout_s
        while not there():
            assert time.monotonic() < deadline, f"no {what} within {timeout_s:g} s"
            time.sleep(POLL_S)

    def seen(self, there: Callable[[], object], timeout_s: float) -> bool:
        """Return whether `there` says so within the time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if there():
                return True
            time.sleep(POLL_S)
        return False

    def kill(self, target: str, *, patient: bool = True) -> None:
        """Kill a process of the stack with work at hand."""
        self.kills.append(at_random(self.ground.stack, target, self.positions, self.load, self.rng, patient=patient))
        self.hit("killed with unfinished work")

    def kill_engine(self, name: str) -> None:
        """Kill the broker or the store at a random moment with work at hand: an insert or a request under way."""
        time.sleep(self.rng.uniform(0.05, 1.2))
        deadline = time.monotonic() + FLOW_TIMEOUT_S
        while True:
            pid = self.ground.child(name).pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            time.sleep(self.rng.uniform(0.02, 0.2))
            # the broker keeps the positions, so while it stands still only the clients can say what they wait for
            waiting = self.load.unanswered if name == "kafka" else at_hand(self.positions, "sink")[1]
            if waiting:
                break
            os.kill(pid, signal.SIGCONT)
            assert time.monotonic() < deadline, f"{name} had no work under way"
            time.sleep(self.rng.uniform(0, 0.1))
        os.killpg(pid, signal.SIGKILL)
        self.until(lambda: self.ground.child(name).pid not in {None, pid}, f"new start of {name}")
        self.kills.append(Kill(target=name, at="random", unfinished=waiting, open=waiting))
        self.hit(f"{name} killed")

    @contextmanager
    def stopped(self, name: str) -> Iterator[int]:
        """Let a process stand still (SIGSTOP) for as long as the block runs."""
        pid = self.ground.child(name).pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        self.hit(f"{name} stopped")
        try:
            yield pid
        finally:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:  # who waits for it may have killed it meanwhile
                self.notes.append(f"{name} did not outlive its pause")

    def restart(self, name: str) -> None:
        """Kill a process and wait for its successor, without looking for unfinished work."""
        child = self.ground.child(name)
        pid = child.pid
        if pid is not None:
            os.killpg(pid, signal.SIGKILL)
        self.until(lambda: child.pid not in {None, pid}, f"new start of {name}")

    def client(self, timeout_s: float = 20.0) -> httpx.Client:
        """Return a client of the gateway with a write key."""
        found = self.ground.stack.endpoints
        headers = {"Authorization": f"Bearer {found['write_key']}"}
        return httpx.Client(base_url=found["gateway"], headers=headers, timeout=timeout_s)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the matrix. `proofs`: what must have hit at least once in a run; `tells`: who must say it is not ready.

    `inject` begins, waits and heals; `needs` returns why it is not possible on a ground, or "".
    """

    number: int
    name: str
    title: str
    inject: Callable[[Scene], None]
    proofs: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    limit_s: float = 60.0
    """How long recovery may take: all ready, and what stood at the heal counted, judged and stored."""
    needs: Callable[[Ground], str] = lambda _ground: ""
    at_random: bool = True
    """Whether the random schedule may choose it."""
    final: bool = False
    """Whether the stack stands still after it, as it must: it comes last, and only `inject` judges."""
    three: bool = False
    """Whether it wants Kafka as three nodes: those faults share a ground of their own."""


REGISTRY: dict[str, Fault] = {}


def fault(
    number: int,
    title: str,
    *,
    proofs: tuple[str, ...] = (),
    tells: tuple[str, ...] = (),
    limit_s: float = 60.0,
    needs: Callable[[Ground], str] = lambda _ground: "",
    at_random: bool = True,
    final: bool = False,
    three: bool = False,
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Enter a function into the matrix under its own name; see Fault."""

    def enter(inject: Callable[[Scene], None]) -> Callable[[Scene], None]:
        name = inject.__name__
        assert name not in REGISTRY, name
        REGISTRY[name] = Fault(
            number=number, name=name, title=title, inject=inject, proofs=proofs, tells=tells, limit_s=limit_s, needs=needs,
            at_random=at_random and not three and not final, final=final, three=three,
        )  # fmt: skip
        return inject

    return enter


def needs_point(name: str) -> Callable[[Ground], str]:
    """Return what says why faults at this named point cannot be tried."""
    return lambda _ground: "" if name in POINTS else f"this version has no point {name}"


def needs_disk(ground: Ground) -> str:
    """Say why disks cannot be filled."""
    return "" if ground.store_disk.small else "needs root: a small file system in memory is mounted"
