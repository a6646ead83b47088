"""The kinds of metrics. A new kind is one module here, one row below, and one test module."""

from collections.abc import Mapping

from schemas.metrics import MetricKind
from streams.core.kinds.amount import Amount
from streams.core.kinds.count import Count
from streams.core.kinds.driver import Driver
from streams.core.kinds.event_share import EventShare
from streams.core.kinds.gap import Gap
from streams.core.kinds.gap_share import GapShare
from streams.core.kinds.grid import Grid
from streams.core.kinds.kind import Kind
from streams.core.kinds.mean import Mean
from streams.core.kinds.nps import Nps
from streams.core.kinds.part import Part
from streams.core.kinds.rate import Rate
from streams.core.kinds.repeat import Repeat
from streams.core.kinds.response import Response
from streams.core.kinds.response_quantile import ResponseQuantile
from streams.core.kinds.share import Share

KINDS: Mapping[MetricKind, Kind] = {
    MetricKind.SHARE: Share(),
    MetricKind.NPS: Nps(),
    MetricKind.MEAN: Mean(),
    MetricKind.GAP: Gap(),
    MetricKind.GAP_SHARE: GapShare(),
    MetricKind.DRIVER: Driver(),
    MetricKind.GRID: Grid(),
    MetricKind.EVENT_SHARE: EventShare(),
    MetricKind.PART: Part(),
    MetricKind.RATE: Rate(),
    MetricKind.COUNT: Count(),
    MetricKind.AMOUNT: Amount(),
    MetricKind.RESPONSE: Response(),
    MetricKind.RESPONSE_QUANTILE: ResponseQuantile(),
    MetricKind.REPEAT: Repeat(),
}
