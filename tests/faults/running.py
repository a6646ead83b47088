"""Run faults on a ground: load, inject, heal, drain, check; one line of JSON a run."""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

from deploy import alarms, wiring
from deploy.positions import Positions
from deploy.settle import settle
from schemas.errors import BarometerError
from schemas.rules import IMMEDIATE
from tests.faults import checkers
from tests.faults.fault import Fault, Scene
from tests.faults.ground import Ground
from tests.faults.ledger import Ledger, read
from tests.faults.load import SHOPS, Load, event, send_all
from tests.faults.watching import Watch

SETTLE_TIMEOUT_S = 240.0
LEARNED = 280
"""Old answers by shop, so that the drop alarm is armed."""
WARM_EVENTS = 60
SPOOLED = "barometer_spool_records"
Tell = Callable[[str], None]


class Run(msgspec.Struct, kw_only=True):
    """What one run of one fault gave. Counts of events are of the run; `lost` and the like of the whole stack so far."""

    number: int
    fault: str
    title: str
    seed: int
    ok: bool = False
    idle: bool = False
    """The fault did not hit its moment: the run proves nothing and does not count."""
    skipped: str = ""
    hits: dict[str, int] = {}
    kills: dict[str, int] = {}
    """process@moment -> kills."""
    sends: int = 0
    accepted: int = 0
    unknown: int = 0
    unknown_stored: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    foreign: int = 0
    changed: int = 0
    aggregates: int = 0
    recovery_s: float = 0.0
    limit_s: float = 0.0
    peak_mb: float = 0.0
    """Largest resident memory of one process of ours."""
    spool_mb: float = 0.0
    heard: list[str] = []
    problems: list[str] = []
    notes: list[str] = []
    duration_s: float = 0.0
    check_s: float = 0.0
    recounted: bool = False
    """Whether the clean pass over the log (I6) was made after this run; it is made for several runs at once where it is slow."""
    at: str = ""
    proxy: str = ""


def arm(ground: Ground, seed: int) -> None:
    """Send old answers through the history lane and arm the rules, so that alarms open and resolve under the faults."""
    rng = Random(seed)
    past = [event(rng, shop, 0.1, old=True) for shop in SHOPS for _ in range(LEARNED)]
    found = ground.stack.endpoints
    send_all(found["gateway"], found["write_key"], past, ground.ledger)
    settled(ground)
    for rule in wiring.catalogue(ground.direct).alarm:
        if rule.kind not in IMMEDIATE:
            alarms.arm(ground.direct, rule, {}, alarms.By("faults"))


