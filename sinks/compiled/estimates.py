"""What the counts of a metric say, in SQL: n, value and, where SQL can, the interval. One function a kind.

Intervals that need quantiles of t, chi-square or F, and those that hold at all looks, have no formula in SQL: they are NULL
here and stand in the readings, as the judge computed them.
"""

from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

from schemas.metrics import Metric
from sinks.compiled.literals import number
from sinks.compiled.selections import overall_points, waiting_edges


class Estimate(NamedTuple):
    """SQL: aggregates over rows (bin, c, s) of one key, and expressions over those aggregates."""

    counts: Mapping[str, str]
    """Name -> aggregate over bin, its count c and its sum s."""
    n: str
    value: str
    """Read only where n > 0."""
    lo: str = "NULL"
    hi: str = "NULL"
    method: str = ""
    """How the interval is made; empty: only the judge computes it."""
    smooths: bool = True
    """Whether the value is still one where old counts weigh less."""


ALL_COUNT = "sum(c)"


def share(metric: Metric) -> Estimate:
    """Return the share of answers in the box."""
    return _share(metric, f"bin IN ({', '.join(map(str, metric.box))})")


def gap_share(metric: Metric) -> Estimate:
    """Return the share of gaps that are large enough."""
    return _share(metric, f"bin >= ({metric.at_least})")


def event_share(metric: Metric) -> Estimate:
    """Return the share of events."""
    return _share(metric, "bin = 1")


def _share(metric: Metric, good: str) -> Estimate:
    return _with_wilson(Estimate({"n": ALL_COUNT, "good": f"sumIf(c, {good})"}, "n", "good / n"), metric)


def part(metric: Metric) -> Estimate:
    """Return the share of wholes that have their part."""
    plain = Estimate({"n": "sumIf(c, bin = 0)", "good": "least(sumIf(c, bin = 1), sumIf(c, bin = 0))"}, "n", "good / n")
    return _with_wilson(plain, metric, always=True)


def rate(_metric: Metric) -> Estimate:
    """Return events per exposing event."""
    return Estimate({"n": "sumIf(c, bin = 0)", "events": "sumIf(c, bin = 1)"}, "n", "events / n")


def nps(metric: Metric) -> Estimate:
    """Return the net promoter score in points, with the adjusted Wald interval. Source: Rocks 2016 (arXiv 1601.07235)."""
    plain = Estimate(
        {"n": ALL_COUNT, "promoters": "sumIf(c, bin >= 9)", "detractors": "sumIf(c, bin <= 6)"},
        "n", "100 * (promoters - detractors) / n",
    )  # fmt: skip
    if metric.bounds == "anytime":
        return plain
    up, down = "((promoters + 0.75) / (n + 3))", "((detractors + 0.75) / (n + 3))"
    centre = f"({up} - {down})"
    half = f"{_z(metric)} * sqrt(({up} + {down} - {centre} * {centre}) / (n + 3))"
    lo, hi = f"100 * greatest(-1., {centre} - {half})", f"100 * least(1., {centre} + {half})"
    return plain._replace(lo=lo, hi=hi, method="adjusted_wald")


def mean(_metric: Metric) -> Estimate:
    """Return the mean bin: of answers, gaps or grid scores."""
    return Estimate({"n": ALL_COUNT, "total": "sum(bin * c)"}, "n", "total / n")


def driver(metric: Metric) -> Estimate:
    """Return Spearman's rank correlation with midranks, from the joint counts; NULL where one side never varies."""
    points = overall_points(metric)
    counts = {
        "n": ALL_COUNT, "xs": f"groupArray(intDiv(bin, {points}))", "ys": f"groupArray(bin % {points})", "cs": "groupArray(c)",
    }  # fmt: skip
    ranks = "arrayMap(at -> 2 * arraySum((c, x) -> if(x < at, c, 0), cs, {0}) + arraySum((c, x) -> if(x = at, c, 0), cs, {0}) - n, {0})"
    x, y = ranks.format("xs"), ranks.format("ys")
    both = f"arraySum((c, a, b) -> c * toFloat64(a) * b, cs, {x}, {y})"
    spread = "arraySum((c, a) -> c * toFloat64(a) * a, cs, {0})"
    root = f"sqrt({spread.format(x)} * {spread.format(y)})"
    value = f"if({root} = 0, NULL, greatest(-1., least(1., {both} / {root})))"
    return Estimate(counts, "n", value, smooths=False)


def count(_metric: Metric) -> Estimate:
    """Return the number of events."""
    return Estimate({"n": ALL_COUNT}, "n", "toFloat64(n)", smooths=False)


def amount(_metric: Metric) -> Estimate:
    """Return the sum of amounts, minor units."""
    return Estimate({"n": ALL_COUNT, "total": "sum(s)"}, "n", "toFloat64(total)", smooths=False)


def response_quantile(metric: Metric) -> Estimate:
    """Return the middle of the class of waiting times that holds the quantile; NULL where that is beyond what is known."""
    edges = waiting_edges(metric)
    open_, first = len(edges) + 1, next(i for i, edge in enumerate(edges) if metric.target_ms <= edge)
    counts = {
        "n": ALL_COUNT, "opened": f"sumIf(c, bin = {open_})",
        "waits": f"arraySort(one -> one.1, groupArrayIf((bin, c), bin < {open_}))",
    }  # fmt: skip
    at = "arrayFirstIndex(held -> held >= rank, arrayCumSum(one -> one.2, waits))"
    rank = f"greatest(1, ceil({number(metric.quantile)} * n - 1e-9))"
    bin_ = f"arrayElement(waits, {at.replace('rank', rank)}).1"
    highs = ", ".join(map(str, edges))
    lows = ", ".join(["0", *(str(edge + 1) for edge in edges[:-1])])
    lo, hi = f"arrayElement([{lows}], {bin_} + 1)", f"arrayElement([{highs}], {bin_} + 1)"
    known = f"{at.replace('rank', rank)} > 0 AND {bin_} < if(opened > 0, {first}, {len(edges)})"
    value = f"if({known}, if({bin_} = 0, toFloat64({hi}), 2 * {lo} * {hi} / ({lo} + {hi})), NULL)"
    return Estimate(counts, "n", value, smooths=False)


def _z(metric: Metric) -> str:
    return number(NormalDist().inv_cdf(0.5 + metric.level / 2))


def _with_wilson(plain: Estimate, metric: Metric, *, always: bool = False) -> Estimate:
    """Add the Wilson interval of good / n, unless the bounds are to hold at all looks. Source: Wilson 1927."""
    if metric.bounds == "anytime" and not always:
        return plain
    z, p = _z(metric), "(good / n)"
    centre = f"({p} + {z} * {z} / (2 * n)) / (1 + {z} * {z} / n)"
    half = f"{z} / (1 + {z} * {z} / n) * sqrt({p} * (1 - {p}) / n + {z} * {z} / (4. * n * n))"
    lo, hi = f"if(good = 0, 0., greatest(0., {centre} - {half}))", f"if(good = n, 1., least(1., {centre} + {half}))"
    return plain._replace(lo=lo, hi=hi, method="wilson")
