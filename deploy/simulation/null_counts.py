"""Null worlds of counts: as many events come as expected, or more for a drop and fewer for a rise never."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from deploy.simulation import answer_worlds as worlds
from deploy.simulation.covered import Counts as Seen
from deploy.simulation.covered import Floats
from deploy.simulation.null_answers import Work
from deploy.simulation.promised import Cell, rng_of
from deploy.simulation.twin import PANE_MS, Flags, exponentials
from schemas.errors import ContractError
from schemas.rules import Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS
from streams.core.baseline import Stretch
from streams.core.detectors.likelihood import Counts
from streams.core.detectors.order_average import log_time_average
from streams.core.detectors.weighted import ALARM_AT, Ratio, Weighted
from streams.core.watching import profile, quiet
from streams.core.watching.hours import HourCells

EVERY = 500
"""Panes for which one false alarm is promised."""
DIRECTIONS = ((RuleKind.COUNT_DROP, 0.5), (RuleKind.COUNT_RISE, 2.0))


class Flowed(NamedTuple):
    """Counts of keys and what the rule expected."""

    seen: Seen
    """[panes, keys]"""
    expected: Floats
    """[panes, keys]"""


def counts_of(rng: np.random.Generator, mean: Floats, dispersion: float) -> Seen:
    """Return counts with this mean and variance / mean; negative binomial above 1."""
    if dispersion == 1:
        return np.asarray(rng.poisson(mean))
    return np.asarray(rng.poisson(rng.gamma(mean / (dispersion - 1)) * (dispersion - 1)))


def logs_of(flowed: Flowed, changes: list[Counts]) -> Floats:
    """Return the log likelihood ratio of each pane; `changes` by key, or one for all."""
    up = np.array([one.log_ratio(1, 0.0) for one in changes])
    down = np.array([-one.log_ratio(0, 1.0) for one in changes])
    return np.asarray(flowed.seen * up - flowed.expected * down)


def play(flowed: Flowed, changes: list[Counts], w: float, *, averaged: bool = False) -> Flags:
    """Return where alarms came, [panes, keys]; empty panes are evidence, each begins anew after an alarm."""
    logs = logs_of(flowed, changes)
    whole = exponentials(logs)
    inside = exponentials(_inside(flowed, changes[0])) if averaged else None
    r, out = np.zeros(logs.shape[1]), np.zeros(logs.shape, bool)
    for row in range(len(logs)):
        if inside is not None:
            r = r * whole[row] + w * inside[row]
        else:
            r = np.where(flowed.seen[row] > 0, (r + w) * whole[row], r * whole[row] + w * whole[row])
        alarm = (r >= ALARM_AT) & (logs[row] > 0)
        r = np.where(alarm, 0.0, np.minimum(1e300, r))
        out[row] = alarm
    return out


def _inside(flowed: Flowed, change: Counts) -> Floats:
    code, expected = flowed.seen, float(flowed.expected.flat[0])
    if np.any(flowed.expected != expected):
        raise ContractError("twin_expected", "the time average of this twin knows one expectation")
    kinds, where = np.unique(code, return_inverse=True)
    found = [log_time_average(partial(_after, change, one, expected), one) for one in kinds.tolist()]
    return np.asarray(np.array(found)[where].reshape(code.shape))


def _after(change: Counts, seen: int, expected: float, t: float) -> float:
    return change.log_ratio_after(seen, expected, t)


def replayed(
    flowed: Flowed, changes: list[Counts], w: float, alarms: Flags, *, averaged: bool = False, panes: int = 1500
) -> int:
    """Play so many panes of the first key through the product's detector; return how many gave the same alarms."""
    held = Weighted((1.0,), 0)
    change = changes[0]
    panes = min(panes, len(flowed.seen))
    for row in range(panes):
        seen, expected, at = int(flowed.seen[row, 0]), float(flowed.expected[row, 0]), (row + 1) * PANE_MS
        inside = log_time_average(partial(_after, change, seen, expected), seen) if averaged else None
        ratio = Ratio(change.log_ratio(seen, expected), inside)
        if seen:
            held.update(at, PANE_MS, w, (ratio,))
        else:
            quiet.take(held, at, PANE_MS, w, (ratio,))
        alarm = held.total >= ALARM_AT and ratio.whole > 0
        if alarm != bool(alarms[row, 0]):
            raise ContractError("twin_differs", f"pane {row} of key 0: the detector says {alarm}")
        if alarm:
            held.restart(at)
    return panes


