"""Worlds in which nothing changes for the worse, and what their customers answer, pane by pane."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deploy.simulation.covered import Counts, Floats
from deploy.simulation.twin import Flags, Heard

DAY = 8640
"""Panes of 10 s in a day."""
PER_DAY = 100
"""Answers a day and key, where a world does not say otherwise."""
BAD = 0.10
"""The bad share of quiet times, where a world does not say otherwise."""
MOST_EACH = 30
"""Answers that one customer gives at most."""
OPEN = np.array([0] * 8 + [1, 2, 3, 4, 6, 5, 3, 3, 4, 6, 7, 5, 3, 2] + [0] * 2, float)
"""Answers by hour of the day, in proportion."""
WEEKEND = 2.0
EVENING = 17


class Answers(NamedTuple):
    """Single answers, in any order."""

    key: Counts
    pane: Counts
    bad: Counts
    stratum: Counts | None = None


def heard(answers: Answers, keys: int, panes: int, strata: int = 1) -> Heard:
    """Return single answers as panes; answers after the last pane are left out."""
    kept = (answers.pane > 0) & (answers.pane <= panes)
    key, pane, bad = answers.key[kept], answers.pane[kept], answers.bad[kept]
    stratum = np.zeros(len(key), np.int64) if answers.stratum is None else answers.stratum[kept]
    spots, where = np.unique(key * (panes + 1) + pane, return_inverse=True)
    owner, at = spots // (panes + 1), spots % (panes + 1)
    many = np.bincount(owner, minlength=keys)
    first = np.concatenate(([0], np.cumsum(many)[:-1]))
    row = np.arange(len(spots)) - first[owner]
    rows = int(many.max(initial=1))
    out_at = np.zeros((rows, keys), np.int64)
    out_at[row, owner] = at
    n, of = np.zeros((strata, rows, keys), np.int64), np.zeros((strata, rows, keys), np.int64)
    np.add.at(n, (stratum, row[where], owner[where]), 1)
    np.add.at(of, (stratum, row[where], owner[where]), bad)
    return Heard(out_at, n, of)


def steady(rng: np.random.Generator, *, rate: float, bad: float, keys: int, rows: int) -> tuple[Heard, float]:
    """Return `rows` panes with answers of each key at a steady rate, and how many panes a key lived on average.

    rate: answers a pane. Only panes with answers are drawn, and how many empty ones lie before each.
    """
    none = np.exp(-rate)
    at = np.cumsum(rng.geometric(1 - none, (rows, keys)), axis=0)
    n = _at_least_one(rng, rate, (rows, keys))
    return Heard(at, n[None], rng.binomial(n, bad)[None]), float(at[-1].mean())


def _at_least_one(rng: np.random.Generator, rate: float, shape: tuple[int, int]) -> Counts:
    """Return Poisson counts that are not 0: the first event comes at a truncated exponential time, the rest after it."""
    first = -np.log1p(-rng.random(shape) * -np.expm1(-rate)) / rate
    return np.asarray(1 + rng.poisson(rate * (1 - first)))


def at_times(rng: np.random.Generator, weights: Floats, *, per_day: float, keys: int, days: int) -> Answers:
    """Return who answers in which pane (all good yet), the rate by hour following `weights` (hours, repeated)."""
    hours = np.arange(24 * days)
    rate = weights[hours % len(weights)] / weights.mean() * per_day / 24
    many = rng.poisson(rate[:, None], (len(hours), keys))
    key = np.repeat(np.tile(np.arange(keys), len(hours)), many.ravel())
    hour = np.repeat(np.repeat(hours, keys), many.ravel())
    pane = hour * 360 + rng.integers(1, 361, len(hour))
    return Answers(key, pane, np.zeros(len(key), np.int64))


def week(by_hour: Floats, weekend: float) -> Floats:
    """Return a week of hours, its last two days with so many times the answers."""
    return np.concatenate([by_hour] * 5 + [by_hour * weekend] * 2)


def profile_shares(weights: Floats, times: float) -> Floats:
    """Return bad shares by hour of the week, so many times higher from 17 h on, .10 on average over answers."""
    shares = np.where(evening(np.arange(len(weights))), times, 1.0)
    return np.asarray(shares * BAD / ((shares * weights).sum() / weights.sum()))


def evening(hours: Counts) -> Flags:
    """Return which hours of the week are bad ones."""
    return np.asarray(hours % 24 >= EVENING)


def judged(rng: np.random.Generator, answers: Answers, shares: Floats) -> Answers:
    """Return the answers with bad ones among them, each with its own chance."""
    return answers._replace(bad=(rng.random(len(shares)) < shares).astype(np.int64))


def returning(
    rng: np.random.Generator, *, keys: int, days: int, per_day: float, spread_days: float
) -> tuple[Answers, Answers]:
    """Return all answers of customers who give 1 to 30, always of the same opinion, and only the first of each.

    How often a customer answers is geometric with mean 4, cut to 1..30; his answers fall into `spread_days`.
    """
    chances = 0.75 ** np.arange(MOST_EACH)
    chances /= chances.sum()
    mean = float((chances * np.arange(1, MOST_EACH + 1)).sum())
    customers = rng.poisson(per_day / mean * days, keys)
    key = np.repeat(np.arange(keys), customers)
    many = rng.choice(np.arange(1, MOST_EACH + 1), len(key), p=chances)
    begin = rng.random(len(key)) * days
    opinion = (rng.random(len(key)) < BAD).astype(np.int64)
    owner = np.repeat(np.arange(len(key)), many)
    later = rng.random(len(owner)) * spread_days
    later[np.concatenate(([0], np.cumsum(many)[:-1]))] = 0.0
    pane = ((begin[owner] + later) * DAY).astype(np.int64) + 1
    everything = Answers(key[owner], pane, opinion[owner])
    first = Answers(key, (begin * DAY).astype(np.int64) + 1, opinion)
    return everything, first


def day_shares(rng: np.random.Generator, *, rho: float, keys: int, days: int, bad: float = BAD) -> Floats:
    """Return a bad share of its own for each day and key, [days, keys], drawn from a beta distribution.

    rho: the correlation of two answers of a day; the variance of the day's share is rho * bad * (1 - bad).
    """
    if rho == 0:
        return np.full((days, keys), bad)
    size = 1 / rho - 1
    return rng.beta(bad * size, (1 - bad) * size, (days, keys))


def day_effects(
    rng: np.random.Generator, answers: Answers, *, rho: float, keys: int, days: int, bad: float = BAD
) -> Answers:
    """Return the answers with a bad share of its own for each key and day."""
    share = day_shares(rng, rho=rho, keys=keys, days=days, bad=bad)
    return judged(rng, answers, share[np.minimum((answers.pane - 1) // DAY, days - 1), answers.key])


def mixed(
    rng: np.random.Generator, answers: Answers, levels: Sequence[float], before: Floats, after: Floats
) -> Answers:
    """Return the answers spread over strata, each with its own bad share; the mix moves every other week.

    before, after: share of the answers by stratum, in even and in odd weeks.
    """
    odd = ((answers.pane - 1) // (7 * DAY)) % 2 == 1
    draws = rng.random(len(odd))
    edges = np.where(odd[:, None], np.cumsum(after)[None, :-1], np.cumsum(before)[None, :-1])
    stratum = (draws[:, None] >= edges).sum(axis=1).astype(np.int64)
    return judged(rng, answers._replace(stratum=stratum), np.asarray(levels)[stratum])
