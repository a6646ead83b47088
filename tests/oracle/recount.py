"""A slow, independent recount of readings, written from the design alone: plain dictionaries, no engine, no catalogue.

An event that occurred at t lies in every window [E - W, E) with E - W <= t < E. So each event adds one at its first E and
takes it away after its last E; walking those steps gives the bins of every window end. What the engine does with cells,
rungs and panes does not appear here.
"""

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy import stats
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

from tests.oracle.remembered import median, remembered

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# length, step, lateness, and bucket and span of the state that can still recount a window
WINDOWS = {
    "1h": (HOUR, MINUTE, 5 * MINUTE, MINUTE, 2 * HOUR),
    "24h": (DAY, 15 * MINUTE, HOUR, 15 * MINUTE, 2 * DAY),
    "7d": (7 * DAY, 2 * HOUR, 2 * HOUR, HOUR, 9 * DAY),
    "28d": (28 * DAY, DAY, DAY, DAY, 36 * DAY),
}
LONG = ("24h", "7d", "28d")
WINDOWS_OF = {"probe_score": ("28d",)}
"""Windows of a metric; the first five, and orders, have all of them, the others LONG."""
SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7)}
ASKED = {
    "csat": "csat", "csat_mean": "csat", "csat_bottom": "csat", "nps": "nps", "ces": "ces", "ces_easy": "ces",
    "delivery_speed": "delivery_speed",
}  # fmt: skip
CSAT_BOX = frozenset({4, 5})
BOXES = {"csat_bottom": {1, 2}, "ces_easy": {5, 6, 7}, "delivery_speed": {4, 5}}
UNHAPPY_KINDS = {"complaint", "letter", "dispute"}
NO_CONTACT = {
    "page_view", "order_placed", "order_delivered", "order_returned", "order_cancelled", "survey_opened", "probe",
}  # fmt: skip
SAID = {"praise", "comment", "suggestion", "idea", "remark", *UNHAPPY_KINDS}
GRID = {"probe_welcome": 2, "probe_advice": 3, "probe_place": 1}
SHARES = {
    "csat",
    "csat_bottom",
    "ces_easy",
    "delivery_speed",
    "satisfied",
    "delighted",
    "complaint_rate",
    "praise_share",
    "response_in_time",
    "repeat_calls",
}
RATES = {"complaints_per_order": UNHAPPY_KINDS, "contacts_per_order": {"question", "remark", *UNHAPPY_KINDS}}
PARTS = {"response_rate": "survey_sent", "completion_rate": "survey_opened"}
MEANS = {"ces": (1, 7), "csat_mean": (1, 5), "quality_gap": (-4, 4), "probe_score": (0, 100)}
ALL_AND_PLACE = {*RATES, *PARTS, "delivery_speed_driver", "response_median", "repeat_calls"}
SALES = {"orders", "revenue_eur"}
LOW_N = {"volume": 1, "orders": 1, "revenue_eur": 1, "probe_score": 5}
METHODS = {
    "nps": "adjusted_wald", "volume": "poisson_exact", "orders": "poisson_exact", "revenue_eur": "compound_poisson",
    "delivery_speed_driver": "spearman_fisher", "response_median": "order_statistic", **dict.fromkeys(MEANS, "adjusted_mean"), **dict.fromkeys(SHARES, "wilson"),
    **dict.fromkeys(PARTS, "wilson"), **dict.fromkeys(RATES, "poisson_exact"),
}  # fmt: skip
TOTAL = -1_000_000
"""Stands among the bins of an amount for its exact sum."""

Series = tuple[str, str, str]
"""Metric name, dimension, key."""
Bins = dict[int, int]


