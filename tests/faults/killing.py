"""A campaign of kill -9: every process at once loses its life again and again, at its named points and at random moments.

A named point is proved by the line that the process leaves in its log, a random kill by unfinished work seen while it stood still.
"""

import os
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from random import Random

from deploy import applying
from deploy.alarms import By
from deploy.positions import Positions
from schemas.catalogue import parse
from schemas.errors import BarometerError
from schemas.killpoint import POINTS
from tests.faults import checkers
from tests.faults.ground import KILL_SETTING, Ground
from tests.faults.kills import GROUPS, Kill, at_hand, deaths_at
from tests.faults.ledger import read
from tests.faults.load import Load
from tests.faults.running import Run, counts, filled, loaded, recount, settled
from tests.faults.stimuli import BY_HAND, Stimuli
from tests.faults.watching import Watch

AT_LEAST = 10
"""Kills at each named point."""
POINT_TIMEOUT_S, APPLIED_TIMEOUT_S = 25.0, 400.0
MOST_MISSED = 30
"""Moments of one process that did not come and are tried again."""
RANDOM_WAIT_S = 2.5
WORK_TIMEOUT_S = 20.0
OWNER = {"spool": "gateway", "seed": "recount"}
"""First part of a point's name -> the process that has it, where they differ."""
APPLIED = "seed.before_commit"
"""Reached once a change of the catalogue; the campaign makes one and kills there until it has enough."""
METRIC = """
[[metric]]
name = "faults_{number}"
version = 1
owner = "fault harness"
title = "Share of answers 3 to 5, which a campaign of kills brought into force"
kind = "share"
question = "csat"
question_version = "1"
scale = [1, 5]
box = [3, 5]
"""
Tell = Callable[[str], None]


def targets(ground: Ground) -> dict[str, list[str]]:
    """Return process -> its named points, of the processes that run."""
    out: dict[str, list[str]] = {
        name: [] for name in ground.names() if name in GROUPS or name in {"gateway", "recount"}
    }
    for point in sorted(POINTS - BY_HAND):
        first = point.partition(".")[0]
        out.setdefault(OWNER.get(first, first), []).append(point)
    return {name: points for name, points in out.items() if name in ground.names()}


