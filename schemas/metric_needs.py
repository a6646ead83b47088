"""What each kind of metric reads: the fields that it wants, those that it may have, and the range of its values."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from schemas.catalogue_fields import Problem
from schemas.metrics import Metric, MetricKind

INFINITE = float("inf")


class Needs(NamedTuple):
    """Fields that a kind must state, and others that it reads; `target`: range of its values, None: the scale."""

    must: tuple[str, ...]
    may: tuple[str, ...] = ()
    target: tuple[float, float] | None = (0.0, 1.0)


_ASKED = ("question", "scale")
NEEDS: Mapping[MetricKind, Needs] = {
    MetricKind.SHARE: Needs((*_ASKED, "box"), ("question_version",)),
    MetricKind.NPS: Needs(_ASKED, ("question_version",), (-100.0, 100.0)),
    MetricKind.MEAN: Needs(_ASKED, ("question_version",), None),
    MetricKind.GAP: Needs((*_ASKED, "expected_question"), ("question_version",), (-INFINITE, INFINITE)),
    MetricKind.GAP_SHARE: Needs((*_ASKED, "expected_question"), ("question_version", "at_least")),
    MetricKind.DRIVER: Needs((*_ASKED, "overall_question", "overall_scale"), ("question_version",), (-1.0, 1.0)),
    MetricKind.GRID: Needs(("grid", "scale"), ("question_version",), (0.0, 100.0)),
    MetricKind.EVENT_SHARE: Needs(("events",), ("among",)),
    MetricKind.PART: Needs(("events", "among")),
    MetricKind.RATE: Needs(("events", "among"), (), (0.0, INFINITE)),
    MetricKind.COUNT: Needs((), ("events",), (0.0, INFINITE)),
    MetricKind.AMOUNT: Needs(("currency", "events"), (), (-INFINITE, INFINITE)),
    MetricKind.RESPONSE: Needs(("events", "target_ms", "memory_ms")),
    MetricKind.RESPONSE_QUANTILE: Needs(("events", "target_ms", "memory_ms", "quantile"), (), (0.0, INFINITE)),
    MetricKind.REPEAT: Needs(("events", "within_ms")),
}
_OF_KINDS = sorted({name for needs in NEEDS.values() for name in (*needs.must, *needs.may)})
_EMPTY: tuple[object, ...] = (None, (), {}, 0)


def field_problems(metric: Metric, path: str) -> Iterator[Problem]:
    """Yield fields that a metric lacks, and those that its kind does not read."""
    needs = NEEDS[metric.kind]
    for name in needs.must:
        if getattr(metric, name) in _EMPTY:
            yield Problem(path, f"kind {metric.kind} wants {name}", f"state {name}")
    for name in _OF_KINDS:
        if name not in (*needs.must, *needs.may) and getattr(metric, name) not in _EMPTY:
            yield Problem(f"{path}.{name}", f"kind {metric.kind} does not read {name}",
                          f"take {name} out, or choose another kind")  # fmt: skip


def values_of(metric: Metric) -> tuple[float, float]:
    """Return the least and the greatest value that a metric can have."""
    needs = NEEDS[metric.kind]
    if needs.target is not None:
        return needs.target
    return metric.scale or (-INFINITE, INFINITE)