def cell(
    world: str, setting: str, flowed: Flowed, changes: list[Counts], *, every: float = EVERY, averaged: bool = False,
    assumed: bool = True,
) -> Cell:  # fmt: skip
    """Play a world and return its cell."""
    alarms = play(flowed, changes, 1 / every, averaged=averaged)
    checked = replayed(flowed, changes, 1 / every, alarms, averaged=averaged)
    return Cell(
        world=world, setting=setting, promised=flowed.seen.size / every, alarms=int(alarms.sum()),
        panes=flowed.seen.size, answers=int(flowed.seen.sum()), checked=checked, assumed=assumed,
    )  # fmt: skip


def rates(mean: float, seed: int, size: float) -> list[Cell]:
    """Return Poisson counts, `mean` a pane."""
    out = []
    for kind, factor in DIRECTIONS:
        flowed = _flat(rng_of(seed, f"counts {mean} {kind}"), mean, 1.0, size)
        for averaged in (False, True):
            form = "order-averaged" if averaged else "grouped"
            out.append(cell(f"Poisson counts, {mean:g} a pane", f"{kind} by {factor:g}, {form}", flowed,
                            [Counts(factor)], averaged=averaged))  # fmt: skip
    return out


def _flat(rng: np.random.Generator, mean: float, dispersion: float, size: float) -> Flowed:
    shape = (round(1600 * size), 500)
    return Flowed(counts_of(rng, np.full(shape, mean), dispersion), np.full(shape, mean))


def dispersed(dispersion: float, seed: int, size: float) -> list[Cell]:
    """Return counts whose variance is 1, 2 or 4 times their mean, 10 a pane."""
    out = []
    for kind, factor in DIRECTIONS:
        flowed = _flat(rng_of(seed, f"dispersion {dispersion} {kind}"), 10.0, dispersion, size)
        world = f"counts of 10 a pane, variance / mean {dispersion:g}"
        assumed = sorted({1.0, dispersion / 2, dispersion} - {0.5})
        for one in assumed:
            what = "Poisson" if one == 1 else f"negative binomial, dispersion {one:g}"
            enough = "" if one == dispersion else ", too small"
            out.append(cell(world, f"{kind} by {factor:g}: {what}{enough}", flowed, [Counts(factor, one)],
                            assumed=one == dispersion))  # fmt: skip
    return out


TEN_MINUTES = 6
"""Panes an hour where baselines are learned: 10 minutes each."""


def learned(dispersion: float, seed: int, size: float) -> list[Cell]:
    """Return rates and dispersions learned from 28 days of hours, 60 events each, by the product's own profile.

    An hour has a level of its own, so that its panes rise and fall together: variance / mean of the hour as stated.
    """
    rng, keys, days = rng_of(seed, f"learned counts {dispersion}"), 100, round(60 * size) or 1
    out = []
    for kind, factor in DIRECTIONS:
        found = [taught(rng, kind, np.full(24, 60.0), dispersion) for _ in range(keys)]
        hours = np.full((days * 24, keys), 60.0)
        level = hours if dispersion == 1 else rng.gamma(hours / (dispersion - 1)) * (dispersion - 1)
        seen = rng.poisson(np.repeat(level / TEN_MINUTES, TEN_MINUTES, axis=0))
        expected = np.repeat(np.array([[one.rate(0) / TEN_MINUTES for one in found]]), len(seen), axis=0)
        world = f"hours of 60 events, variance / mean {dispersion:g}, learned from 28 days"
        flowed = Flowed(seen, expected)
        mean = np.mean([one.dispersion for one in found])
        out.append(cell(world, f"{kind} by {factor:g}: learned dispersion ({mean:.2f} on average)", flowed,
                        [Counts(factor, one.dispersion) for one in found]))  # fmt: skip
        if dispersion > 1:
            out.append(cell(world, f"{kind} by {factor:g}: Poisson", flowed, [Counts(factor)] * keys,
                            assumed=False))  # fmt: skip
            plain = Flowed(seen, np.full(seen.shape, 60.0 / TEN_MINUTES))
            out.append(cell(world, f"{kind} by {factor:g}: Poisson, true mean", plain, [Counts(factor)] * keys,
                            assumed=False))  # fmt: skip
    return out


