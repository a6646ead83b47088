"""What a metric must be: every rule of the catalogue about metrics that a type cannot say.

Which fields a kind wants: schemas/metric_needs.py; alarm rules: schemas/rule_checks.py; touchpoints: schemas/place_checks.py.
Each check yields problems with path, reason and remedy; none stops at the first.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from schemas.catalogue_fields import Problem
from schemas.event import KINDS
from schemas.metric_needs import INFINITE, field_problems, values_of
from schemas.metrics import ALL, ATTRIBUTE, PAIR, PLAIN_DIMENSIONS, Metric, MetricKind
from schemas.topics import LIVE
from schemas.windows import DAY_MS, WINDOWS

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""Names of metrics and rules: they become names of views and labels of gauges."""
CURRENCY = re.compile(r"[A-Z]{3}")
"""Form of an ISO 4217 code."""
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_.-]+")
ENDINGS = ("_windows", "_recount", "_smoothed")
"""Endings of the further views of a metric (sinks/compiled): a metric of such a name would take another's place."""
LEAST_TARGET_MS = 60_000
SPARE_MS = DAY_MS
"""So much earlier than a topic's retention anything must be read that is to be read again."""
POINTS = 1_001
"""A scale holds at most so many points, since each is a bin of every bucket."""
NOT_WATCHED = frozenset({MetricKind.PART, MetricKind.DRIVER, MetricKind.COUNT, MetricKind.AMOUNT})
"""Kinds without anytime-valid bounds."""
_REMEMBERING = frozenset({MetricKind.RESPONSE, MetricKind.RESPONSE_QUANTILE, MetricKind.REPEAT})


def metric_problems(
    metrics: Mapping[int, Metric], *, unread: AbstractSet[str] = frozenset(), pane_ms: int | None = None
) -> Iterator[Problem]:
    """Yield what is wrong with metrics (index in the file -> metric).

    `unread`: names of further metrics, whose tables could not be read; `pane_ms`: where the pane length is known.
    """
    names = {metric.name: metric for metric in metrics.values()}
    yield from twice("metric", {index: one.name for index, one in metrics.items()})
    for index, metric in metrics.items():
        path = f"$.metric[{index}]"
        yield from _named(metric, path)
        yield from field_problems(metric, path)
        yield from _scale(metric, path)
        yield from _words(metric, path)
        yield from _windows(metric, path, pane_ms)
        yield from _numbers(metric, path)
        yield from _memory(metric, path)
        if metric.response_metric not in unread:
            yield from _response(metric, path, names)
    yield from _one_scale(metrics)


def twice(what: str, names: Mapping[int, str]) -> Iterator[Problem]:
    """Yield names that stand more than once."""
    counts = Counter(names.values())
    for index, name in names.items():
        if counts[name] > 1:
            yield Problem(f"$.{what}[{index}].name", f"the name {name} stands twice",
                          "keep one; one version of a name is active, an older one stays in the tables")  # fmt: skip


def _named(metric: Metric, path: str) -> Iterator[Problem]:
    if not NAME.fullmatch(metric.name):
        yield Problem(f"{path}.name", f"{metric.name!r} is no name",
                      "write small letters, digits and _, a letter first, at most 63")  # fmt: skip
    elif metric.name.endswith(ENDINGS):
        yield Problem(f"{path}.name", f"{metric.name} ends like a view of another metric", "choose another ending")
    for name in ("owner", "title"):
        if not getattr(metric, name).strip():
            yield Problem(f"{path}.{name}", f"{name} is empty", "say who answers for it, or what it means")
    if metric.version < 1:
        yield Problem(f"{path}.version", "versions count from 1", "write version = 1")


def _scale(metric: Metric, path: str) -> Iterator[Problem]:
    for name in ("scale", "overall_scale"):
        scale = getattr(metric, name)
        if scale is not None and not scale[0] < scale[1] < scale[0] + POINTS:
            yield Problem(f"{path}.{name}", f"{name} {list(scale)} is impossible",
                          f"state the lowest point and a higher one, at most {POINTS} points")  # fmt: skip
            return
    if metric.scale is None:
        return
    low, high = metric.scale
    if metric.kind is MetricKind.NPS and metric.scale != (0, 10):
        yield Problem(f"{path}.scale", "the NPS is asked on 0..10", "write scale = [0, 10], or take kind mean")
    points = set(metric.box)
    outside = sorted(point for point in points if not low <= point <= high)
    if outside or len(points) != len(metric.box):
        yield Problem(f"{path}.box", f"box {list(metric.box)} is impossible on {low}..{high}",
                      "list points of the scale, each once")  # fmt: skip
    elif len(points) == high - low + 1:
        yield Problem(f"{path}.box", "the box is the whole scale: every answer would be good", "leave points out")
    if not low - high <= metric.at_least <= high - low:
        yield Problem(f"{path}.at_least", f"no gap on {low}..{high} reaches {metric.at_least}",
                      f"write {low - high}..{high - low}")  # fmt: skip
    if metric.kind in {MetricKind.GAP, MetricKind.GAP_SHARE} and metric.expected_question == metric.question:
        yield Problem(f"{path}.expected_question", "one question cannot be both expected and perceived", "name two")
    if metric.kind is MetricKind.DRIVER and metric.overall_question == metric.question:
        yield Problem(f"{path}.overall_question", "a question drives itself", "name the overall question")
    if metric.kind is MetricKind.DRIVER and metric.overall_scale is not None:
        pairs = (high - low + 1) * (metric.overall_scale[1] - metric.overall_scale[0] + 1)
        if pairs > POINTS:
            yield Problem(f"{path}.overall_scale", f"{pairs} pairs of points are too many", f"at most {POINTS}")
    for question, weight in metric.grid.items():
        if not 0 < weight < INFINITE:
            yield Problem(f"{path}.grid.{question}", f"weight {weight} of {question} is not above 0", "write 1.0")


