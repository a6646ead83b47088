"""Scores of a week: value with interval and n, against the target and against the week before."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from math import hypot
from typing import Literal, NamedTuple

import msgspec

from deploy.report.mix import MEANS, AtMix, at_mix
from schemas.catalogue import Catalogue
from schemas.metrics import Metric, MetricKind
from schemas.outputs import Quality
from sinks.cases import Count
from streams.core.ranking import ranked
from streams.core.values import Value, value_of, withheld

Good = Literal["high", "low", "none"]
BURDENS = frozenset({"complaint", "letter", "dispute", "remark", "order_returned", "order_cancelled"})
"""Kinds of events of which fewer are better."""
AMOUNTS = frozenset({MetricKind.COUNT, MetricKind.AMOUNT})
"""Kinds without a good end: more mail is neither good nor bad."""
SHARES = frozenset({
    MetricKind.SHARE, MetricKind.EVENT_SHARE, MetricKind.GAP_SHARE, MetricKind.PART, MetricKind.RESPONSE, MetricKind.REPEAT,
})  # fmt: skip


class Verdict(StrEnum):
    """A value against something else, by its interval."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"
    """The difference lies within what chance explains."""
    HIGHER = "higher"
    LOWER = "lower"
    NONE = "none"
    """There is nothing to compare."""


class Figure(msgspec.Struct, frozen=True):
    """A value in words' reach: None where `quality` is no_data or withheld."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    quality: Quality


class Score(msgspec.Struct, frozen=True):
    """One metric and key in one week."""

    metric: str
    kind: str
    dimension: str
    key: str
    good: Good
    now: Figure
    before: Figure
    redefined: bool
    """Whether the week before was counted by another definition, so that nothing is compared."""
    target: float | None
    against_target: Verdict
    change: Figure
    """Now minus before; n is the smaller one."""
    trend: Verdict
    at_mix: AtMix | None = None
    """Of everything: the score at the mix of channels of the weeks before; None where there is none, or no mean."""


def good_end(metric: Metric) -> Good:
    """Return which end of a metric's values is good."""
    if metric.kind in AMOUNTS:
        return "none"
    if metric.good == "low" or (metric.events and set(metric.events) <= BURDENS):
        return "low"
    return "high"


def scores(
    catalogue: Catalogue, now: Iterable[Count], before: Iterable[Count], earlier: Iterable[Count] = ()
) -> list[Score]:
    """Return the score of each metric for everything, each channel that says anything, and each touchpoint of the catalogue.

    `earlier`: the counts by channel of the weeks whose mix is the reference.
    """
    these, those, past = _by_series(now), _by_series(before), _by_series(earlier)
    redefined = {series[0].partition("@")[0] for series in those} - {
        series[0].partition("@")[0] for series in those if series[0] in catalogue.by_identity()
    }
    out = []
    for metric in catalogue.metric:
        for dimension in ("*", "channel", "touchpoint"):
            if dimension not in metric.dimensions:
                continue
            seen = {key for name, dim, key in these | those if name == metric.identity and dim == dimension}
            known = [one.name for one in catalogue.touchpoint] if dimension == "touchpoint" else []
            keys = ["*"] if dimension == "*" else [*known, *sorted(seen - set(known))]
            for key in keys:
                figures = [_figure(catalogue, metric, dimension, key, counted) for counted in (these, those)]
                one = _score(metric, (dimension, key), *figures, redefined=metric.name in redefined)
                if key == "*" and figures[0].value is not None:
                    one = msgspec.structs.replace(one, at_mix=_at_mix(catalogue, metric, these, past))
                out.append(one)
    return out


Series = tuple[str, str, str]


class Bins(NamedTuple):
    """Counts by bin and the sum of amounts of one series."""

    counts: dict[int, int]
    total: int


NOTHING = Bins({}, 0)


def _by_series(counts: Iterable[Count]) -> dict[Series, Bins]:
    out: dict[Series, Bins] = {}
    for one in counts:
        series = (one.metric, one.dimension, one.key)
        bins, total = out.get(series, Bins({}, 0))
        bins[one.bin] = bins.get(one.bin, 0) + one.n
        out[series] = Bins(bins, total + one.total)
    return out


