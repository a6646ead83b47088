"""Burn rate of a service level objective over two windows: slow answers, missed promises.

Burn 1 spends exactly the allowance of the period. A burn can never exceed 1 / (1 - objective): at an objective of 90 %
that is 10, so the well-known threshold of 14.4 would never fire; thresholds are therefore cut to half of what is possible.
Source: Google SRE workbook, ch. 5, "Alerting on SLOs".
"""

from typing import NamedTuple

from schemas.errors import CatalogueError
from schemas.windows import DAY_MS
from streams.core.intervals import wilson_upper

HOUR_MS = DAY_MS // 24
PERIOD_MS = 30 * DAY_MS
TIERS = ((0.02, HOUR_MS), (0.05, 6 * HOUR_MS), (0.10, 3 * DAY_MS))
"""(share of the period's allowance that is spent, long window)."""


class Tier(NamedTuple):
    """Fire when both windows burn faster than `burn`."""

    long_ms: int
    short_ms: int
    """1/12 of the long one: makes the alarm end soon after its cause."""
    burn: float


def most_burn(objective: float) -> float:
    """Return the burn when everything is bad; objective: the wanted good share, above 0 and below 1."""
    if not 0 < objective < 1:
        raise CatalogueError("impossible_objective", f"an objective must lie between 0 and 1: {objective}")
    return 1 / (1 - objective)


def tiers(objective: float, period_ms: int = PERIOD_MS) -> tuple[Tier, ...]:
    """Return the tiers for this objective, each threshold at most half of what can burn."""
    highest = most_burn(objective) / 2
    return tuple(Tier(long, long // 12, min(highest, spent * period_ms / long)) for spent, long in TIERS)


def burn(n: int, bad: int, objective: float) -> float:
    """Return how many times faster than allowed the bad share spends; n > 0."""
    return bad / n * most_burn(objective)


def fires(
    tier: Tier, objective: float, long: tuple[int, int], short: tuple[int, int], confidence: float = 0.95
) -> bool:
    """Tell whether the tier fires on (n, bad) of its two windows; an empty window never does.

    The long window must burn too fast beyond doubt: the one-sided lower Wilson bound of its bad share counts, so that
    two bad answers among three do not wake anybody. The short one only has to burn still.
    """
    (n, bad), (now_n, now_bad) = long, short
    if not n or not now_n:
        return False
    allowed = tier.burn / most_burn(objective)
    surely_bad = 1 - wilson_upper(n - bad, n, confidence)
    return surely_bad > allowed and now_bad / now_n > allowed
