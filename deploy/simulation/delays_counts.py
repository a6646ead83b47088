"""How late a fall of counts is found, beside other detectors at the same realised false-alarm rate; delays in panes."""

from collections.abc import Callable
from functools import partial
from math import ceil, log

import msgspec
import numpy as np

from deploy.simulation.covered import Counts as Seen
from deploy.simulation.covered import Floats
from deploy.simulation.delays import FOUND, LEARNED, Delay
from deploy.simulation.null_counts import Flowed, play, replayed, taught
from deploy.simulation.promised import rng_of
from deploy.simulation.rivals import Cusum, Draw, Period, Rival, Roberts, Window, delay, run_lengths, threshold
from schemas.rules import RuleKind
from streams.core.detectors.likelihood import Counts

PATHS = 2000
KEYS = 1000
FALSE_KEYS = 250
LEARNED_KEYS = 200
_ENOUGH = 500.0
_ENOUGH_LEARNED = 1500.0
"""Expected events after the change that are looked at, of a known baseline and of a learned one."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How many events a pane expects, the budget, and what the rivals look at."""

    name: str
    mean: float
    every: int
    """Panes for which one false alarm is promised."""
    looks: int
    """Looks that rivals have in a pane."""
    windows: tuple[int, ...]
    """Panes."""
    period: int
    """Panes."""
    warm: int
    """Panes."""


PACES = (
    Pace(name="0.2 events a pane", mean=0.2, every=20_000, looks=1, windows=(50, 100, 200, 400), period=8640, warm=600),
    Pace(name="10 events a pane", mean=10.0, every=1000, looks=5, windows=(2, 5, 10, 20), period=60, warm=60),
    Pace(name="50 events a pane", mean=50.0, every=40, looks=5, windows=(1, 2, 4), period=60, warm=30),
    Pace(name="200 events a pane", mean=200.0, every=20, looks=5, windows=(1, 2, 4), period=60, warm=30),
)
ROWS = ((0.7, 0), (0.7, 1), (0.7, 3), (0.4, 0), (0.4, 1), (0.4, 2))
"""(factor, pace): at 200 a pane nothing but the one pane is left to find a fall to .4 in."""


def of_change(factor: float, pace: Pace, seed: int, size: float) -> list[Delay]:
    """Return the grouped and the order-averaged row of one fall at one pace."""
    rng = rng_of(seed, f"counts delay {factor} {pace.name}")
    mean, slope = pace.mean / pace.looks, log(factor)
    base = -mean * (factor - 1)
    make: dict[str, Callable[[], Rival]] = {
        "Shiryaev-Roberts by look": partial(Roberts, PATHS, slope, base), "CUSUM by look": partial(Cusum, PATHS, slope, base)
    }  # fmt: skip
    for panes in pace.windows:
        grid = np.arange(-ceil(pace.mean * panes * 1.2), 1.0)
        make[f"window of {panes}"] = partial(Window, PATHS, panes * pace.looks, grid, -1.0)
    draw = _draw(rng, mean)
    measured = run_lengths(
        [one() for one in make.values()], draw, round(size * (12_000 if mean > 1 else 25_000)), PATHS
    )
    taught_by = {many: _expected(rng, many) for many in LEARNED}
    return [_row(rng, factor, pace, make, measured, taught_by, averaged=one, size=size) for one in (False, True)]


def _draw(rng: np.random.Generator, mean: float) -> Draw:
    return lambda: rng.poisson(mean, PATHS).astype(float)


def _expected(rng: np.random.Generator, many: int) -> list[tuple[float, float]]:
    """Return by key the learned rate by the true one, and the dispersion, of the product's profile of `many` events."""
    true = many / (28 * 24)
    found = [taught(rng, RuleKind.COUNT_DROP, np.full(24, true), 1.0) for _ in range(LEARNED_KEYS)]
    return [(one.rate(0) / true, one.dispersion) for one in found]