def _figure(catalogue: Catalogue, metric: Metric, dimension: str, key: str, counted: Mapping[Series, Bins]) -> Figure:
    def of(one: Metric) -> Value:
        return value_of(one, *counted.get((one.identity, dimension, key), NOTHING))

    response = None if metric.response_metric is None else of(catalogue.named(metric.response_metric))
    found = withheld(metric, of(metric), response)
    return Figure(found.value, found.lo, found.hi, found.n, Quality(found.quality))


def _at_mix(
    catalogue: Catalogue, metric: Metric, these: Mapping[Series, Bins], past: Mapping[Series, Bins]
) -> AtMix | None:
    if metric.kind not in MEANS:
        return None
    channels = sorted({key for name, dimension, key in past if (name, dimension) == (metric.identity, "channel")})
    answers = {key: value_of(metric, *past[metric.identity, "channel", key]).n for key in channels}
    now = {key: _figure(catalogue, metric, "channel", key, these) for key in channels}
    return at_mix(
        {
            key: (one.value, one.lo, one.hi)
            for key, one in now.items()
            if one.value is not None and one.lo is not None and one.hi is not None
        },
        answers,
    )


def _score(metric: Metric, series: tuple[str, str], now: Figure, before: Figure, *, redefined: bool) -> Score:
    good = good_end(metric)
    change = Figure(None, None, None, 0, Quality.NO_DATA) if redefined else difference(now, before)
    return Score(
        metric=metric.name,
        kind=str(metric.kind),
        dimension=series[0],
        key=series[1],
        good=good,
        now=now,
        before=before,
        redefined=redefined,
        target=metric.target,
        against_target=against(now, metric.target, good),
        change=change,
        trend=against(change, 0.0, good),
    )


def difference(now: Figure, before: Figure) -> Figure:
    """Return now minus before with its interval, from the two intervals; no_data unless both have one.

    Source: Newcombe 1998 (hybrid score, method 10); Zou and Donner 2008 for other intervals.
    """
    if None in (now.value, now.lo, now.hi, before.value, before.lo, before.hi):
        return Figure(None, None, None, min(now.n, before.n), Quality.NO_DATA)
    assert now.value is not None and now.lo is not None and now.hi is not None
    assert before.value is not None and before.lo is not None and before.hi is not None
    change = now.value - before.value
    lo = change - hypot(now.value - now.lo, before.hi - before.value)
    hi = change + hypot(now.hi - now.value, before.value - before.lo)
    quality = Quality.OK if now.quality is before.quality is Quality.OK else Quality.LOW_N
    return Figure(change, lo, hi, min(now.n, before.n), quality)


def against(figure: Figure, mark: float | None, good: Good) -> Verdict:
    """Return on which side of `mark` the whole interval lies; nothing is said from too few answers."""
    if mark is None or figure.lo is None or figure.hi is None or figure.quality is not Quality.OK:
        return Verdict.NONE
    if figure.lo <= mark <= figure.hi:
        return Verdict.UNCLEAR
    above = figure.lo > mark
    if good == "none":
        return Verdict.HIGHER if above else Verdict.LOWER
    return Verdict.BETTER if above == (good == "high") else Verdict.WORSE


class Ranking(msgspec.Struct, frozen=True):
    """The touchpoints of one metric: best first by the bound that is sure; those with too little said are not ranked."""

    metric: str
    ranked: list[Score]
    unranked: list[Score]


def rankings(found: Iterable[Score]) -> list[Ranking]:
    """Return the ranking of each metric that has a good end."""
    by_metric: dict[str, list[Score]] = defaultdict(list)
    for one in found:
        if one.dimension == "touchpoint" and one.good != "none":
            by_metric[one.metric].append(one)
    out = []
    for metric, places in by_metric.items():
        enough = {one.key: one for one in places if one.now.quality is Quality.OK}
        bands = {key: (one.now.lo, one.now.hi) for key, one in enough.items()}
        order = ranked({key: (lo, hi) for key, (lo, hi) in bands.items() if lo is not None and hi is not None},
                       high_is_good=places[0].good == "high")  # fmt: skip
        out.append(
            Ranking(metric, [enough[key] for key in order], [one for one in places if one.key not in set(order)])
        )
    return out
