"""Many tests looked at once, in reports: false discovery rate. Alarms, looked at all the time, use the weighted statistic."""

from collections.abc import Sequence


def adjusted(p_values: Sequence[float], *, dependent: bool = False) -> list[float]:
    """Return the adjusted p values, in the order given: reject those up to q and the false discovery rate is at most q.

    dependent: Benjamini and Yekutieli 2001, for any dependence; else Benjamini and Hochberg 1995, for independent or
    positively dependent tests (sites of one brand).
    """
    m = len(p_values)
    price = sum(1 / rank for rank in range(1, m + 1)) if dependent else 1.0
    out = [0.0] * m
    least = 1.0
    by_size = sorted(range(m), key=lambda index: (p_values[index], index))
    for rank in range(m, 0, -1):
        index = by_size[rank - 1]
        least = min(least, price * m / rank * p_values[index])
        out[index] = least
    return out


def rejected(p_values: Sequence[float], q: float, *, dependent: bool = False) -> list[int]:
    """Return the indexes of the tests that stand at the false discovery rate q, in the order given."""
    return [index for index, p in enumerate(adjusted(p_values, dependent=dependent)) if p <= q]