def _words(metric: Metric, path: str) -> Iterator[Problem]:
    for name in ("events", "among"):
        unknown = sorted(set(getattr(metric, name)) - KINDS)
        if unknown:
            yield Problem(f"{path}.{name}", f"unknown kinds of events: {', '.join(unknown)}",
                          f"known are {', '.join(sorted(KINDS))}")  # fmt: skip
    if metric.kind is MetricKind.EVENT_SHARE and metric.among and not set(metric.events) <= set(metric.among):
        yield Problem(f"{path}.among", "events that are not among the whole cannot be a share of it",
                      "add them to among, or take kind rate")  # fmt: skip
    if metric.kind in {MetricKind.PART, MetricKind.RATE} and set(metric.events) & set(metric.among):
        yield Problem(f"{path}.among", f"{', '.join(sorted(set(metric.events) & set(metric.among)))} on both sides",
                      "an event counts on one side: take it out of events or among")  # fmt: skip
    if metric.bounds == "anytime" and metric.kind in NOT_WATCHED:
        yield Problem(f"{path}.bounds", f"kind {metric.kind} has no anytime-valid bounds", 'write bounds = "fixed"')
    if metric.currency is not None and not CURRENCY.fullmatch(metric.currency):
        yield Problem(f"{path}.currency", f"{metric.currency!r} is no currency", 'write an ISO 4217 code such as "EUR"')
    if not metric.channels:
        yield Problem(f"{path}.channels", "no channel counts", "name channels, or take the key out for all")
    if not metric.dimensions or len(set(metric.dimensions)) != len(metric.dimensions):
        yield Problem(f"{path}.dimensions", "dimensions stand twice, or none", f'write ["{ALL}", "channel"]')
    for dimension in metric.dimensions:
        reason = dimension_reason(dimension)
        if reason:
            yield Problem(f"{path}.dimensions", reason, f"known are {', '.join(PLAIN_DIMENSIONS)}, {ATTRIBUTE}NAME and "
                          f"pairs such as channel{PAIR}touchpoint")  # fmt: skip


def dimension_reason(dimension: str) -> str:
    """Return why this is no dimension; empty if it is one."""
    parts = dimension.split(PAIR)
    for part in parts:
        attribute = part.startswith(ATTRIBUTE) and _ATTRIBUTE_NAME.fullmatch(part.removeprefix(ATTRIBUTE))
        if part not in PLAIN_DIMENSIONS and not attribute:
            return f"unknown dimension {dimension}"
    if len(parts) > 1 and (len(parts) > 2 or parts[0] == parts[1] or ALL in parts):
        return f"{dimension} is no pair of two different dimensions"
    return ""


def _windows(metric: Metric, path: str, pane_ms: int | None) -> Iterator[Problem]:
    unknown = sorted(set(metric.windows) - set(WINDOWS))
    if unknown or not metric.windows or len(set(metric.windows)) != len(metric.windows):
        yield Problem(f"{path}.windows", f"unknown windows {', '.join(unknown)}" if unknown else "windows stand twice, or none",
                      f"known are {', '.join(WINDOWS)}")  # fmt: skip
    for name in metric.windows:
        if pane_ms and name in WINDOWS and WINDOWS[name].step_ms % pane_ms:
            yield Problem(f"{path}.windows", f"a pane of {pane_ms} ms does not divide the step of {name}, "
                          f"{WINDOWS[name].step_ms} ms", "set BAROMETER_PANE_MS to a divisor of it, such as 10000")  # fmt: skip
    for name, lateness in metric.lateness_ms.items():
        if name not in metric.windows or name not in WINDOWS:
            yield Problem(f"{path}.lateness_ms.{name}", f"lateness of {name}, which is no window of this metric",
                          "take it out, or add the window")  # fmt: skip
            continue
        most = WINDOWS[name].span_ms - WINDOWS[name].length_ms
        if not 0 <= lateness <= most:
            yield Problem(f"{path}.lateness_ms.{name}", f"lateness {lateness} of {name} exceeds what the state holds",
                          f"write 0..{most}")  # fmt: skip


