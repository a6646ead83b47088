"""Other detectors, many paths side by side: per-event Shiryaev-Roberts, CUSUM, a rolling window, a plain threshold.

Each is set to a wanted mean number of looks between false alarms and then meets the change. They look after every answer
(or slice of a pane), which is more than a detector on panes can do.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.stats import binom, poisson

from deploy.simulation.covered import Floats
from deploy.simulation.twin import Flags

Draw = Callable[[], Floats]
"""One look of all paths: 1 for a bad answer, or a count."""
_EVERY = 16
"""Looks between two glances at the highest values so far."""
_LEAST_ALARMS = 12


class Rival(Protocol):
    """A statistic of many paths; high values speak for the change."""

    grid: Floats
    """Thresholds that calibration looks at, rising."""

    def look(self, seen: Floats) -> Floats:
        """Take one look and return the statistic."""

    def restart(self, which: Flags) -> None:
        """Begin anew after an alarm."""


class Roberts:
    """R <- (R + 1) * ratio, as a logarithm; log ratio of a look = slope * seen + base."""

    grid = np.linspace(1.0, 22.0, 211)

    def __init__(self, paths: int, slope: float, base: float) -> None:
        self._slope, self._base, self._r = slope, base, np.zeros(paths)

    def look(self, seen: Floats) -> Floats:
        """Take one look."""
        self._r = (self._r + 1) * np.exp(self._slope * seen + self._base)
        return np.asarray(np.log(self._r))

    def restart(self, which: Flags) -> None:
        """Begin anew."""
        self._r[which] = 0.0


class Cusum:
    """S <- max(0, S + log ratio)."""

    grid = np.linspace(0.5, 20.0, 391)

    def __init__(self, paths: int, slope: Floats | float, base: Floats | float) -> None:
        self._slope, self._base, self._s = slope, base, np.zeros(paths)

    def look(self, seen: Floats) -> Floats:
        """Take one look."""
        self._s = np.maximum(0.0, self._s + (self._slope * seen + self._base))
        return self._s

    def restart(self, which: Flags) -> None:
        """Begin anew."""
        self._s[which] = 0.0


class Window:
    """The sum of the last looks, times `sign`, once there are so many: a Wilson bound on the last n is such a limit."""

    def __init__(self, paths: int, looks: int, grid: Floats, sign: float = 1.0) -> None:
        self.grid, self._looks, self._sign = grid, looks, sign
        self._held, self._sum = np.zeros((looks, paths)), np.zeros(paths)
        self._age, self._at = np.zeros(paths, np.int64), 0

    def look(self, seen: Floats) -> Floats:
        """Take one look."""
        self._sum += seen - self._held[self._at]
        self._held[self._at] = seen
        self._at = (self._at + 1) % self._looks
        self._age += 1
        return np.where(self._age >= self._looks, self._sign * self._sum, -np.inf)

    def restart(self, which: Flags) -> None:
        """Begin anew."""
        self._age[which] = 0


class Threshold(NamedTuple):
    """A limit; where a statistic has steps, the mixture of two that meets the wanted rate."""

    low: float
    high: float
    part_low: float


def run_lengths(rivals: Sequence[Rival], draw: Draw, looks: int, paths: int) -> list[Floats]:
    """Return the mean looks until an alarm by threshold of each rival's grid; inf where too few came to tell.

    From the paths' first crossings: looks until the crossing, or all of them, by the number of crossings.
    """
    highest = [np.full(paths, -np.inf) for _ in rivals]
    spent = [np.zeros(len(one.grid)) for one in rivals]
    crossed = [np.zeros(len(one.grid), np.int64) for one in rivals]
    for look in range(1, looks + 1):
        seen = draw()
        for rival, most in zip(rivals, highest, strict=True):
            np.maximum(most, rival.look(seen), out=most)
        if look % _EVERY == 0 or look == looks:
            for at, (rival, most) in enumerate(zip(rivals, highest, strict=True)):
                below = np.bincount(np.searchsorted(rival.grid, most, side="right"), minlength=len(rival.grid) + 1)
                crossed[at] = paths - np.cumsum(below)[:-1]
                spent[at] += (paths - crossed[at]) * _EVERY
    return [
        np.where(many >= _LEAST_ALARMS, time / np.maximum(many, 1), np.inf)
        for time, many in zip(spent, crossed, strict=True)
    ]


def threshold(grid: Floats, lengths: Floats, wanted: float, *, steps: bool, theorem: bool = False) -> Threshold | None:
    """Return the threshold for the wanted run length; None where it lies outside of what was measured.

    steps: the statistic takes whole values only; theorem: beyond what was measured, the run length of Shiryaev-Roberts
    is proportional to the threshold. Source: Pollak 1987.
    """
    usable = np.flatnonzero(np.isfinite(lengths) & (lengths > 0))
    if theorem and wanted > lengths[usable[-1]]:
        solid = usable[lengths[usable] <= lengths[usable[-1]] / 4][-1]
        at = float(grid[solid] + np.log(wanted / lengths[solid]))
        return Threshold(at, at, 1.0)
    after = int(np.searchsorted(lengths[usable], wanted))
    if after == 0 or after >= len(usable):
        return None
    low, high = usable[after - 1], usable[after]
    if steps:
        part = (lengths[high] - wanted) / (lengths[high] - lengths[low])
        return Threshold(float(grid[low]), float(grid[high]), float(part))
    inside = np.log(wanted / lengths[low]) / np.log(lengths[high] / lengths[low])
    at = float(grid[low] + inside * (grid[high] - grid[low]))
    return Threshold(at, at, 1.0)


def delay(make: Callable[[], Rival], at: Threshold, before: Draw, after: Draw, warm: int, most: int) -> float:
    """Return the mean looks from the change to the alarm, after so many looks without one; `most` cuts what is endless."""
    if at.low == at.high:
        return _delay(make(), at.low, before, after, warm, most)
    low, high = (_delay(make(), one, before, after, warm, most) for one in (at.low, at.high))
    return at.part_low * low + (1 - at.part_low) * high


def _delay(rival: Rival, limit: float, before: Draw, after: Draw, warm: int, most: int) -> float:
    for _ in range(warm):
        alarm = rival.look(before()) >= limit
        if alarm.any():
            rival.restart(alarm)
    taken = None
    for look in range(1, most + 1):
        alarm = rival.look(after()) >= limit
        if taken is None:
            taken = np.full(len(alarm), most)
            waits = np.ones(len(alarm), bool)
        taken[alarm & waits] = look
        waits &= ~alarm
        if not waits.any():
            break
    return float(np.mean(taken)) if taken is not None else float(most)


class Period(NamedTuple):
    """A plain threshold on what a day (or another period) held; `fall`: fewer than so many are the alarm."""

    answers: int
    fall: bool

    def delay(
        self, rng: np.random.Generator, per_answer: tuple[float, float], wanted: float, paths: int, *, counts: bool
    ) -> float | None:
        """Return the mean delay in answers (or panes); None where one look a period cannot alarm so often.

        per_answer: chance of a bad answer (or events a pane) before and after; wanted: answers (panes) between false
        alarms. The change comes anywhere in the period. Between two counts the threshold is drawn at each look.
        """
        chance = self.answers / wanted
        if chance >= 1:
            return None
        values = np.arange(int(self.answers * max(per_answer) * 3) + 60)
        before, after = per_answer
        null = poisson(self.answers * before) if counts else binom(self.answers, before)
        pmf = null.pmf(values)
        tail = np.cumsum(pmf) if self.fall else np.cumsum(pmf[::-1])[::-1]
        certain = tail <= chance
        edge = int(np.flatnonzero(certain)[-1] + 1 if self.fall else np.flatnonzero(certain)[0] - 1)
        beyond = tail[edge - 1] if self.fall and edge else 0.0 if self.fall else tail[edge + 1]
        part = (chance - beyond) / pmf[edge]
        alarms = np.where(certain, 1.0, 0.0)
        alarms[edge] = part
        rest = rng.integers(1, self.answers + 1, paths)
        if counts:
            first = rng.poisson((self.answers - rest) * before) + rng.poisson(rest * after)
        else:
            first = rng.binomial(self.answers - rest, before) + rng.binomial(rest, after)
        found = rng.random(paths) < alarms[np.minimum(first, len(values) - 1)]
        later = poisson(self.answers * after) if counts else binom(self.answers, after)
        power = float((later.pmf(values) * alarms).sum())
        return float(np.mean(np.where(found, rest, rest + self.answers / max(power, 1e-12))))
