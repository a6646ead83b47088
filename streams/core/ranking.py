"""Keys in order of satisfaction, without the smallest key winning by luck.

Three answers of three satisfied are no better than 950 of 1,000. Order by a bound of the interval, or shrink each key
towards its parent; never by the raw share.
"""

from collections.abc import Mapping
from typing import NamedTuple

from scipy.special import betaincinv


class Shrunk(NamedTuple):
    """A share shrunk to its parent, with the central band of its posterior distribution."""

    value: float
    lo: float
    hi: float


def parent_share(good: int, n: int) -> float:
    """Return the share of a parent as the centre to shrink to: strictly between 0 and 1 even if all answers agree.

    Source: the mean of the Jeffreys posterior.
    """
    return (good + 0.5) / (n + 1)


def shrunk(good: int, n: int, parent: float, strength: float = 20.0, level: float = 0.90) -> Shrunk:
    """Return the share that n answers and the parent together suggest; n >= 0, so it also serves a key without answers.

    The parent's share, strictly between 0 and 1, weighs as much as `strength` answers: mean and quantiles of
    Beta(strength * parent + good, strength * (1 - parent) + n - good). Raises ValueError.
    """
    if not 0 < parent < 1:
        raise ValueError(f"the parent's share is {parent}: shrink to parent_share(good, n), which is never 0 or 1")
    up = strength * parent + good
    down = strength * (1 - parent) + n - good
    tail = (1 - level) / 2
    return Shrunk(up / (up + down), float(betaincinv(up, down, tail)), float(betaincinv(up, down, 1 - tail)))


def ranked(bands: Mapping[str, tuple[float, float]], *, high_is_good: bool = True) -> list[str]:
    """Return the keys from best to worst: by what can be said for sure of each, ties by key.

    `bands`: key -> (lo, hi). High is good: the highest lower bound first; low is good: the lowest upper bound first.
    """
    if high_is_good:
        return sorted(bands, key=lambda key: (-bands[key][0], key))
    return sorted(bands, key=lambda key: (bands[key][1], key))