def spread(points: Mapping[str, Sequence[str]], kills: int, rng: Random) -> dict[str, list[str]]:
    """Return process -> moments, in order: each point AT_LEAST times where there are kills enough, the rest at random."""
    count = sum(map(len, points.values()))
    each = min(AT_LEAST, max(1, kills // max(1, count)))
    out = {name: [point for point in mine for _ in range(each)] for name, mine in points.items()}
    for number in range(kills - each * count):
        out[sorted(out)[number % len(out)]].append("random")
    for name, moments in out.items():
        rng.shuffle(moments)
        # a change of the catalogue comes once, and all kills of its point are at it
        out[name] = [one for one in moments if one == APPLIED] + [one for one in moments if one != APPLIED]
    return out


class Killer(threading.Thread):
    """Kills one process at its moments; `kills` and `missed` say what came of it."""

    def __init__(self, ground: Ground, load: Load, target: str, moments: list[str], seed: int) -> None:
        super().__init__(name=f"kill-{target}", daemon=True)
        self.kills: list[Kill] = []
        self.missed: Counter[str] = Counter()
        self.by_itself: list[str] = []
        self.failed: BaseException | None = None
        self._ground, self._load, self.target = ground, load, target
        self.moments = moments
        self._rng = Random(f"{target} {seed}")
        self._child = ground.child(target)

    def run(self) -> None:
        """Kill until every moment was tried."""
        environ = self._ground.environ(self.target)
        direct = self._ground.direct
        try:
            with Positions(direct.kafka_bootstrap, direct.topic_prefix) as positions:
                pid = self._child.pid
                assert pid is not None
                first = self.moments[0]
                if first != "random":  # only a start takes the setting
                    environ[KILL_SETTING] = self._setting(first)
                    _kill(pid)
                    pid = self._next(pid)
                waiting = deque(self.moments)
                while waiting:
                    moment = waiting.popleft()
                    environ[KILL_SETTING] = self._setting(waiting[0] if waiting else "random")
                    before = len(self.kills)
                    self._one(pid, moment, positions)
                    pid = self._next(pid)
                    if len(self.kills) == before and self.missed.total() <= MOST_MISSED:
                        waiting.append(moment)  # its turn comes again, after the others
                        if len(waiting) == 1:  # the process that has just started was not told
                            environ[KILL_SETTING] = self._setting(moment)
                            _kill(pid)
                            pid = self._next(pid)
        except BaseException as error:  # told by who waits for it
            self.failed = error
        finally:
            environ[KILL_SETTING] = ""

    def _setting(self, moment: str) -> str:
        if moment == "random":
            return ""
        return f"{moment}:{1 if moment == APPLIED else self._rng.randrange(1, 4)}"

    def _one(self, pid: int, moment: str, positions: Positions) -> None:
        if moment == "random":
            self._random(pid, positions)
            return
        before = deaths_at(self._child.spec.log, moment)
        deadline = time.monotonic() + (APPLIED_TIMEOUT_S if moment == APPLIED else POINT_TIMEOUT_S)
        while self._child.pid == pid and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._child.pid == pid:
            self.missed[moment] += 1
            _kill(pid)
        elif deaths_at(self._child.spec.log, moment) > before:
            self.kills.append(Kill(target=self.target, at=moment, unfinished=1, open=1))
        else:
            self.by_itself.append(self._child.log_tail()[-600:])

    def _random(self, pid: int, positions: Positions) -> None:
        time.sleep(self._rng.uniform(0.0, RANDOM_WAIT_S))
        deadline = time.monotonic() + WORK_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._child.pid != pid:
                self.by_itself.append(self._child.log_tail()[-600:])
                return
            _signal(pid, signal.SIGSTOP)
            unfinished, at_work = at_hand(positions, self.target, self._load)
            if unfinished and at_work:
                _kill(pid)
                self.kills.append(Kill(target=self.target, at="random", unfinished=unfinished, open=at_work))
                return
            _signal(pid, signal.SIGCONT)
            time.sleep(self._rng.uniform(0, 0.05))
        self.missed["random"] += 1
        _kill(pid)

    def _next(self, before: int) -> int:
        deadline = time.monotonic() + 60
        while self._child.pid in {None, before}:
            assert time.monotonic() < deadline, f"{self.target} does not start again"
            time.sleep(0.02)
        pid = self._child.pid
        return self._next(before) if pid is None else pid


def change(ground: Ground, number: int) -> None:
    """Bring a new series into force soon; it begins with a past that the seeder recounts."""
    text = (files("schemas") / "catalogue.toml").read_text("utf-8") + METRIC.format(number=number)
    wanted = parse(text, pane_ms=ground.direct.pane_ms)
    applying.apply(ground.direct, wanted, from_ms=int(time.time() * 1000) + 8_000, seed=True, by=By("faults"))


def campaign(ground: Ground, kills: int, seed: int, tell: Tell, processes: Collection[str] = ()) -> Run:
    """Kill so many times, then settle and check everything; `processes`: only these, none named: all."""
    began = time.monotonic()
    ledger = ground.ledger
    before = counts(ledger)
    run = Run(
        number=0, fault="kills", title="campaigns of kill -9, at named points and at random", seed=seed, limit_s=90.0,
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), proxy=ground.links.name,
    )  # fmt: skip
    load, watch = loaded(ground, f"kills {seed}"), Watch(ground)
    chosen = {name: points for name, points in targets(ground).items() if not processes or name in processes}
    killers = [
        Killer(ground, load, target, moments, seed)
        for target, moments in spread(chosen, kills, Random(seed)).items()
        if moments
    ]
    wanted = frozenset(moment for one in killers for moment in one.moments)
    stimuli, verdict = Stimuli(ground, wanted, seed), checkers.Verdict()
    try:
        watch.start()
        stimuli.start()
        for one in killers:
            one.start()
        if APPLIED in wanted:
            change(ground, seed)
            tell("a new series comes into force under the kills")
        told_s = time.monotonic()
        while any(one.is_alive() for one in killers):
            time.sleep(0.5)
            for one in killers:
                if not one.is_alive():
                    stimuli.enough(one.target)
            if time.monotonic() - told_s > 20:
                told_s = time.monotonic()
                done = {one.name: len(one.kills) for one in killers}
                tell(f"{sum(done.values())} of {kills} kills, {len(ledger.acked) - before[1]} events; {done}")
        broken = [f"{one.name}: {one.failed!r}" for one in killers if one.failed is not None]
        assert not broken, broken
        stimuli.stop()
        healed = time.monotonic()
        ground.await_ready()
        settled(ground)
        run.recovery_s = time.monotonic() - healed
        watch.stop()
        load.stop()
        settled(ground)
        stimuli.lift()
        tell("settled; every row and reading is counted again")
        checkers.check(ground.direct, read(ledger.file), verdict)
        recount(ground, run, verdict, always=True)
        checkers.memory(watch.peaks_mb, watch.spool_mb, ground.settings, verdict)
        checkers.said_so((), watch.heard, ground.still_unready(), verdict)
    except (AssertionError, BarometerError, OSError) as error:
        verdict.wrong("run", f"broke off: {type(error).__name__}: {error}")
        stimuli.stop()
        watch.abandon()
    _told(run, ground, killers)
    filled(run, counts(ledger), before, verdict, watch)
    run.duration_s = time.monotonic() - began
    run.ok = not run.problems
    return run


def _told(run: Run, ground: Ground, killers: list[Killer]) -> None:
    """Enter the kills, what never came, and who ended by itself."""
    for one in killers:
        for kill in one.kills:
            name = f"{kill.target}@{kill.at}"
            run.kills[name] = run.kills.get(name, 0) + 1
        run.notes += [f"{one.target}: {count} times never came to {moment}" for moment, count in one.missed.items()]
        for tail in one.by_itself:
            run.notes.append(f"{one.target} ended by itself: {tail}")
    left_out = sorted(POINTS - {one for points in targets(ground).values() for one in points})
    run.notes += [f"not in the campaign: {one}" for one in left_out]
    run.hits = {"kills with work at hand": sum(run.kills.values())}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it came to its point a moment before
        os.killpg(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
