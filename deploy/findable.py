"""What the armed keys of a backtest can find within a day, a week and a month, at the rates that they had.

A rule on answers finds a bad share (of score: a mean badness, 0..1), a rule on events a factor of what is expected. A parent
finds what happens to all its children at once. Strata count with their own baselines, at the rates of their answers; where
answers of a day have much in common they count as fewer.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec

from deploy.backtest import Backtest
from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.rules import Rule
from schemas.windows import DAY_MS, HOUR_MS
from streams.core.baseline import DayCells
from streams.core.bins import Bins
from streams.core.detectors.found_within import (
    LAST_DAYS,
    Finder,
    counts_finder,
    independent,
    mixed_finder,
    score_part,
    share_part,
)
from streams.core.detectors.likelihood import Bernoulli, Counts
from streams.core.watching.bad_share import Share
from streams.core.watching.counts import Flow
from streams.core.watching.hourly_share import HourlyLevel, HourlyShare
from streams.core.watching.hours import HOURS, AnswerHours
from streams.core.watching.registry import KINDS, kind_of
from streams.core.watching.score import Scores, badness_of

MOST_KEYS = 30
"""Keys that are looked at by rule, those with most answers: each costs a tenth of a second."""
NAMES = {1: "1 day", 7: "1 week", 30: "1 month"}
LAST = f"{LAST_DAYS} days"
_UNSEEN = 0.5
"""Answers that each cell of a scale counts as having, so that none is impossible."""

Found = dict[str, float | None]


class _Watched(NamedTuple):
    """A watched key: what it has learned and how much comes a day, both by stratum; expected false alarms a day."""

    key: str
    baseline: Mapping[str, Any]
    per_day: Mapping[str, float]
    budget_per_day: float


def findable(catalogue: Catalogue, test: Backtest, *, span_ms: int) -> dict[tuple[str, str], Found]:
    """Return (rule, key) -> horizon -> the change nearest to normal that is found within it; None: none is."""
    if not span_ms:
        return {}
    state = test.engine.freeze()
    out: dict[tuple[str, str], Found] = {}
    for rule in catalogue.alarm:
        if rule.kind in KINDS and rule.name in state["rules"]:
            read = _Read(rule, catalogue.named(rule.metric), test, state, span_ms)
            for one in read.most_watched():
                found = read.finder(one).findable()
                days = {NAMES[days]: size for days, size in found.by_days.items()}
                out[rule.name, one.key] = days | {LAST: found.within_last}
    return out


class _Read:
    """What a rule watches at the end of a backtest."""

    def __init__(self, rule: Rule, metric: Metric, test: Backtest, state: Mapping[str, Any], span_ms: int) -> None:
        """`state`: of the engine, as plain values."""
        self._rule, self._metric, self._test = rule, metric, test
        self._bins = Bins(metric)
        self._kind = kind_of(rule, metric, self._bins, test.pane_ms)
        self._watches = state["rules"][rule.name]["watches"]
        self._span_days = span_ms / DAY_MS
        self._cells, self._hours = DayCells(), AnswerHours()
        for identity, dimension, held in state["ears"]:
            if (identity, dimension) == (metric.identity, rule.reads):
                self._cells.thaw(held["cells"])
                if "answers" in held:
                    self._hours.thaw(held["answers"])
        self._strata = self._cells.strata(test.engine.pane or 0)
        self._counts = cache(self._counted)

    def most_watched(self) -> list[_Watched]:
        """Return the keys with a budget to which something comes, at most MOST_KEYS, the busiest first."""
        found = []
        for key, (plain, w, *_) in self._watches:
            baseline = self._kind.restored(plain)
            per_day = {name: self._per_day(key, name, one) for name, one in baseline.items()}
            if w and sum(per_day.values()) > 0:
                found.append(_Watched(key, baseline, per_day, w * DAY_MS / self._test.pane_ms))
        return sorted(found, key=lambda one: (-sum(one.per_day.values()), one.key))[:MOST_KEYS]

    def finder(self, one: _Watched) -> Finder:
        """Return what finds changes at a key."""
        total, pane_ms = sum(one.per_day.values()), self._test.pane_ms
        weights = self._kind.weights
        if isinstance(next(iter(one.baseline.values())), Flow):
            return counts_finder(_changes(one, total, weights), total, one.budget_per_day, pane_ms)
        parts = [
            score_part(rate / total, self._badness, self._shape(one.key, name), learned.p0, learned.tilts)
            if isinstance(learned, Scores)
            else share_part(rate / total * part, [Bernoulli(level.p0, p1) for p1 in level.p1])
            for name, learned in sorted(one.baseline.items())
            if (rate := one.per_day[name]) > 0
            for part, level in self._levels(one.key, name, learned)
        ]
        return mixed_finder(parts, weights, total, one.budget_per_day, pane_ms)

    def _levels(self, key: str, name: str, learned: Any) -> list[tuple[float, Any]]:
        """Return (its part of the answers, level) of a stratum, or of its hours where they have levels of their own."""
        if not isinstance(learned, HourlyLevel) or not isinstance(self._kind, HourlyShare):
            return [(1.0, learned)]
        held: dict[float, tuple[float, Any]] = {}
        for day, hours in self._hours.days(*self._series(key, name)).items():
            for at, (n, _) in enumerate(hours):
                level = self._kind.at(learned, day // HOUR_MS + at)
                if n and level is not None:
                    held[level.p0] = (held.get(level.p0, (0.0, level))[0] + n, level)
        total = sum([n for n, _ in held.values()])
        return [(n / total, level) for _, (n, level) in sorted(held.items())] or [(1.0, learned)]

    def _per_day(self, key: str, name: str, learned: Any) -> float:
        """Return how many answers come a day to a stratum that detectors may read, or how many events it expects."""
        if isinstance(learned, Flow):
            return sum(learned.profile.rates) / len(learned.profile.rates) * HOURS * learned.scale
        series, stratum = self._series(key, name)
        of_key = sum(sum(self._counts(series, each).values()) for each in self._strata.get(series, ()))
        if not of_key:
            return 0.0
        came = self._test.fresh[self._metric.identity, self._rule.reads, series] / self._span_days
        rate = came * sum(self._counts(series, stratum).values()) / of_key
        return independent(rate, learned.rho) if isinstance(learned, Share) else rate

    def _series(self, key: str, name: str) -> tuple[str, str]:
        """Return key and stratum of the series that a watched key calls `name`."""
        if self._rule.strata != "children":
            return key, name
        child, stratum = msgspec.json.decode(name)
        return child, stratum

    def _counted(self, key: str, stratum: str) -> dict[int, int]:
        """Return bin -> answers of a series within reach."""
        counts = self._bins.counts(sum(self._cells.days(key, stratum).values()))
        return {bin_: count for bin_, count in counts.items() if count > 0}

    @property
    def _badness(self) -> list[float]:
        return sorted(set(badness_of(self._metric).values()))

    def _shape(self, key: str, name: str) -> list[float]:
        """Return how often each cell of badness was seen."""
        of, cells = badness_of(self._metric), self._badness
        seen = dict.fromkeys(cells, _UNSEEN)
        for bin_, count in self._counts(*self._series(key, name)).items():
            seen[of[bin_]] += count
        return [seen[cell] / sum(seen.values()) for cell in cells]


def _changes(one: _Watched, total: float, weights: tuple[float, ...]) -> list[tuple[Counts, float]]:
    """Return the changes of all series together: factor and dispersion on average, by what they expect."""
    parts = [(one.per_day[name] / total, flow) for name, flow in sorted(one.baseline.items())]
    dispersion = sum([part * flow.profile.dispersion for part, flow in parts])
    return [
        (Counts(sum([part * flow.factors[change] for part, flow in parts]), dispersion), pi)
        for change, pi in enumerate(weights)
    ]
