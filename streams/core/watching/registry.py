"""Which detector serves which kind of rule, by what the metric counts."""

from collections.abc import Callable, Iterable, Mapping

from schemas.errors import CatalogueError
from schemas.metrics import Metric, MetricKind
from schemas.rules import COUNTS, BaselineKind, Rule, RuleKind
from streams.core.bins import Bins
from streams.core.watching.bad_share import BadShare, counted_of
from streams.core.watching.counts import EventCounts
from streams.core.watching.exposure import Exposed
from streams.core.watching.hourly_share import HourlyShare
from streams.core.watching.kind import Kind
from streams.core.watching.listening import Ear
from streams.core.watching.score import Score

Build = Callable[[Rule, Metric, Bins, int], Kind]
"""(rule, metric, bins, pane length in ms)"""

EXPOSED = frozenset({MetricKind.PART, MetricKind.RATE})
"""Metrics whose bin 0 holds the exposure, which comes by other events than those in bin 1."""


def _share(rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> Kind:
    if metric.kind in EXPOSED:
        return Exposed(rule, metric, bins, pane_ms)
    found = HourlyShare if wants_answers(rule, metric) else BadShare
    return found(rule, metric, bins)


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


def wants_answers(rule: Rule, metric: Metric) -> bool:
    """Tell whether a rule reads what share of the answers of an hour the metric counts."""
    on_share = KINDS.get(rule.kind) is _share and metric.kind not in EXPOSED
    return on_share and rule.profile == "weekday_hour" and rule.baseline is BaselineKind.LEARNED


def ear_of(rules: Iterable[Rule], metric: Metric, bins: Bins) -> Ear:
    """Return the ear of rules on one metric and dimension."""
    held = list(rules)

    def pair(counts: Mapping[int, int]) -> tuple[int, int]:
        return sum(counts.values()), counted_of(metric, counts)

    answers = any(wants_answers(rule, metric) for rule in held)
    return Ear(bins, hours=any(wants_hours(rule, metric) for rule in held), pair=pair if answers else None)