def _rule(kind: RuleKind, *, profiled: bool) -> Rule:
    return Rule(
        name="sales", owner="sales", kind=kind, severity="page", metric="orders",
        profile="weekday_hour" if profiled else "none", learn_min=1,
    )  # fmt: skip


def taught(
    rng: np.random.Generator, kind: RuleKind, weights: Floats, dispersion: float, *, profiled: bool = False
) -> profile.Profile:
    """Return what the product learns from 28 full days whose hours follow `weights` (expected events, repeated)."""
    hours, start = HourCells(), 20_000 * DAY_MS
    mean = np.resize(weights, 29 * 24)
    for hour, count in enumerate(counts_of(rng, mean, dispersion).tolist()):
        hours.add("shop", start + hour * HOUR_MS, {1: count}, start)
    stretch = Stretch(start + 36 * DAY_MS, 7 * DAY_MS)
    found = profile.learned(_rule(kind, profiled=profiled), hours, "shop", stretch, upper=kind is RuleKind.COUNT_RISE)
    if isinstance(found, str):
        raise ContractError("nothing_learned", found)
    return found


def by_hour(seed: int, size: float) -> list[Cell]:
    """Return volume that follows weekday and hour, 40 events an hour on average, with and without a profile."""
    keys, weeks = 60, round(12 * size) or 1
    weights = worlds.week(worlds.OPEN, worlds.WEEKEND) + 0.2
    weights = weights / weights.mean() * 40
    world = "volume follows weekday and hour, 40 events an hour on average, learned from 28 days"
    out = []
    for kind, factor in DIRECTIONS:
        rng = rng_of(seed, f"by hour {kind}")
        truth = np.resize(weights, weeks * 168)
        seen = rng.poisson(np.repeat(truth / TEN_MINUTES, TEN_MINUTES)[:, None], (weeks * 168 * TEN_MINUTES, keys))
        for profiled in (False, True):
            found = [taught(rng, kind, _from_day(weights), 1.0, profiled=profiled) for _ in range(keys)]
            name = 'profile = "weekday_hour"' if profiled else 'profile = "none"'
            expected = np.stack([_expected(one, len(truth)) for one in found], axis=1)
            changes = [Counts(factor, one.dispersion) for one in found]
            out.append(cell(world, f"{kind} by {factor:g}: {name}", Flowed(seen, expected), changes, assumed=profiled))
    return out


_FIRST_HOUR = 20_000 * 24 % 168


def _from_day(weights: Floats) -> Floats:
    """Return the week as it runs from the day on which learning begins."""
    return np.roll(weights, -_FIRST_HOUR)


def _expected(found: profile.Profile, hours: int) -> Floats:
    return np.repeat([found.rate(hour) / TEN_MINUTES for hour in range(hours)], TEN_MINUTES)


def work() -> dict[str, Work]:
    """Return the null worlds of counts by name, in the order of the report."""
    out: dict[str, Callable[[int, float], list[Cell]]] = {}
    for mean in (0.2, 10.0, 200.0):
        out[f"counts of {mean:g}"] = partial(rates, mean)
    for dispersion in (1.0, 2.0, 4.0):
        out[f"dispersion {dispersion:g}"] = partial(dispersed, dispersion)
    for dispersion in (1.0, 2.0, 4.0):
        out[f"learned dispersion {dispersion:g}"] = partial(learned, dispersion)
    out["counts by hour"] = by_hour
    return out
