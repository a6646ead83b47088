"""How late a change is found, beside other detectors at the same realised false-alarm rate: bad shares."""

from collections.abc import Callable
from functools import partial
from math import log
from typing import NamedTuple

import msgspec
import numpy as np

from deploy.simulation.answer_worlds import DAY
from deploy.simulation.covered import Floats
from deploy.simulation.null_answers import learned_levels
from deploy.simulation.promised import rng_of
from deploy.simulation.rivals import (
    Draw,
    Period,
    Rival,
    Roberts,
    Threshold,
    Window,
    delay,
    run_lengths,
    threshold,
)
from deploy.simulation.twin import Flags, Heard, Levels, Twin, known, play, replayed, spoken
from streams.core.detectors.cusum import BernoulliCusum, bernoulli_cusum

WITHIN = 1.15
PATHS = 2000
LEARNED = (200, 1000, 5000)
CHANGES = ((0.10, 0.20), (0.10, 0.30), (0.02, 0.06))
WINDOWS = (50, 100, 200)
WARM = 600
MOST = 1200
"""Answers after the change that are looked at: of a known baseline, and of a learned one (next)."""
MOST_LEARNED = 8000
FOUND = 0.995
FALSE_ROWS = 3000
"""Panes of a stretch in which false alarms are counted: long enough that the first ones do not matter."""
ROBERTS = "Shiryaev-Roberts by answer"


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """How many answers a pane holds, how much budget a pane has, and the period of the plain threshold."""

    name: str
    answers: int
    """In a pane that has any."""
    gap: float
    """Panes for one pane with answers, on average."""
    every: int
    """Answers for which one false alarm is promised."""
    period: str
    per_period: int

    @property
    def per_hour(self) -> float:
        """Return answers an hour."""
        return 360 * self.answers / self.gap


SPEEDS = (
    Speed(name="sparse: 100 answers a day", answers=1, gap=DAY / 100, every=2000, period="a day", per_period=100),
    Speed(name="10 answers a pane", answers=10, gap=1, every=50_000, period="10 minutes", per_period=600),
    Speed(name="200 answers a pane", answers=200, gap=1, every=4000, period="10 minutes", per_period=12_000),
)


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """One change at one speed: mean delays, in answers (or panes)."""

    change: str
    speed: str
    form: str
    unit: str
    promised: float
    """Answers (panes) for which one false alarm is promised; next: for which one came."""
    realised: float
    alarms: int
    ours: float | None
    per_hour: float
    """Answers (panes) an hour."""
    pane: float
    """Answers (panes) in a pane."""
    rivals: dict[str, float | None]
    learned: dict[int, float | None] = {}
    """Answers learned from -> our delay with that baseline; None: not found within the time that was simulated."""
    checked: int = 0

    @property
    def best(self) -> float:
        """Return the shortest delay of all."""
        return min(one for one in (self.ours, *self.rivals.values()) if one is not None)

    @property
    def within(self) -> bool:
        """Tell whether ours is within 15 % and one pane of the best."""
        return self.ours is not None and self.ours <= WITHIN * self.best + self.pane


def drawn(rng: np.random.Generator, speed: Speed, bad: float | Floats, rows: int, keys: int) -> Heard:
    """Return panes of a fixed number of answers; `bad` may differ by row and key."""
    gaps = rng.geometric(1 / speed.gap, (rows, keys)) if speed.gap > 1 else np.ones((rows, keys), np.int64)
    n = np.full((rows, keys), speed.answers, np.int64)
    return Heard(np.cumsum(gaps, axis=0), n[None], rng.binomial(n, bad)[None])


class Ours(NamedTuple):
    """Our mean delay in answers, None where too many paths ended without an alarm; and the panes that were checked."""

    mean: float | None
    checked: int