@dataclass
class Counts:
    """All bins of one series and window: `steps` are the ends at which they change; `dirty` ends can no longer be recounted."""

    steps: dict[int, Bins] = field(default_factory=dict)
    dirty: list[tuple[int, int]] = field(default_factory=list)
    _sorted: list[int] = field(default_factory=list)

    def at(self, end: int) -> Bins:
        """Return the bins of the window that ends at `end`."""
        before = bisect_right(self._ends(), end)
        return self.steps[self._ends()[before - 1]] if before else {}

    def _ends(self) -> list[int]:
        if len(self._sorted) != len(self.steps):
            self._sorted = sorted(self.steps)
        return self._sorted

    def is_dirty(self, end: int) -> bool:
        """Return whether something came too late for the window that ends at `end`."""
        return any(first <= end <= last for first, last in self.dirty)


def first_only(events: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the events in order of arrival, each id once: the first that arrived."""
    seen: dict[str, Mapping[str, Any]] = {}
    for event in sorted(events, key=lambda one: one["arrived_at"]):
        seen.setdefault(str(event["event_id"]), event)
    return list(seen.values())


def windows(metric: str) -> tuple[str, ...]:
    """Return the windows of a metric."""
    every = metric in {"csat", "nps", "ces", "complaint_rate", "volume", "orders"}
    return tuple(WINDOWS) if every else WINDOWS_OF.get(metric, LONG)


def counted(event: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield (metric, bin) for everything that an event counts for, one after the other."""
    traits, kind = event.get("traits") or {}, event["kind"]
    came, first_hand = event.get("direction", "in") == "in", not (traits.get("second_hand") or traits.get("non_human"))
    if traits.get("probe") or kind == "probe":
        if first_hand:
            yield from _visit(event)
        return
    yield "volume", 1
    if kind == "order_placed":
        yield "orders", 1
        order = event.get("order") or {}
        if order.get("currency") == "EUR" and order.get("amount_minor") is not None:
            yield "revenue_eur", amount_class(order["amount_minor"])
    if not first_hand:
        return
    yield from _answered(event)
    if event["channel"] in {"card", "email", "call"} and kind not in NO_CONTACT and came:
        yield "complaint_rate", int(kind in UNHAPPY_KINDS)
    if kind in SAID and came:
        yield "praise_share", int(kind == "praise")
    for metric, kinds in RATES.items():
        if (kind in kinds and came) or kind == "order_placed":
            yield metric, int(kind in kinds)
    for metric, whole in PARTS.items():
        if (kind == "survey_answered" and came) or kind == whole:
            yield metric, int(kind != whole)


def _score(event: Mapping[str, Any], question: str, scale: tuple[int, int]) -> int | None:
    for one in event.get("answers") or ():
        if one["question"] == question and (one["scale_min"], one["scale_max"]) == scale:
            return int(one["score"])
    return None


def _answered(event: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for metric, question in ASKED.items():
        score = _score(event, question, SCALES.get(question, (1, 5)))
        if score is not None:
            yield metric, score
    perceived, expected_, speed, overall = (
        _score(event, one, (1, 5)) for one in ("perceived_quality", "expected_quality", "delivery_speed", "csat")
    )
    if perceived is not None and expected_ is not None:
        for metric in ("quality_gap", "satisfied", "delighted"):
            yield metric, perceived - expected_
    if speed is not None and overall is not None:
        yield "delivery_speed_driver", 5 * (speed - 1) + overall - 1


def _visit(event: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    seen = {one: _score(event, one, (0, 4)) for one in GRID}
    points = sum(GRID[one] * score for one, score in seen.items() if score is not None)
    weights = sum(GRID[one] for one, score in seen.items() if score is not None)
    if weights:
        yield "probe_score", math.floor(100 * points / (4 * weights) + 0.5)


def keys(event: Mapping[str, Any], metric: str) -> Iterator[tuple[str, str]]:
    """Yield (dimension, key) for everything that an event belongs to."""
    yield "*", "*"
    if metric not in ALL_AND_PLACE | SALES:
        yield "channel", event["channel"]
    if event.get("touchpoint"):
        yield "touchpoint", event["touchpoint"]
    if metric in SALES and event.get("product"):
        yield "product", event["product"]


def recount(
    events: Iterable[Mapping[str, Any]], *, pane_ms: int, until: int | None = None
) -> dict[tuple[Series, str], Counts]:
    """Return the counts of every series and window as known at the end of pane `until`; each id once, with arrived_at."""
    events = list(events)
    others = remembered(events, pane_ms=pane_ms, until=until)
    changes: dict[tuple[Series, str], dict[int, Bins]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    dirty: dict[tuple[Series, str], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        occurred, pane = event["occurred_at"], (event["arrived_at"] // pane_ms + 1) * pane_ms
        sign, found = -1 if event.get("retract") else 1, [(metric, bin_, pane) for metric, bin_ in counted(event)]
        found += others.get(event["event_id"], [])
        for window, (length, step, _, bucket, span) in WINDOWS.items():
            first = (occurred // step + 1) * step
            last = (occurred + length) // step * step
            for metric, bin_, known in found:
                oldest = known // bucket * bucket - span
                if window not in windows(metric):
                    continue
                worth = sign * event["order"]["amount_minor"] if metric == "revenue_eur" else 0
                for dimension, key in keys(event, metric):
                    at = ((metric, dimension, key), window)
                    for end, more in ((first, 1), (last + step, -1)):
                        changes[at][end][bin_] += more * sign
                        if worth:
                            changes[at][end][TOTAL] += more * worth
                    if first - length < oldest:
                        dirty[at].append((first, min(last, oldest + length - 1)))
    out = {}
    for at, steps in changes.items():
        counts = Counts(dirty=dirty[at])
        bins: Bins = defaultdict(int)
        for end in sorted(steps):
            for bin_, change in steps[end].items():
                bins[bin_] += change
            now = {bin_: count for bin_, count in sorted(bins.items()) if count}
            if now != (list(counts.steps.values())[-1] if counts.steps else {}):
                counts.steps[end] = now
        out[at] = counts
    return out


def expected(metric: str, bins: Bins, *, box: frozenset[int] = CSAT_BOX) -> dict[str, Any]:
    """Return n, value, lo, hi, method and quality of bins at level .95."""
    total, bins = bins.get(TOTAL, 0), {bin_: count for bin_, count in bins.items() if bin_ != TOTAL}
    n = bins.get(0, 0) if metric in RATES or metric in PARTS else sum(bins.values())
    value: float | None
    lo: float | None
    hi: float | None
    if n == 0 or any(count < 0 for count in bins.values()):
        value = lo = hi = None
        n = 0
    elif metric in SHARES:
        value, lo, hi = _share(sum(count for bin_, count in bins.items() if _good(metric, bin_, box)), n)
    elif metric in PARTS:
        value, lo, hi = _share(min(bins.get(1, 0), n), n)
    elif metric in RATES:
        value, (lo, hi) = bins.get(1, 0) / n, (end / n for end in _poisson(bins.get(1, 0)))
    elif metric == "nps":
        value, lo, hi = _nps(bins, n)
    elif metric in MEANS:
        value, lo, hi = _mean(bins, n, *MEANS[metric])
    elif metric == "revenue_eur":
        value, (lo, hi) = float(total), _revenue(bins, total)
    elif metric == "delivery_speed_driver":
        value, lo, hi = _driver(bins, n)
    elif metric == "response_median":
        value, lo, hi = median(bins)
    else:
        value, (lo, hi) = float(n), _poisson(n)
    quality = "no_data" if value is None else "low_n" if n < LOW_N.get(metric, 30) else "ok"
    return {"n": n, "value": value, "lo": lo, "hi": hi, "method": METHODS[metric], "quality": quality}


def _good(metric: str, bin_: int, box: frozenset[int]) -> bool:
    if metric in {"complaint_rate", "praise_share", "delighted", "response_in_time", "repeat_calls"}:
        return bin_ >= 1
    return bin_ >= 0 if metric == "satisfied" else bin_ in BOXES.get(metric, box)


def _poisson(n: int) -> tuple[float, float]:
    lo = float(stats.chi2.ppf(0.025, 2 * n)) / 2 if n else 0.0
    return lo, float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2


def _revenue(bins: Bins, total: int) -> tuple[float, float]:
    """Fay and Feuer's interval, with each order at the third of the four buckets of its class."""
    squares = sum(count * _middle(4 * bin_ + 2) ** 2 for bin_, count in bins.items())
    largest = _edge(min(4 * max(bins) + 3, 1250))
    lo = float(stats.chi2.ppf(0.025, 2 * total**2 / squares)) * squares / (2 * total) if total else 0.0
    more, mean = squares + largest**2, total + largest
    return lo, float(stats.chi2.ppf(0.975, 2 * mean**2 / more)) * more / (2 * mean)


def _edge(bucket: int) -> int:
    """Return the largest amount of a bucket: buckets grow by 101 / 99 from 1."""
    return int(101**bucket // 99**bucket)


EDGES = [_edge(bucket) for bucket in range(1251)]


def amount_class(amount: int) -> int:
    """Return the class of an amount, four buckets wide."""
    return next((bucket for bucket, edge in enumerate(EDGES) if amount <= edge), 1250) // 4


def _middle(bucket: int) -> float:
    least = _edge(bucket - 1) + 1
    return min(float(_edge(bucket)), max(float(least), 2 * (101 / 99) ** bucket / (1 + 101 / 99)))


def _driver(bins: Bins, n: int) -> tuple[float | None, float | None, float | None]:
    pairs = [divmod(bin_, 5) for bin_, count in bins.items() for _ in range(count)]
    first, second = zip(*pairs, strict=True)
    if len(set(first)) == 1 or len(set(second)) == 1:
        return None, None, None
    rho = float(stats.spearmanr(first, second).statistic)
    if n < 4:
        return rho, -1.0, 1.0
    most = 1 - 6 / (n**3 - n)
    held = max(-most, min(most, rho))
    half = float(stats.norm.ppf(0.975)) * math.sqrt((1 + held * held / 2) / (n - 3))
    return rho, min(math.tanh(math.atanh(held) - half), rho), max(math.tanh(math.atanh(held) + half), rho)


def _share(good: int, n: int) -> tuple[float, float, float]:
    lo, hi = proportion_confint(good, n, alpha=0.05, method="wilson")
    return good / n, float(lo), float(hi)


def _nps(bins: Bins, n: int) -> tuple[float, float, float]:
    promoters = sum(count for bin_, count in bins.items() if bin_ >= 9)
    detractors = sum(count for bin_, count in bins.items() if bin_ <= 6)
    p, d, more = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3), n + 3
    half = float(stats.norm.ppf(0.975)) * math.sqrt((p + d - (p - d) ** 2) / more)
    lo, hi = max(-1.0, p - d - half), min(1.0, p - d + half)
    return 100 * (promoters - detractors) / n, 100 * lo, 100 * hi


def _mean(bins: Bins, n: int, low: int, high: int) -> tuple[float, float, float]:
    """The normal interval of n answers and of 2.25 more, spread evenly over the points."""
    points = range(low, high + 1)
    weights = {point: bins.get(point, 0) + 2.25 / len(points) for point in points}
    mean = sum(point * weight for point, weight in weights.items()) / (n + 2.25)
    variance = sum(weight * (point - mean) ** 2 for point, weight in weights.items()) / (n + 2.25)
    half = float(stats.norm.ppf(0.975)) * math.sqrt(variance / (n + 2.25))
    value = sum(bin_ * count for bin_, count in bins.items()) / n
    return value, max(float(low), mean - half), min(float(high), mean + half)
