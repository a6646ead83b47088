"""Day effects: answers of one day have more in common than those of two, and how much is learned from the days.

A day's bad share is drawn from a beta distribution around p; rho is the correlation of two answers of a day, and rho = 0
are independent answers. The ratio of a pane is that of the day's counts with it, by the ratio of the counts before it.
Answer by answer its conditional mean is 1 at p0, and below 1 on the good side of p0: the next answer is bad with chance
(p / rho' + bad so far) / (1 / rho' + answers so far), rho' = rho / (1 - rho), which grows with p.

Source: Skellam 1948 (the distribution); Kleinman 1973 (its correlation by moments).
"""

from collections.abc import Iterable
from math import ceil, floor, fsum, lgamma, log
from typing import NamedTuple

from streams.core import special

_FEW = 16
"""Answers of a kind up to which the product of their ratios is taken; beyond, differences of log gamma."""
MOST = 0.5
"""No larger correlation is learned: beyond it a day has hardly more to say than one answer."""
CHANCE = 0.25
"""Of what the days differ, so much as independent answers exceed with this chance is put down to chance."""
ENOUGH_DAYS = 10
"""Days that a correlation is learned from."""
LEAST_ANSWERS = 2
"""Answers of a day that say something about it."""


def log_ratio(p0: float, p1: float, rho: float, before: tuple[float, float], pair: tuple[float, float]) -> float:
    """Return the log likelihood ratio of (n, bad) after `before`, (n, bad) of the same day; 0 < rho < 1."""
    size = (1 - rho) / rho
    bad, good = pair[1], pair[0] - pair[1]
    return _rising(p1 * size + before[1], p0 * size + before[1], bad) + _rising(
        (1 - p1) * size + (before[0] - before[1]), (1 - p0) * size + (before[0] - before[1]), good
    )


def _rising(over: float, under: float, count: float) -> float:
    """Return log of over (over + 1) ... (over + count - 1) by the same of under."""
    if count <= 0:
        return 0.0
    if count <= _FEW:
        product = over / under
        for one in range(1, int(count)):
            product *= (over + one) / (under + one)
        return log(product)
    return (lgamma(over + count) - lgamma(over)) - (lgamma(under + count) - lgamma(under))


class Spread(NamedTuple):
    """How far days lie apart."""

    squares: float = 0.0
    """Squared differences of the days from their mean, in units of what independent answers have."""
    freedom: int = 0
    """What it is on average with independent answers: days less one; 0: nothing is known."""
    room: float = 0.0
    """What it has more on average, by unit of rho."""

    @property
    def enough(self) -> bool:
        """Tell whether the days are enough to learn rho from."""
        return self.freedom >= ENOUGH_DAYS - 1

    @property
    def rho(self) -> float:
        """Return the correlation that chance does not explain, 0 where it explains all of it."""
        if self.freedom <= 0 or self.room <= 0:
            return 0.0
        usual = self.squares / float(special.chdtri(self.freedom, CHANCE))
        return min(MOST, max(0.0, (usual - 1) * self.freedom / self.room))


def spread_of(days: Iterable[tuple[float, float]]) -> Spread:
    """Return how far days with (n, bad) lie apart; days of less than two answers say nothing."""
    held = [(n, bad) for n, bad in days if n >= LEAST_ANSWERS]
    total, bad = sum([n for n, _ in held]), sum([bad for _, bad in held])
    if not 0 < bad < total:
        return Spread()
    share = bad / total
    squares = sum([(bad - n * share) ** 2 / (n * share * (1 - share)) for n, bad in held])
    return Spread(squares, len(held) - 1, sum([(n - 1) * (1 - n / total) for n, _ in held]))


def pooled(spreads: Iterable[Spread]) -> Spread:
    """Return several strata as one, each around its own mean; the same to the bit in any order."""
    held = list(spreads)
    squares, room = fsum(one.squares for one in held), fsum(one.room for one in held)
    return Spread(squares, sum([one.freedom for one in held]), room)


def crowding(days: Iterable[int]) -> float:
    """Return how many answers share the day of an answer on average, itself included; 1 where there are none."""
    held = list(days)
    total = sum(held)
    return sum([n * n for n in held]) / total if total else 1.0


def effective(n: int, bad: int, rho: float, crowd: float) -> tuple[int, int]:
    """Return so many independent answers, bad ones among them, as teach as much; rounded to the bad side.

    crowd: answers that share the day of an answer. The variance of their share is 1 + rho * (crowd - 1) times that of
    independent ones. Source: Kish 1965, design effect.
    """
    factor = 1 + rho * max(0.0, crowd - 1)
    if factor <= 1:
        return n, bad
    many = max(1, floor(n / factor))
    return many, min(many, ceil(bad / factor))
