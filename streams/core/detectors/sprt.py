"""Wald's sequential probability ratio test: one decision ("does this fix work?"), then it is over."""

from math import log
from typing import NamedTuple

from streams.core.detectors.likelihood import Bernoulli


class Bounds(NamedTuple):
    """Reject at a log likelihood ratio of at least `reject`, accept at no more than `accept`."""

    reject: float
    accept: float


def bounds(alpha: float, beta: float) -> Bounds:
    """Return the bounds for the chances alpha of a false alarm and beta of a miss. Source: Wald 1945."""
    return Bounds(log((1 - beta) / alpha), log(beta / (1 - alpha)))


def expected_answers(change: Bernoulli, alpha: float, beta: float) -> tuple[float, float]:
    """Return about how many answers a decision takes at p0 and at p1 (Wald's approximation: overshoot left out)."""
    reject, accept = bounds(alpha, beta)
    at_p0 = change.p0 * change.log_bad + (1 - change.p0) * change.log_good
    at_p1 = change.p1 * change.log_bad + (1 - change.p1) * change.log_good
    return (alpha * reject + (1 - alpha) * accept) / at_p0, ((1 - beta) * reject + beta * accept) / at_p1