def _numbers(metric: Metric, path: str) -> Iterator[Problem]:
    for name in ("n_min", "max_keys", "detect_max_age_ms"):
        if getattr(metric, name) < 1:
            yield Problem(f"{path}.{name}", f"{name} {getattr(metric, name)} is below 1", "write 1 or more")
    if not 0 < metric.level < 1:
        yield Problem(f"{path}.level", f"level {metric.level} is not between 0 and 1", "write 0.95")
    if metric.target is not None:
        low, high = values_of(metric)
        if not low <= metric.target <= high:
            yield Problem(f"{path}.target", f"no {metric.kind} reaches {metric.target}", f"write {low:g}..{high:g}")
    if (metric.one_per is None) != (metric.one_per_period_ms == 0) or metric.one_per_period_ms < 0:
        yield Problem(f"{path}.{'one_per' if metric.one_per else 'one_per_period_ms'}",
                      "one_per and one_per_period_ms belong together",
                      "state both, such as one_per = \"subject\" and one_per_period_ms = 86400000, or none")  # fmt: skip


def _memory(metric: Metric, path: str) -> Iterator[Problem]:
    """Yield what cannot be remembered: a restart reads the memory back from the log, which keeps it for so long only."""
    for name in ("target_ms", "memory_ms", "within_ms"):
        if getattr(metric, name) < 0:
            yield Problem(f"{path}.{name}", f"{name} {getattr(metric, name)} is below 0", "write 86400000 for a day")
    if not 0 <= metric.quantile < 1:
        yield Problem(f"{path}.quantile", f"quantile {metric.quantile} is not between 0 and 1", "write 0.5")
    if metric.target_ms and metric.memory_ms < 2 * metric.target_ms:
        yield Problem(f"{path}.memory_ms", "a message is forgotten before much can be said of it",
                      f"write at least twice the target, {2 * metric.target_ms}")  # fmt: skip
    if metric.target_ms and metric.target_ms < LEAST_TARGET_MS:
        yield Problem(f"{path}.target_ms", f"a target of {metric.target_ms} ms is shorter than a minute",
                      f"write at least {LEAST_TARGET_MS}")  # fmt: skip
    if metric.kind in _REMEMBERING:
        if metric.probes:
            yield Problem(f"{path}.probes", f"kind {metric.kind} is about customers", "take probes out")
        if metric.one_per is not None:
            yield Problem(f"{path}.one_per", f"kind {metric.kind} counts every event", "take one_per out")
    reach = max(2 * metric.memory_ms, metric.within_ms, metric.one_per_period_ms)
    for channel in metric.channels:
        topic = LIVE[channel]
        most = topic.retention_ms - (topic.repeat_window_ms or 0) - SPARE_MS
        if reach > most:
            yield Problem(path, f"{reach} ms before an event decide what it counts for: the log of channel {channel} holds {most}",
                          "shorten memory_ms (it counts twice), within_ms or one_per_period_ms, or leave the channel out")  # fmt: skip


def _response(metric: Metric, path: str, names: Mapping[str, Metric]) -> Iterator[Problem]:
    if (metric.response_rate_min is None) != (metric.response_metric is None):
        yield Problem(path, "response_rate_min and response_metric belong together", "state both, or none")
    if metric.response_rate_min is not None and not 0 < metric.response_rate_min <= 1:
        yield Problem(f"{path}.response_rate_min", f"{metric.response_rate_min} is no rate", "write 0..1, such as 0.2")
    if metric.response_metric is None:
        return
    response = names.get(metric.response_metric)
    if response is None or response.kind not in {MetricKind.PART, MetricKind.EVENT_SHARE}:
        yield Problem(f"{path}.response_metric", f"{metric.response_metric} is no metric of kind part or event_share here",
                      "name the metric that counts answered per sent")  # fmt: skip
        return
    lacking = sorted({*metric.windows, *metric.dimensions} - {*response.windows, *response.dimensions})
    if lacking:
        yield Problem(f"{path}.response_metric", f"{response.name} does not count {', '.join(lacking)}",
                      f"add them to {response.name}")  # fmt: skip


def _one_scale(metrics: Mapping[int, Metric]) -> Iterator[Problem]:
    """Yield questions that are read on two scales: their scores would be pooled under one name at the edge."""
    scales: dict[str, tuple[int, int]] = {}
    for index, metric in metrics.items():
        read = [(metric.question, metric.scale), (metric.expected_question, metric.scale),
                (metric.overall_question, metric.overall_scale), *((one, metric.scale) for one in metric.grid)]  # fmt: skip
        for question, scale in read:
            if question is not None and scale is not None and scales.setdefault(question, scale) != scale:
                yield Problem(f"$.metric[{index}]", f"question {question!r} has two scales, {list(scales[question])} and {list(scale)}",
                              "give the question on the other scale a name of its own")  # fmt: skip
