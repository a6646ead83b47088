"""How long the Shiryaev-Roberts statistic of one change takes to find what is true, from its steady state.

R <- (R + w) * ratio with few outcomes an observation is a Markov process in one number; on a grid of log R its mean
time to an alarm is a linear system. Against simulation of the statistic the error is below 5 % (tests).
"""

from collections.abc import Sequence
from math import ceil, log
from typing import Any

import numpy as np
from scipy.sparse import csc_array
from scipy.sparse.linalg import spsolve
from scipy.special import gammaln, xlog1py, xlogy

from streams.core.detectors.likelihood import Bernoulli, Counts

Vector = np.ndarray[Any, np.dtype[np.float64]]
_BELOW = 4.0  # R so far below w (e^-4) is as good as 0
_FINEST, _COARSEST = 0.02, 0.2
_POINTS = (64, 192)


def _solved(system: Vector, right: Vector) -> Vector:
    """Solve by SuperLU: rows hold a few entries, and it starts no threads beside those of the process."""
    return np.asarray(spsolve(csc_array(system), right))


class Chain:
    """The statistic of one change: outcomes of an observation and their log ratios, w a step, alarm at 1.

    log_ratios: by outcome; null: chances by outcome when nothing has changed; w: budget a step times the weight pi of
    the change. `arl0` is about the mean number of steps between false alarms (the grid makes it too small, to 1/4).
    """

    def __init__(self, log_ratios: Sequence[float], null: Sequence[float], w: float) -> None:
        ratios = np.asarray(log_ratios, float)
        low = min(-_COARSEST, log(w) + max(-_BELOW, float(ratios.min())))
        typical = float(np.sqrt((np.asarray(null, float) * ratios * ratios).sum()))
        wanted = ceil(-low / min(_COARSEST, max(_FINEST, typical / 4)))
        self._points = points = min(_POINTS[1], max(_POINTS[0], wanted))
        grid = np.linspace(low, 0.0, points)
        after = np.log(np.exp(grid) + w)[:, None] + ratios[None, :]
        self._alarms = after >= 0
        place = np.clip((after - low) / (grid[1] - grid[0]), 0, points - 1 - 1e-9)
        lower = place.astype(np.int64)
        self._upper_part = np.where(self._alarms, 0.0, place - lower)
        self._lower_part = np.where(self._alarms, 0.0, 1 - (place - lower))
        self._cell = (np.arange(points)[:, None] * points + lower).ravel()
        chances = np.asarray(null, float)
        moves = self._moves(chances)
        alarm = self._alarms @ chances
        moves[:, 0] += alarm  # restart at 0
        system = moves.T - np.eye(points)
        system[-1] = 1.0
        self._steady = _solved(system, np.eye(points)[-1])
        self.arl0 = max(1 / w, float(1 / max(1e-300, self._steady @ alarm)))  # 1 / w is a theorem

    def _moves(self, chances: Vector) -> Vector:
        size = self._points * self._points
        low = np.bincount(self._cell, (self._lower_part * chances).ravel(), size)
        high = np.bincount(self._cell + 1, (self._upper_part * chances).ravel(), size + 1)[:size]
        return np.asarray((low + high).reshape(self._points, self._points))

    def mean_delay(self, truth: Sequence[float]) -> float:
        """Return the mean number of steps from a change to the alarm when outcomes have the chances `truth`."""
        system = np.eye(self._points) - self._moves(np.asarray(truth, float))
        return float(self._steady @ _solved(system, np.ones(self._points)))


class Answers:
    """Delay in answers, for a bad share; w: budget an answer times the weight of the change."""

    def __init__(self, change: Bernoulli, w: float) -> None:
        self._chain = Chain([change.log_bad, change.log_good], [change.p0, 1 - change.p0], w)
        self.arl0 = self._chain.arl0

    def mean_delay(self, p: float) -> float:
        """Return the mean number of answers until the alarm when the bad share is p."""
        return self._chain.mean_delay([p, 1 - p])


class Steps:
    """Delay in steps of `expected` counts each, for counts changed by a factor; w: budget a step times the weight."""

    def __init__(self, change: Counts, expected: float, w: float) -> None:
        self._change, self._expected = change, expected
        up = change.log_ratio(1, 0.0)
        reach = max(0.0, -log(w)) + 2 * _BELOW + abs(expected * change.log_ratio(0, 1.0))
        self._most = ceil(reach / abs(up))  # more counts than this alarm, or clear, for certain
        ratios = [change.log_ratio(seen, expected) for seen in range(self._most + 2)]
        self._chain = Chain(ratios, self._chances(1.0), w)
        self.arl0 = self._chain.arl0

    def _chances(self, factor: float) -> list[float]:
        seen = np.arange(self._most + 1)
        mean = self._expected * factor
        over = self._change.dispersion - 1
        if over < 1e-9:
            logs = xlogy(seen, mean) - mean - gammaln(seen + 1)
        else:
            size = self._expected / over
            failed = mean / (size + mean)
            logs = gammaln(seen + size) - gammaln(size) - gammaln(seen + 1)
            logs += xlog1py(size, -failed) + xlogy(seen, failed)
        chances = np.exp(logs)
        return [*chances.tolist(), max(0.0, 1 - float(chances.sum()))]

    def mean_delay(self, factor: float) -> float:
        """Return the mean number of steps until the alarm when counts are `factor` times what is expected."""
        return self._chain.mean_delay(self._chances(factor))
