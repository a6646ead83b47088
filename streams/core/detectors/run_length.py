"""Exact average run lengths of control charts: of integer chains by a linear system, of normal data by an integral equation.

In control, run lengths are near geometric: P(false alarm within n) is about 1 - exp(-n / ARL0).
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import ceil, exp

import numpy as np
from scipy.linalg import solve_banded
from scipy.special import ndtr, roots_legendre

from schemas.errors import CatalogueError

_NODES = 80
_SQRT_2PI = float(np.sqrt(2 * np.pi))


def lattice_arl(steps: Mapping[int, float], limit: int, start: int = 0) -> float:
    """Return the mean number of observations until S >= limit, from S = start, for S <- max(0, S + step).

    steps: integer step -> chance, summing to 1. Exact up to rounding: one banded linear system of `limit` unknowns.
    Source: Reynolds and Stoumbos 1999 (Bernoulli CUSUM as a Markov chain); Brook and Evans 1972.
    """
    if not 0 <= start < limit:
        return 0.0
    down = min(limit - 1, max(0, -min(steps)))
    up = min(limit - 1, max(0, *steps))
    bands = np.zeros((down + up + 1, limit))
    bands[up] = 1.0
    states = np.arange(limit)
    for step, chance in steps.items():
        to = np.maximum(0, states + step)
        stays = to < limit
        np.add.at(bands, (up + states[stays] - to[stays], to[stays]), -chance)
    return float(solve_banded((down, up), bands, np.ones(limit))[start])


def smallest_limit(arl: Callable[[int], float], wanted: float, most: int = 1 << 20) -> int:
    """Return the smallest integer limit whose run length is at least `wanted`, by bisection; arl grows with it."""
    high = 1
    while arl(high) < wanted:
        high *= 2
        if high > most:
            raise CatalogueError("unreachable_arl", f"no limit up to {most} gives a run length of {wanted}")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if arl(middle) >= wanted else (middle, high)
    return high


def limit_for(arl: Callable[[float], float], wanted: float) -> float:
    """Return the limit whose run length is `wanted`, by bisection to 1e-6; arl grows with it and is below `wanted` at 0."""
    high = 1.0
    while arl(high) < wanted:
        high *= 1.5
        if high > 100:
            raise CatalogueError("unreachable_arl", f"no limit gives a run length of {wanted}")
    low = 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if arl(middle) >= wanted else (middle, high)
    return high


@lru_cache(maxsize=8)
def _rule(low: float, high: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, weights = roots_legendre(count)
    return low + (x + 1) * (high - low) / 2, weights * (high - low) / 2


def _density(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-x * x / 2) / _SQRT_2PI)


def cusum_arl(k: float, h: float, shift: float = 0.0, start: float = 0.0) -> float:
    """Return the ARL of the one-sided CUSUM of standard normal data moved by `shift` sigma, alarm above h.

    Solves L(u) = 1 + L(0) Phi(k - u - shift) + integral over 0..h of L(x) phi(x + k - u - shift) by Gauss-Legendre.
    Source: Page 1954; Goel and Wu 1971; equal to xcusum.arl of the R package spc.
    """
    x, weights = _rule(0.0, h, max(_NODES, ceil(12 * h)))
    points = np.concatenate(([0.0], x))
    system = np.eye(len(points))
    system[:, 0] -= ndtr(k - points - shift)
    system[:, 1:] -= weights * _density(x[None, :] + k - points[:, None] - shift)
    run = np.linalg.solve(system, np.ones(len(points)))
    if start == 0:
        return float(run[0])
    return float(1 + run[0] * ndtr(k - start - shift) + (weights * _density(x + k - start - shift) * run[1:]).sum())


def two_sided_cusum_arl(k: float, h: float, shift: float = 0.0, start: float = 0.0) -> float:
    """Return the ARL of the two one-sided charts together, both from `start` (FIR: h / 2).

    Source: Lucas and Crosier 1982; from 0 it is 1 / ARL = 1 / ARL+ + 1 / ARL-.
    """
    up, down = cusum_arl(k, h, shift), cusum_arl(k, h, -shift)
    up_start, down_start = cusum_arl(k, h, shift, start), cusum_arl(k, h, -shift, start)
    return (up_start * down + up * down_start - up * down) / (up + down)


def siegmund_arl(k: float, h: float, shift: float = 0.0) -> float:
    """Return Siegmund's approximation of the one-sided CUSUM's ARL: closed form, within some per cent. Source: 1985."""
    drift, wide = shift - k, h + 1.166
    if abs(drift) < 1e-9:
        return wide * wide
    return (exp(-2 * drift * wide) + 2 * drift * wide - 1) / (2 * drift * drift)


def two_sided(up: float, down: float) -> float:
    """Return the run length of two charts that run together and start at 0: 1 / ARL = 1 / ARL+ + 1 / ARL-."""
    return 1 / (1 / up + 1 / down)


def ewma_arl(smoothing: float, limit_sigmas: float, shift: float = 0.0) -> float:
    """Return the zero-state ARL of the two-sided EWMA with asymptotic limits, standard normal data moved by `shift`.

    Source: Crowder 1987, "A simple method for studying run-length distributions of EWMA charts"; Lucas and Saccucci 1990.
    """
    edge = limit_sigmas * (smoothing / (2 - smoothing)) ** 0.5
    x, weights = _rule(-edge, edge, max(_NODES, ceil(8 * edge / smoothing)))
    points = np.concatenate(([0.0], x))
    kernel = _density((x[None, :] - (1 - smoothing) * points[:, None]) / smoothing - shift) / smoothing
    system = np.eye(len(points))
    system[:, 1:] -= weights * kernel
    return float(np.linalg.solve(system, np.ones(len(points)))[0])


def shewhart_arl(limit_sigmas: float, shift: float = 0.0) -> float:
    """Return the ARL of a Shewhart chart of single values with limits at +- limit_sigmas."""
    return float(1 / (ndtr(-limit_sigmas - shift) + ndtr(-limit_sigmas + shift)))
