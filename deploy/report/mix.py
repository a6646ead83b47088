"""The score of all at the mix of channels of the weeks before: what it would be if only the mix had stayed."""

from collections.abc import Mapping
from math import sqrt

import msgspec

from schemas.metrics import MetricKind

MEANS = frozenset({
    MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN, MetricKind.GAP, MetricKind.GAP_SHARE, MetricKind.GRID,
    MetricKind.EVENT_SHARE, MetricKind.PART, MetricKind.RESPONSE, MetricKind.REPEAT,
})  # fmt: skip
"""Kinds whose value of all is the mean of those of the channels, weighted by n; as in the view v_readings_mix."""
Interval = tuple[float, float, float]
"""Value, lower and upper bound."""


class AtMix(msgspec.Struct, frozen=True):
    """A value at a fixed mix with its interval; `covered`: part of that mix, in 0..1, whose channels have a value now."""

    value: float
    lo: float
    hi: float
    covered: float


def at_mix(now: Mapping[str, Interval], answers: Mapping[str, int]) -> AtMix | None:
    """Return the value at the mix that `answers` (channel -> answers of the weeks before, none below 0) had.

    Channels without a value now are left out, the shares of the others scaled to 1; None if no other is left.
    Source of the interval: Zou and Donner 2008 (MOVER) for a weighted mean of independent values.
    """
    weights = {channel: answers[channel] for channel in sorted(answers) if channel in now and answers[channel] > 0}
    total = sum(weights.values())
    if not total:
        return None
    value, below, above = 0.0, 0.0, 0.0
    for channel, weight in weights.items():
        own, lo, hi = now[channel]
        value += weight * own
        below += (weight * (own - lo)) ** 2
        above += (weight * (hi - own)) ** 2
    value /= total
    return AtMix(value, value - sqrt(below) / total, value + sqrt(above) / total, total / sum(answers.values()))
