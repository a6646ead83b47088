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
SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7)}
CSAT_BOX = frozenset({4, 5})
UNHAPPY_KINDS = {"complaint", "letter", "dispute"}
NO_CONTACT = {"page_view", "order_placed", "order_delivered", "order_returned", "order_cancelled", "probe"}
LOW_N = {"csat": 30, "nps": 30, "ces": 30, "complaint_rate": 30, "volume": 1}
METHODS = {"csat": "wilson", "nps": "adjusted_wald", "ces": "t", "complaint_rate": "wilson", "volume": "poisson_exact"}

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


def counted(event: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield (metric, bin) for everything that an event counts for."""
    traits = event.get("traits") or {}
    if traits.get("probe") or event["kind"] == "probe":
        return
    yield "volume", 1
    if traits.get("second_hand") or traits.get("non_human"):
        return
    for metric, (low, high) in SCALES.items():
        for answer in event.get("answers") or ():
            scale = (answer["scale_min"], answer["scale_max"])
            if answer["question"] == metric and scale == (low, high):
                yield metric, int(answer["score"])
                break
    is_contact = event["channel"] in {"card", "email", "call"} and event["kind"] not in NO_CONTACT
    if is_contact and event.get("direction", "in") == "in":
        yield "complaint_rate", int(event["kind"] in UNHAPPY_KINDS)


def keys(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (dimension, key) for everything that an event belongs to."""
    yield "*", "*"
    yield "channel", event["channel"]
    if event.get("touchpoint"):
        yield "touchpoint", event["touchpoint"]


def recount(events: Iterable[Mapping[str, Any]], *, pane_ms: int) -> dict[tuple[Series, str], Counts]:
    """Return the counts of every series and window; `events` hold arrived_at, each id once."""
    changes: dict[tuple[Series, str], dict[int, Bins]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    dirty: dict[tuple[Series, str], list[tuple[int, int]]] = defaultdict(list)
    for event in events:
        occurred, pane = event["occurred_at"], (event["arrived_at"] // pane_ms + 1) * pane_ms
        for window, (length, step, _, bucket, span) in WINDOWS.items():
            first = (occurred // step + 1) * step
            last = (occurred + length) // step * step
            oldest = pane // bucket * bucket - span
            for metric, bin_ in counted(event):
                for dimension, key in keys(event):
                    at = ((metric, dimension, key), window)
                    changes[at][first][bin_] += 1
                    changes[at][last + step][bin_] -= 1
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
    n = sum(bins.values())
    value: float | None
    lo: float | None
    hi: float | None
    if n == 0:
        value = lo = hi = None
    elif metric == "csat":
        value, lo, hi = _share(sum(count for bin_, count in bins.items() if bin_ in box), n)
    elif metric == "complaint_rate":
        value, lo, hi = _share(bins.get(1, 0), n)
    elif metric == "nps":
        value, lo, hi = _nps(bins, n)
    elif metric == "ces":
        value, lo, hi = _mean(bins, n, *SCALES["ces"])
    else:
        value = float(n)
        lo, hi = float(stats.chi2.ppf(0.025, 2 * n)) / 2, float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2
    quality = "no_data" if n == 0 else "low_n" if n < LOW_N[metric] else "ok"
    return {"n": n, "value": value, "lo": lo, "hi": hi, "method": METHODS[metric], "quality": quality}


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
    scores = [bin_ for bin_, count in bins.items() for _ in range(count)]
    mean = sum(scores) / n
    if n == 1:
        return mean, float(low), float(high)
    deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (n - 1))
    half = float(stats.t.ppf(0.975, n - 1)) * deviation / math.sqrt(n)
    return mean, max(float(low), mean - half), min(float(high), mean + half)
