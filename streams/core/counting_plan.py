"""What counting needs to know of a catalogue, worked out once: which metrics select and group alike."""

from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from streams.core.dimensions import Dimension, dimension_of
from streams.core.kinds import KINDS
from streams.core.kinds.kind import Kind

_CATALOGUES = 16


class Member(NamedTuple):
    """A metric by its name and identity, with the names of its dimensions."""

    name: str
    identity: str
    dimensions: frozenset[str]


class Group(NamedTuple):
    """Metrics that count the same events in the same bins; `metric` is one of them, `dimensions` are those of all."""

    kind: Kind
    metric: Metric
    members: list[Member]
    dimensions: dict[str, Dimension]


class Plan(NamedTuple):
    """All metrics of a catalogue; `parents`: touchpoint -> the touchpoint above it."""

    groups: list[Group]
    parents: dict[str, str]


class _Same:
    """A catalogue as a key: definitions are never changed in place, so the object stands for its content."""

    __slots__ = ("catalogue",)

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.catalogue is other.catalogue

    def __hash__(self) -> int:
        return id(self.catalogue)


def plan_of(catalogue: Catalogue) -> Plan:
    """Return the plan of a catalogue."""
    return _plan(_Same(catalogue))


@lru_cache(_CATALOGUES)
def _plan(same: _Same) -> Plan:
    groups: dict[Hashable, Group] = {}
    for metric in same.catalogue.metric:
        kind = KINDS[metric.kind]
        once = metric.one_per, metric.one_per_period_ms
        at = kind.source(metric), frozenset(metric.channels), metric.detect_max_age_ms, once
        group = groups.setdefault(at, Group(kind, metric, [], {}))
        group.members.append(Member(metric.name, metric.identity, frozenset(metric.dimensions)))
        group.dimensions.update({name: dimension_of(name) for name in metric.dimensions})
    above = {one.name: one.parent for one in same.catalogue.touchpoint if one.parent is not None}
    return Plan(list(groups.values()), above)
