"""Empty panes that are evidence, taken in one step.

With LR q for an empty pane and s for one in which the change comes (grouped: s = q), m panes make
R -> R * q^m + w * s * (1 + q + ... + q^(m-1)): one closed form, evaluated from the same anchor wherever the judge stands,
so that a jump and a walk agree to the bit. With q = 1 and s = 1 it is R + w * m.
"""

from collections.abc import Sequence
from math import exp, expm1

from streams.core.detectors.weighted import ALARM_AT, Ratio, Weighted

_MOST_LOG = 700.0
_MOST = 1e300


def after(r: float, panes: int, added: float, ratio: Ratio) -> float:
    """Return R after a number of empty panes, each adding `added` before its ratio; huge values are cut to finite ones."""
    whole, inside = ratio.whole, ratio.whole if ratio.inside is None else ratio.inside
    if whole == 0.0:
        return min(_MOST, r + added * exp(inside) * panes)
    grown = min(_MOST_LOG, whole * panes)
    return min(_MOST, r * exp(grown) + added * exp(inside) * (expm1(grown) / expm1(whole)))


def total_after(held: Weighted, panes: int, w: float, ratios: Sequence[Ratio]) -> float:
    """Return the statistic after a number of empty panes."""
    changes = zip(held.r, held.shares, ratios, strict=True)
    return sum([after(r, panes, share * w, ratio) for r, share, ratio in changes])


def take(held: Weighted, to: int, pane_ms: int, w: float, ratios: Sequence[Ratio]) -> int:
    """Move the statistic over the empty panes up to `to`; return how many they were."""
    panes = (to - held.settled) // pane_ms
    held.r = [after(r, panes, share * w, ratio) for r, share, ratio in zip(held.r, held.shares, ratios, strict=True)]
    held.settled = to
    return panes


def reaches(held: Weighted, most: int, w: float, ratios: Sequence[Ratio], at_least: int = 1) -> int | None:
    """Return after how many empty panes, `at_least` .. `most`, the statistic is first 1; None if it is not.

    For ratios above 1, with which it only grows.
    """
    if at_least > most or total_after(held, most, w, ratios) < ALARM_AT:
        return None
    low, high = at_least - 1, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if total_after(held, middle, w, ratios) >= ALARM_AT else (middle, high)
    return high
