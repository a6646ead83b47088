"""One watched key: its statistic, the opposite one while an alarm is open, and empty panes where they are evidence."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schemas.windows import DAY_MS
from streams.core.detectors.evidence import Evidence
from streams.core.detectors.weighted import Ratio, Weighted
from streams.core.watching import quiet
from streams.core.watching.kind import Baseline, Kind, Quiet, Today


class Phase(StrEnum):
    CALM = "calm"
    PENDING = "pending"
    ON = "on"


@dataclass(slots=True)
class Day:
    """What the answers of the running day have counted, by stratum; the pane that ends at midnight (UTC) is of the day before."""

    start: int = 0
    said: dict[str, tuple[float, float]] = field(default_factory=dict)

    def before(self, pane: int) -> Today:
        """Return what was counted in the day of `pane` before it."""
        start = (pane - 1) // DAY_MS * DAY_MS
        if start != self.start:
            self.start, self.said = start, {}
        return self.said

    def add(self, strata: Today) -> None:
        """Count (n, bad) of a pane; never fewer than none, where answers are taken back."""
        for name, (n, bad) in strata.items():
            held = self.said.get(name, (0, 0))
            worse, better = max(0, held[1] + bad), max(0, held[0] - held[1] + n - bad)
            self.said[name] = (worse + better, worse)


@dataclass(slots=True)
class Watch:
    """What is remembered of one watched key."""

    baseline: Baseline
    w: float
    statistic: Weighted
    evidence: Evidence = field(default_factory=Evidence)
    phase: Phase = Phase.CALM
    hold_until: int | None = None
    opposite: Weighted | None = None
    n: int = 0
    """Since the opening, like the next two."""
    bad: int = 0
    exposure: float = 0.0
    due: int | None = None
    day: Day = field(default_factory=Day)

    @property
    def running(self) -> Weighted:
        """Return the statistic that panes move now."""
        return self.statistic if self.opposite is None else self.opposite

    def begin(self, pane: int) -> None:
        """Look for the next alarm after `pane`."""
        self.phase, self.hold_until, self.opposite = Phase.CALM, None, None
        self.statistic.restart(pane)
        self.evidence.forget()

    def open(self, pane: int) -> None:
        """Look for the end of the alarm after `pane`."""
        self.phase, self.hold_until, self.opposite = Phase.ON, None, Weighted((1.0,), pane)
        self.n, self.bad, self.exposure = 0, 0, 0.0
        self.statistic.restart(pane)
        self.evidence.forget()


def settle(watch: Watch, kind: Kind, pane: int, pane_ms: int) -> None:
    """Take the empty panes up to `pane` where they are evidence, an hour of the profile at a time."""
    running = watch.running
    while running.settled < pane:
        first = running.settled + pane_ms
        said = kind.quiet(watch.baseline, first)
        if said is None:
            return
        to = min(pane, said.until)
        if watch.opposite is not None:
            panes = quiet.take(running, to, pane_ms, watch.w, (Ratio(-said.log_lr),))
            watch.exposure += sum(list(said.expected.values())) * panes
        else:
            panes = quiet.take(running, to, pane_ms, watch.w, said.ratios)
            strata = {name: (mu * panes, 0.0) for name, mu in said.expected.items()}
            watch.evidence.add(first, said.log_lr * panes, strata, first - pane_ms, to)


def settle_all(watch: Watch, kind: Kind, pane: int, pane_ms: int) -> None:
    """Take all panes up to `pane`, before the weight changes."""
    settle(watch, kind, pane, pane_ms)
    watch.running.settle(pane, pane_ms, watch.w)


def crossing(watch: Watch, kind: Kind, pane_ms: int, resolve_min: int) -> int | None:
    """Return when empty panes alone open or resolve the alarm, or the end of the hour in which they do not yet.

    None: they do not, however many there are.
    """
    running = watch.running
    said = None if watch.phase is Phase.PENDING else kind.quiet(watch.baseline, running.settled + pane_ms)
    if said is None:
        return None
    panes = (said.until - running.settled) // pane_ms
    towards = said.log_lr if watch.opposite is None else -said.log_lr
    if towards < 0:
        return None
    found = None
    if towards > 0 and watch.opposite is None:
        found = quiet.reaches(running, panes, watch.w, said.ratios)
    elif towards > 0:
        found = quiet.reaches(running, panes, watch.w, (Ratio(-said.log_lr),), _enough(watch, said, resolve_min))
    return said.until if found is None else running.settled + found * pane_ms


def _enough(watch: Watch, said: Quiet, wanted: int) -> int:
    """Return after how many empty panes there has been exposure enough to resolve; 1 at least."""
    each = sum(list(said.expected.values()))
    if each <= 0:
        return 1
    panes = max(1, int((wanted - watch.exposure) / each))
    while watch.exposure + each * panes < wanted:
        panes += 1
    return panes


def plain(watch: Watch, kind: Kind) -> list[Any]:
    """Return a watch as plain values."""
    opposite = None if watch.opposite is None else watch.opposite.freeze()
    return [
        kind.plain(watch.baseline), watch.w, watch.statistic.freeze(), watch.evidence.freeze(), watch.phase,
        watch.hold_until, opposite, watch.n, watch.bad, watch.exposure, watch.due,
        watch.day.start, [[name, *pair] for name, pair in sorted(watch.day.said.items())],
    ]  # fmt: skip


def restored(held: list[Any], kind: Kind) -> Watch:
    """Return the watch of `plain`."""
    baseline, w, statistic, evidence, phase, hold_until, opposite, n, bad, exposure, due, day, said = held
    out = Watch(kind.restored(baseline), w, Weighted(kind.weights, 0), Evidence(), Phase(phase), hold_until)
    out.statistic.thaw(statistic)
    out.evidence.thaw(evidence)
    if opposite is not None:
        out.opposite = Weighted((1.0,), 0)
        out.opposite.thaw(opposite)
    out.n, out.bad, out.exposure, out.due = n, bad, exposure, due
    out.day = Day(day, {name: (many, of) for name, many, of in said})
    return out
