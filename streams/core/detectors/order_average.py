"""What the answers of one pane say about a change inside it, although their order is lost.

A pane gives counts, not an order. Per answer the statistic would add its budget w bit by bit and multiply each bit by
the ratios of the answers that follow. Both functions here return the mean of that, over the orders that are possible,
per unit of w; so a pane adds w times this where the plain grouped form adds w times the whole likelihood ratio.

Whatever the quadrature, the mean is at most 1 when nothing has changed: each node is itself a likelihood ratio, that
of a change after the share 1 - t of the answers, and the weights are positive and sum to 1.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from math import cos, exp, expm1, inf, log, log1p, pi

MOST_LOG = 700.0  # exp stays finite, and above 0 with the opposite sign
_MOST_NODES = 32


@lru_cache(maxsize=16)
def nodes(count: int) -> tuple[tuple[float, float], ...]:
    """Return (t, log weight) of the Gauss-Legendre rule on 0..1: exact for polynomials of degree 2 * count - 1.

    By Newton's method in plain floats, so that no linear algebra library has a say in the last bit.
    """
    out = []
    for index in range(count):
        x = cos(pi * (index + 0.75) / (count + 0.5))
        for _ in range(8):
            below, value = 1.0, x
            for degree in range(2, count + 1):
                below, value = value, ((2 * degree - 1) * x * value - (degree - 1) * below) / degree
            slope = count * (x * value - below) / (x * x - 1)
            x -= value / slope
        out.append(((1 - x) / 2, log(1 / ((1 - x * x) * slope * slope))))
    return tuple(out)


def _rule(answers: int) -> tuple[tuple[float, float], ...]:
    """Return a rule that is exact for this number of answers, or the largest one."""
    return nodes(min(_MOST_NODES, 1 << (answers // 2).bit_length()))


def _log_sum(logs: list[float]) -> float:
    most = max(logs)
    return most if most == -inf else most + log(sum([exp(one - most) for one in logs]))


@lru_cache(maxsize=1024)
def _none_after(n: int) -> tuple[list[float], float]:
    """Return by node the log weight of no answer after the change, and the log of what is left of the whole."""
    logs = [log_weight + n * log1p(-t) for t, log_weight in _rule(n)]
    return logs, log1p(-sum([exp(one) for one in logs]))


@lru_cache(maxsize=8192)
def _one_after(log_ratio: float, count: int) -> list[float]:
    """Return by node the log of 1 + odds * ratio: one answer before or after the change."""
    ratio = exp(max(-MOST_LOG, min(MOST_LOG, log_ratio)))
    return [log1p(t / (1 - t) * ratio) for t, _ in nodes(count)]


def log_order_average(answers: Iterable[tuple[float, int]]) -> float:
    """Return log (1/n) sum over j = 1..n of E[product of j ratios drawn without replacement], n > 0 answers in all.

    answers: (log likelihood ratio of one answer, how many such answers), of any number of kinds and strata. The budget
    is split over the n answers, a share before each; one answer gives its own log ratio, the plain form. The mean is at
    most 1 as long as the number of answers does not depend on what they say; where it may, use `log_time_average`.

    Source: 1/C(n, j) = (n + 1) * integral of t^j (1-t)^(n-j), so the sum of all means is (n + 1) times the integral of
    prod(1 - t + t * ratio), less the term of j = 0: a polynomial of degree n. Gauss-Legendre is exact to 63 answers and,
    with 32 nodes at most, within 1 % to a few hundred; the same rule serves both terms, so the bound of the mean is exact.
    """
    held = [one for one in answers if one[1]]
    n = sum([count for _, count in held])
    if n == 1:
        return held[0][0]
    none, rest = _none_after(n)
    some = [0.0] * len(none)
    for log_ratio, count in held:
        some = [before + count * one for before, one in zip(some, _one_after(log_ratio, len(none)), strict=True)]
    return _log_sum([base + more + log(-expm1(-more)) for base, more in zip(none, some, strict=True)]) - rest


def log_time_average(log_ratio_after: Callable[[float], float], answers: int) -> float:
    """Return log of the mean over t, uniform in 0..1, of the pane's ratio if the change came with the share t left.

    log_ratio_after(t): log likelihood ratio of the pane's counts when the change holds in the last part t of the pane
    (0 at t = 0, the whole ratio at t = 1). The budget flows in evenly and the answers fall anywhere in the pane. The
    mean is at most 1 even when the number of answers depends on what they say.
    """
    return _log_sum([log_weight + log_ratio_after(t) for t, log_weight in _rule(answers)])


def log_share_after(answers: Iterable[tuple[float, int]]) -> Callable[[float], float]:
    """Return the `log_ratio_after` of answers, each after the change with chance t: log prod(1 - t + t * ratio)."""
    excess = [(expm1(min(MOST_LOG, log_ratio)), count) for log_ratio, count in answers if count]
    return lambda t: sum([count * log1p(t * more) for more, count in excess])