def settled(ground: Ground) -> None:
    """Wait until nothing is under way: no spool, no lag."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while held := ground.metric("gateway", SPOOLED):
        assert time.monotonic() < deadline, f"the gateway's spool still holds {held:.0f} records"
        time.sleep(0.2)
    settle(ground.direct.kafka_bootstrap, ground.direct.topic_prefix, timeout_s=SETTLE_TIMEOUT_S)


def loaded(ground: Ground, seed: str) -> Load:
    """Start a load; two of the same seed would send the same ids."""
    found = ground.stack.endpoints
    load = Load(found["gateway"], found["write_key"], ground.ledger, seed=seed, answer_timeout_s=4.0)
    load.start()
    return load


def try_fault(ground: Ground, fault: Fault, seed: int, *, long: bool = False) -> Run:
    """Try one fault once and return what came of it; a run that breaks says so as a problem."""
    run = Run(
        number=fault.number, fault=fault.name, title=fault.title, seed=seed, limit_s=fault.limit_s,
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), proxy=ground.links.name,
    )  # fmt: skip
    run.skipped = fault.needs(ground)
    if run.skipped:
        return run
    began = time.monotonic()
    ledger = ground.ledger
    before = counts(ledger)
    watch, verdict = Watch(ground), checkers.Verdict()
    load = loaded(ground, f"{fault.name} {seed}")
    scene: Scene | None = None
    try:
        with Positions(ground.direct.kafka_bootstrap, ground.direct.topic_prefix) as positions:
            scene = Scene(ground=ground, load=load, rng=Random(f"{fault.name} {seed}"), positions=positions, long=long)
            scene.flow(WARM_EVENTS)
            watch.start()
            fault.inject(scene)
            if fault.final:
                watch.stop()
            else:
                healed = time.monotonic()
                ground.await_ready()
                settled(ground)
                run.recovery_s = time.monotonic() - healed
                watch.stop()
        load.stop()
        if not fault.final:
            _counted(ground, fault, run, watch, verdict)
    except (AssertionError, BarometerError, OSError) as error:
        verdict.wrong("run", f"broke off: {type(error).__name__}: {error} at {_place(error)}")
        watch.abandon()
        _end(load)
    if scene is not None:
        run.hits, run.notes = dict(scene.hits), scene.notes
        verdict.problems += [f"product {one}" for one in scene.problems]
        for kill in scene.kills:
            name = f"{kill.target}@{kill.at}"
            run.kills[name] = run.kills.get(name, 0) + 1
        missed = [proof for proof in fault.proofs if not scene.hits[proof]]
        run.idle = bool(missed) and not verdict.problems
        run.notes += [f"never: {proof}" for proof in missed]
    filled(run, counts(ledger), before, verdict, watch)
    run.duration_s = time.monotonic() - began
    run.ok = not run.problems and not run.idle
    return run


def _counted(ground: Ground, fault: Fault, run: Run, watch: Watch, verdict: checkers.Verdict) -> None:
    """Let everything settle, then count."""
    settled(ground)
    began = time.monotonic()
    checkers.check(ground.direct, read(ground.ledger.file), verdict)
    recount(ground, run, verdict)
    run.check_s = time.monotonic() - began
    checkers.memory(watch.peaks_mb, watch.spool_mb, ground.settings, verdict)
    checkers.said_so(fault.tells, watch.heard, ground.still_unready(), verdict)
    if run.recovery_s > fault.limit_s:
        verdict.wrong("I8", f"recovered after {run.recovery_s:.0f} s, the limit is {fault.limit_s:.0f} s")


def recount(ground: Ground, run: Run, verdict: checkers.Verdict, *, always: bool = False) -> None:
    """Make the clean pass over the log, unless it was made so lately that it would take a quarter of all time."""
    began = time.monotonic()
    if always or began - ground.recounted_s >= 3 * ground.recount_took_s:
        checkers.aggregates(ground.direct, verdict)
        ground.recounted_s = time.monotonic()
        ground.recount_took_s = ground.recounted_s - began
        run.recounted = True


def closing(ground: Ground, seed: int) -> Run:
    """Count everything once more, readings and all, after the last fault."""
    run = Run(
        number=99, fault="closing", title="all of the above on one stack, counted once more at the end", seed=seed
    )
    began, verdict = time.monotonic(), checkers.Verdict()
    settled(ground)
    checkers.check(ground.direct, read(ground.ledger.file), verdict)
    recount(ground, run, verdict, always=True)
    filled(run, counts(ground.ledger), (0, 0, 0, 0), verdict, Watch(ground))
    run.hits = {"counted": 1, "transitions of the drop alarm": verdict.transitions}
    run.duration_s = run.check_s = time.monotonic() - began
    run.ok = not run.problems
    run.proxy = ground.links.name
    run.at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return run


def counts(ledger: Ledger) -> tuple[int, int, int, int]:
    """Return sends, acknowledged events, sends without an answer, and refusals so far."""
    return ledger.sends, len(ledger.acked), ledger.unknowns, ledger.refusals


def filled(run: Run, after: tuple[int, ...], before: tuple[int, ...], verdict: checkers.Verdict, watch: Watch) -> None:
    """Enter into a run what was counted, found and seen."""
    run.sends, run.accepted, run.unknown, run.refused = (now - then for now, then in zip(after, before, strict=True))
    run.lost, run.duplicated, run.foreign = verdict.lost, verdict.duplicated, verdict.foreign
    run.changed, run.aggregates, run.unknown_stored = verdict.changed, verdict.aggregates, verdict.unknown_stored
    run.problems = verdict.problems
    run.peak_mb = max(watch.peaks_mb.values(), default=0.0)
    run.spool_mb = watch.spool_mb
    run.heard = sorted(watch.heard)


def _end(load: Load) -> None:
    try:
        load.stop()
    except AssertionError:
        return  # the run is broken already, and says so


def _place(error: BaseException) -> str:
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "tests/faults" in one.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"


def told(run: Run) -> str:
    """Return a run in one line."""
    if run.skipped:
        return f"{run.number:>2} {run.fault}: not possible here: {run.skipped}"
    state = "ok" if run.ok else "IDLE" if run.idle else "WRONG"
    hits = ", ".join(f"{count} {what}" for what, count in run.hits.items())
    line = (
        f"{run.number:>2} {run.fault} seed {run.seed}: {state}; {run.accepted} events, recovery {run.recovery_s:.1f} s, "
        f"{run.duration_s:.0f} s in all, {run.check_s:.0f} s of it to count; {hits}"
    )
    return "\n     ".join([line, *run.problems, *run.notes])
