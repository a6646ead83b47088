"""Response times when some messages still wait for an answer.

A waiting message has an age, not a response time: its true time is at least that age (it is right-censored). To leave
it out makes slow service look fast, because the slowest answers are always those that have not come yet.
Input is counts by sketch bucket: of the response times of answered messages, and of the ages of open ones.
"""

from collections.abc import Iterator, Mapping
from math import exp, log, sqrt
from typing import NamedTuple

from streams.core.intervals import two_sided, wilson, z_of
from streams.core.sketch import EDGES, LAST, bucket_of, least_of, middle


class Attained(NamedTuple):
    """Of `n` messages that are decided, `good` were answered in time; the share is None where none is decided."""

    good: int
    n: int
    share: float | None
    lo: float | None
    hi: float | None


class Survived(NamedTuple):
    """The share that still waits after some time, with its interval."""

    share: float
    lo: float
    hi: float


class Waited(NamedTuple):
    """A quantile of the response time in ms; None where too much is still open to tell."""

    value: float | None
    lo: float
    hi: float


class _Step(NamedTuple):
    bucket: int
    share: float
    lo: float
    hi: float


def attained(answered: Mapping[int, int], waiting: Mapping[int, int], target_ms: int, level: float) -> Attained:
    """Return the share answered within the target: of those answered at all or already older than it, with Wilson.

    A message that is open and younger than the target is in neither count. The target counts as the end of its bucket,
    at most 2 % later. Over a span of few targets the share flatters (of the young ones only the answered are in it):
    `survived` has no such lean.
    """
    last = bucket_of(target_ms)
    good = sum(count for bucket, count in answered.items() if bucket <= last)
    n = sum(answered.values()) + sum(count for bucket, count in waiting.items() if bucket > last)
    if n == 0:
        return Attained(0, 0, None, None, None)
    return Attained(good, n, good / n, *wilson(good, n, level))


def survived(answered: Mapping[int, int], waiting: Mapping[int, int], after_ms: int, level: float) -> Survived:
    """Return the share of messages whose answer takes longer than `after_ms` (the end of its bucket).

    Source: Kaplan and Meier 1958; Greenwood's variance on the log(-log) scale (Kalbfleisch and Prentice 1980), so the
    interval stays in 0..1. Before the first answer, and after the last message is answered, where that scale has no
    value, the far end is the exact binomial bound of none among those at risk. Without messages: 1 in 0..1.
    """
    at = Survived(1.0, 0.0, 1.0)
    at_risk = sum(answered.values()) + sum(waiting.values())
    if at_risk:
        at = Survived(1.0, _none_of(at_risk, level), 1.0)
    last = bucket_of(after_ms)
    for step in _steps(answered, waiting, level):
        if step.bucket > last:
            break
        at = Survived(step.share, step.lo, step.hi)
    return at


def waited(answered: Mapping[int, int], waiting: Mapping[int, int], q: float, level: float) -> Waited:
    """Return the q-quantile of the response time in ms: the first bucket after which at most 1 - q still wait.

    Its interval is where the interval of `survived` holds 1 - q (Brookmeyer and Crowley 1982), to the ends of its
    buckets; an end that has not been reached is 0 or the last edge. It takes for granted that how long a message waits
    does not depend on when it came: after a change of pace, look at the messages since then.
    """
    value, first, last = None, None, None
    for step in _steps(answered, waiting, level):
        if first is None and step.lo <= 1 - q + 1e-12:
            first = step.bucket
        if value is None and step.share <= 1 - q + 1e-12:
            value = middle(step.bucket)
        if step.hi < 1 - q - 1e-12:
            last = step.bucket
            break
    lo = least_of(first) if first is not None else 0
    return Waited(value, float(lo), float(EDGES[LAST if last is None else last]))


def _steps(answered: Mapping[int, int], waiting: Mapping[int, int], level: float) -> Iterator[_Step]:
    """Yield the survival curve at each bucket with answers; answers of a bucket come before its open messages."""
    z = z_of(two_sided(level))
    at_risk = sum(answered.values()) + sum(waiting.values())
    share, spread, highest = 1.0, 0.0, 1.0
    for bucket in sorted({*answered, *waiting}):
        done = answered.get(bucket, 0)
        if done:
            share *= (at_risk - done) / at_risk
            if done < at_risk:
                spread += done / (at_risk * (at_risk - done))
                stretch = z * sqrt(spread) / -log(share)
                lo, hi = share ** exp(stretch), share ** exp(-stretch)
            else:
                lo, hi = 0.0, 1 - _none_of(at_risk, level)
            # The curve never rises, so neither does what is known of it.
            highest = min(highest, max(share, hi))
            yield _Step(bucket, share, lo, highest)
        at_risk -= done + waiting.get(bucket, 0)


def _none_of(n: int, level: float) -> float:
    """Return the exact lower bound of a share of which n of n are seen."""
    tail = (1 - level) / 2
    return float(tail ** (1 / n))
