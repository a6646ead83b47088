"""Which detector serves which kind of rule, by what the metric counts."""

from collections.abc import Callable, Mapping

from schemas.errors import CatalogueError
from schemas.metrics import Metric, MetricKind
from schemas.rules import COUNTS, Rule, RuleKind
from streams.core.bins import Bins
from streams.core.watching.bad_share import BadShare
from streams.core.watching.counts import EventCounts
from streams.core.watching.exposure import Exposed
from streams.core.watching.kind import Kind
from streams.core.watching.score import Score

Build = Callable[[Rule, Metric, Bins, int], Kind]
"""(rule, metric, bins, pane length in ms)"""

EXPOSED = frozenset({MetricKind.PART, MetricKind.RATE})
"""Metrics whose bin 0 holds the exposure, which comes by other events than those in bin 1."""


def _share(rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> Kind:
    return Exposed(rule, metric, bins, pane_ms) if metric.kind in EXPOSED else BadShare(rule, metric, bins)


def _counts(rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> Kind:
    found = Exposed if metric.kind in EXPOSED else EventCounts
    return found(rule, metric, bins, pane_ms)


def _score(rule: Rule, metric: Metric, bins: Bins, _: int) -> Kind:
    return Score(rule, metric, bins)


KINDS: Mapping[RuleKind, Build] = {
    RuleKind.DROP: _share,
    RuleKind.RECOVERY: _share,
    RuleKind.RISE: _share,
    RuleKind.SCORE: _score,
    RuleKind.COUNT_DROP: _counts,
    RuleKind.COUNT_RISE: _counts,
    RuleKind.SILENCE: _counts,
}


def kind_of(rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> Kind:
    """Return the detector of a statistical rule. Raises CatalogueError where the metric has nothing for it to read."""
    if rule.kind is RuleKind.SCORE and metric.scale is None:
        raise CatalogueError(
            "bad_catalogue", f"{rule.name}: {metric.name} has no scores", "watch a metric with a scale"
        )
    return KINDS[rule.kind](rule, metric, bins, pane_ms)


def wants_hours(rule: Rule, metric: Metric) -> bool:
    """Tell whether a rule reads how many events an hour has."""
    return rule.kind in COUNTS or (metric.kind in EXPOSED and rule.kind is not RuleKind.BURN)