def _row(
    rng: np.random.Generator, factor: float, pace: Pace, make: dict[str, Callable[[], Rival]], measured: list[Floats],
    taught_by: dict[int, list[tuple[float, float]]], *, averaged: bool, size: float,
) -> Delay:  # fmt: skip
    change, alarms, panes = Counts(factor), 0, 0
    rows = 8000 if pace.mean < 1 else 2000  # long enough that the first panes do not count
    for _ in range(max(1, round(size * (8_000_000 if pace.mean < 1 else 3_000_000) / rows / FALSE_KEYS))):
        flowed = _same(rng.poisson(pace.mean, (rows, FALSE_KEYS)), pace)
        alarms += int(play(flowed, [change], 1 / pace.every, averaged=averaged).sum())
        panes += flowed.seen.size
    realised = panes / max(1, alarms)
    mean, checked = _ours(rng, factor, pace, KEYS, None, averaged=averaged)
    before, after = (_draw(rng, one / pace.looks) for one in (pace.mean, pace.mean * factor))
    warm, most = pace.warm * pace.looks, ceil(_ENOUGH * pace.looks / pace.mean)
    found: dict[str, float | None] = {}
    for (name, built), lengths in zip(make.items(), measured, strict=True):
        whole = "window" in name
        at = threshold(built().grid, lengths, realised * pace.looks, steps=whole, theorem="Roberts" in name)
        looks = None if at is None else delay(built, at, before, after, warm, most)
        found[name] = None if looks is None else looks / pace.looks
    period = Period(pace.period, fall=True)
    return Delay(
        change=f"counts x {factor:g}", speed=pace.name, form="order-averaged" if averaged else "grouped", unit="panes",
        promised=pace.every, realised=realised, alarms=alarms, ours=mean, per_hour=360.0, pane=1.0, checked=checked,
        rivals={
            "Shiryaev-Roberts by look": found["Shiryaev-Roberts by look"],
            "CUSUM by look": found["CUSUM by look"],
            "best rolling window": min((one for name, one in found.items() if "window" in name and one), default=None),
            "plain count of a period": period.delay(
                rng, (pace.mean, pace.mean * factor), realised, 20_000, counts=True
            ),
        },
        learned={many: _ours(rng, factor, pace, LEARNED_KEYS, held, averaged=averaged)[0] for many, held in taught_by.items()},
    )  # fmt: skip


def _same(seen: Seen, pace: Pace) -> Flowed:
    return Flowed(seen, np.full(seen.shape, pace.mean))


def _ours(
    rng: np.random.Generator, factor: float, pace: Pace, keys: int, learned: list[tuple[float, float]] | None, *,
    averaged: bool,
) -> tuple[float | None, int]:  # fmt: skip
    """Return our mean delay in panes from a change anywhere in a pane, and panes checked."""
    rows = pace.warm + ceil((_ENOUGH if learned is None else _ENOUGH_LEARNED) / pace.mean) + 2
    seen = rng.poisson(pace.mean, (rows, keys))
    part = rng.random(keys)
    seen[pace.warm] = rng.poisson(pace.mean * (1 - part)) + rng.poisson(pace.mean * factor * part)
    seen[pace.warm + 1 :] = rng.poisson(pace.mean * factor, (rows - pace.warm - 1, keys))
    if learned is None:
        flowed, changes, plain = _same(seen, pace), [Counts(factor)], averaged
    else:
        expected = np.repeat(pace.mean * np.array([[one for one, _ in learned]]), rows, axis=0)
        flowed, changes = Flowed(seen, expected), [Counts(factor, dispersion) for _, dispersion in learned]
        plain = False  # the time average of many baselines is slow to make and hardly differs
    alarms = play(flowed, changes, 1 / pace.every, averaged=plain)
    checked = replayed(flowed, changes, 1 / pace.every, alarms, averaged=plain, panes=600)
    found = alarms[pace.warm :]
    came = found.any(axis=0)
    if came.mean() < FOUND:
        return None, checked
    return float(np.mean((part + np.argmax(found, axis=0))[came])), checked


def work() -> dict[str, Callable[[int, float], list[Delay]]]:
    """Return the comparisons by name, in the order of the report."""
    return {
        f"delay counts {factor} {PACES[at].name}": partial(of_change, factor, PACES[at]) for factor, at in ROWS
    }  # fmt: skip
