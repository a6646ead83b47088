"""The catalogue as SQL: which events count, and what their counts say. A new kind of metric is one row here."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.metrics import Metric, MetricKind
from sinks.compiled import estimates, selections
from sinks.compiled.estimates import Estimate
from sinks.compiled.selections import Selection


class Pieces(NamedTuple):
    """How a kind reads events, and how it reads counts."""

    select: Callable[[Metric], Selection]
    estimate: Callable[[Metric], Estimate]


KINDS: Mapping[MetricKind, Pieces] = {
    MetricKind.SHARE: Pieces(selections.asked, estimates.share),
    MetricKind.NPS: Pieces(selections.asked, estimates.nps),
    MetricKind.MEAN: Pieces(selections.asked, estimates.mean),
    MetricKind.GAP: Pieces(selections.gap, estimates.mean),
    MetricKind.GAP_SHARE: Pieces(selections.gap, estimates.gap_share),
    MetricKind.DRIVER: Pieces(selections.driver, estimates.driver),
    MetricKind.GRID: Pieces(selections.grid, estimates.mean),
    MetricKind.EVENT_SHARE: Pieces(selections.event_share, estimates.event_share),
    MetricKind.PART: Pieces(selections.two_sided, estimates.part),
    MetricKind.RATE: Pieces(selections.two_sided, estimates.rate),
    MetricKind.COUNT: Pieces(selections.count, estimates.count),
    MetricKind.AMOUNT: Pieces(selections.amount, estimates.amount),
    MetricKind.RESPONSE: Pieces(selections.response, estimates.event_share),
    MetricKind.RESPONSE_QUANTILE: Pieces(selections.response_quantile, estimates.response_quantile),
    MetricKind.REPEAT: Pieces(selections.repeat, estimates.event_share),
}