def ours(
    rng: np.random.Generator, speed: Speed, p: float, after: float, levels: Levels, *, averaged: bool, most: int
) -> Ours:
    """Return our mean delay from a change anywhere in a pane; `most` answers after it end a path."""
    keys, warm = levels.p0.shape[1], -(-WARM // speed.answers)
    rows = warm + -(-most // speed.answers) + 2
    heard = drawn(rng, speed, p, rows, keys)
    new = rng.integers(1, speed.answers + 1, keys)  # answers after the change in the pane of the change
    heard.bad[0, warm] = rng.binomial(speed.answers - new, p) + rng.binomial(new, after)
    heard.bad[0, warm + 1 :] = rng.binomial(speed.answers, after, (rows - warm - 1, keys))
    w = speed.answers / speed.gap / speed.every
    alarms = play(heard, spoken(heard, levels, averaged=averaged), Twin(keys, w))
    found = alarms[warm:]
    checked = replayed(heard, levels, w, alarms, averaged=averaged, panes=600)
    came = found.any(axis=0)
    if came.mean() < FOUND:
        return Ours(None, checked)
    return Ours(float(np.mean((new + np.argmax(found, axis=0) * speed.answers)[came])), checked)


def false_alarms(
    rng: np.random.Generator, speed: Speed, p: float, levels: Levels, panes: int, *, averaged: bool
) -> tuple[int, int]:
    """Return how many false alarms came, and in how many answers."""
    keys = levels.p0.shape[1]
    w, alarms = speed.answers / speed.gap / speed.every, 0
    times = max(1, panes // (FALSE_ROWS * keys))
    for _ in range(times):
        heard = drawn(rng, speed, p, FALSE_ROWS, keys)
        alarms += int(play(heard, spoken(heard, levels, averaged=averaged), Twin(keys, w)).sum())
    return alarms, times * FALSE_ROWS * keys * speed.answers


def coin(rng: np.random.Generator, p: float) -> Draw:
    """Return looks of one answer each, bad with the chance p."""
    return lambda: (rng.random(PATHS) < p).astype(float)


class Steps:
    """The CUSUM of the product, in whole steps: its run lengths are exact."""

    grid = np.zeros(0)

    def __init__(self, cusum: BernoulliCusum) -> None:
        self._m, self._s = cusum.m, np.zeros(PATHS)

    def look(self, seen: Floats) -> Floats:
        """Take one answer."""
        self._s = np.maximum(0.0, self._s + np.where(seen > 0, self._m - 1.0, -1.0))
        return self._s

    def restart(self, which: Flags) -> None:
        """Begin anew."""
        self._s[which] = 0.0


def _cusum(p0: float, p1: float, wanted: float) -> tuple[BernoulliCusum, float]:
    """Return the exact CUSUM with a run length above the one wanted, and the part of the limit below to mix in."""
    found = bernoulli_cusum(p0, p1, wanted)
    low = BernoulliCusum(found.m, found.worse, found.limit - 1)
    above, below = found.arl(p0), low.arl(p0)
    return found, (above - wanted) / (above - below)


def of_change(p0: float, p1: float, seed: int, size: float) -> list[Delay]:
    """Return a row for every speed and form (a slice: for two) of one change, known to everybody: from p0 to p1."""
    rng = rng_of(seed, f"delay {p0} {p1}")
    slope, base = log(p1 / p0) - log((1 - p1) / (1 - p0)), log((1 - p1) / (1 - p0))
    make: dict[str, Callable[[], Rival]] = {ROBERTS: partial(Roberts, PATHS, slope, base)}
    for answers in WINDOWS:
        make[f"window of {answers}"] = partial(Window, PATHS, answers, np.arange(1.0, answers + 1))
    measured = run_lengths([one() for one in make.values()], coin(rng, p0), round(30_000 * size), PATHS)
    return [
        _row(rng, speed, p0, p1, make, measured, averaged=averaged, size=size)
        for speed in (SPEEDS if size >= 1 else SPEEDS[:2])
        for averaged in ((False, True) if speed.answers > 1 and size >= 1 else (False,))
    ]


def _row(
    rng: np.random.Generator, speed: Speed, p0: float, p1: float, make: dict[str, Callable[[], Rival]],
    measured: list[Floats], *, averaged: bool, size: float,
) -> Delay:  # fmt: skip
    panes = round(size * (1_500_000 if averaged else 4_000_000 if speed.answers > 1 else 3_000_000))
    alarms, answers = false_alarms(rng, speed, p0, known(p0, p1, 500), panes, averaged=averaged)
    realised = answers / max(1, alarms)
    mean, checked = ours(rng, speed, p0, p1, known(p0, p1, PATHS), averaged=averaged, most=MOST)
    before, after = coin(rng, p0), coin(rng, p1)
    found: dict[str, float | None] = {}
    for (name, built), lengths in zip(make.items(), measured, strict=True):
        at = threshold(built().grid, lengths, realised, steps=name != ROBERTS, theorem=name == ROBERTS)
        found[name] = None if at is None else delay(built, at, before, after, WARM, 4 * MOST)
    exact, part = _cusum(p0, p1, realised)
    steps = partial(Steps, exact)
    at = Threshold(exact.limit - 1, exact.limit, part)
    period = Period(speed.per_period, fall=False)
    return Delay(
        change=f"{p0:.2f} -> {p1:.2f}", speed=speed.name, form="order-averaged" if averaged else "grouped",
        unit="answers", promised=speed.every, realised=realised, alarms=alarms, ours=mean, per_hour=speed.per_hour,
        pane=speed.answers, checked=checked,
        rivals={
            ROBERTS: found[ROBERTS],
            "CUSUM by answer": delay(steps, at, before, after, WARM, 4 * MOST),
            "best rolling window": min((one for name, one in found.items() if name != ROBERTS and one), default=None),
            "plain share of a period": period.delay(rng, (p0, p1), realised, 20_000, counts=False),
        },
        learned={
            many: _learned(rng, speed, p0, p1, many, averaged=averaged) for many in (LEARNED if size >= 1 else ())
        },
    )  # fmt: skip


def _learned(
    rng: np.random.Generator, speed: Speed, p0: float, p1: float, many: int, *, averaged: bool
) -> float | None:
    keys = 300
    levels = learned_levels([many] * keys, rng.binomial(many, p0, keys).tolist(), p1, 0.999)
    return ours(rng, speed, p0, p1, levels, averaged=averaged, most=MOST_LEARNED).mean


def work() -> dict[str, Callable[[int, float], list[Delay]]]:
    """Return the comparisons by name, in the order of the report."""
    return {f"delay {p0} {p1}": partial(of_change, p0, p1) for p0, p1 in CHANGES}
