"""The metric catalogue: the only place where metrics and alarms are defined.

A metric's identity holds the hash of what decides its counts and values, so a changed definition is a new series.
Unknown keys in the file are errors.
"""

import hashlib
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas.errors import CatalogueError
from schemas.event import KINDS, Channel
from schemas.windows import DAY_MS, HOUR_MS, WINDOWS

DIMENSIONS = ("*", "channel", "touchpoint")
ALL = "*"
OVERFLOW_KEY = "__other__"


class MetricKind(StrEnum):
    """How bins become a value: a share in a box, the NPS, a mean, a share of events, a count of events."""

    SHARE = "share"
    NPS = "nps"
    MEAN = "mean"
    EVENT_SHARE = "event_share"
    COUNT = "count"


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric. `box` lists the scale points that count as good (share) or the kinds that count as 1 (event_share)."""

    name: str
    version: int
    owner: str
    title: str
    kind: MetricKind
    question: str | None = None
    scale: tuple[int, int] | None = None
    box: tuple[int, ...] = ()
    events: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = tuple(Channel)
    dimensions: tuple[str, ...] = DIMENSIONS
    windows: tuple[str, ...] = tuple(WINDOWS)
    lateness_ms: dict[str, int] = {}
    n_min: int = 30
    level: float = 0.95
    target: float | None = None
    max_keys: int = 10_000
    detect_max_age_ms: int = 24 * HOUR_MS

    @property
    def identity(self) -> str:
        """Return name@hash: the name of the series that this definition makes."""
        return f"{self.name}@{_hash(self, 'owner', 'title', 'target')[:8]}"

    def lateness(self, window: str) -> int:
        """Return how long after its end a window stays provisional, in ms."""
        return self.lateness_ms.get(window, WINDOWS[window].lateness_ms)


class RuleKind(StrEnum):
    DROP = "drop"
    DISPUTE = "dispute"


class BaselineKind(StrEnum):
    LEARNED = "learned"
    FIXED = "fixed"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One alarm rule. Shares are bad shares; the budget is in expected false alarms a week over all keys together."""

    name: str
    owner: str
    kind: RuleKind
    severity: str
    metric: str = ""
    dimension: str = "touchpoint"
    direction: str = "down"
    baseline: BaselineKind = BaselineKind.LEARNED
    p0: float | None = None
    p1: float = 0.25
    p1_margin: float = 0.03
    budget_per_week: float = 1.0
    learn_lag_ms: int = 7 * DAY_MS
    learn_min: int = 200
    learn_confidence: float = 0.999
    resolve_min_answers: int = 30

    @property
    def definition_hash(self) -> str:
        """Return 16 hex digits that name this definition."""
        return _hash(self, "owner")[:16]


class Touchpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place where customers meet the company."""

    name: str
    title: str = ""
    parent: str | None = None
    time_zone: str = "UTC"
    opens: str | None = None
    closes: str | None = None
    owner: str | None = None


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All metrics, alarm rules and touchpoints."""

    metric: list[Metric]
    alarm: list[Rule] = []
    touchpoint: list[Touchpoint] = []

    @property
    def hash(self) -> str:
        """Return 16 hex digits that name everything which decides counts, values and alarms."""
        parts = [metric.identity for metric in self.metric] + [
            f"{rule.name}:{rule.definition_hash}" for rule in self.alarm
        ]
        return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]

    def by_identity(self) -> dict[str, Metric]:
        """Return metric identity -> metric."""
        return {metric.identity: metric for metric in self.metric}

    def named(self, name: str) -> Metric:
        """Return the metric of this name. Raises CatalogueError."""
        for metric in self.metric:
            if metric.name == name:
                return metric
        raise CatalogueError("unknown_metric", f"no metric {name!r} in the catalogue")

    def scales(self) -> dict[str, tuple[int, int]]:
        """Return question -> scale, for the questions that a metric reads."""
        return {one.question: one.scale for one in self.metric if one.question is not None and one.scale is not None}


def _hash(value: msgspec.Struct, *left_out: str) -> str:
    plain = msgspec.to_builtins(value)
    kept = {name: part for name, part in plain.items() if name not in left_out}
    return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def parse(text: str) -> Catalogue:
    """Return the catalogue of TOML text. Raises CatalogueError that names the culprit."""
    try:
        catalogue = msgspec.toml.decode(text, type=Catalogue)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise CatalogueError("bad_catalogue", str(error), "mend the catalogue file") from error
    _check(catalogue)
    return catalogue


def load(path: str = "") -> Catalogue:
    """Return the catalogue of a file, or the packaged one. Raises CatalogueError."""
    try:
        text = Path(path).read_text("utf-8") if path else (files("schemas") / "catalogue.toml").read_text("utf-8")
    except OSError as error:
        raise CatalogueError(
            "no_catalogue",
            f"{path}: {error}",
            "set BAROMETER_CATALOGUE to a readable file",
        ) from error
    return parse(text)


def _check(catalogue: Catalogue) -> None:
    def refuse(name: str, detail: str) -> None:
        raise CatalogueError("bad_catalogue", f"{name}: {detail}", "mend the catalogue file")

    scales: dict[str, tuple[int, int] | None] = {}
    for metric in catalogue.metric:
        asked = metric.kind in {MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN}
        if asked and (metric.question is None or metric.scale is None):
            refuse(metric.name, "wants a question and a scale")
        if metric.question is not None and scales.setdefault(metric.question, metric.scale) != metric.scale:
            refuse(metric.name, f"question {metric.question!r} has two scales")
        if metric.kind is MetricKind.SHARE and not metric.box:
            refuse(metric.name, "a share states its box")
        if metric.kind is MetricKind.NPS and metric.scale != (0, 10):
            refuse(metric.name, "the NPS is asked on 0..10")
        if metric.kind is MetricKind.EVENT_SHARE and not metric.events:
            refuse(metric.name, "states the event kinds that it counts")
        for given, known in (
            (metric.dimensions, DIMENSIONS),
            (metric.windows, WINDOWS),
            (metric.events, KINDS),
        ):
            unknown = sorted(set(given) - set(known))
            if unknown:
                refuse(metric.name, f"unknown {', '.join(unknown)}")
        for name, lateness in metric.lateness_ms.items():
            if name not in WINDOWS or not 0 <= lateness <= WINDOWS[name].span_ms - WINDOWS[name].length_ms:
                refuse(metric.name, f"lateness of {name} exceeds what the state holds")
    for rule in catalogue.alarm:
        if rule.kind is RuleKind.DROP and catalogue.named(rule.metric).kind is not MetricKind.SHARE:
            refuse(rule.name, "watches a metric of kind share")
        if rule.baseline is BaselineKind.FIXED and rule.p0 is None:
            refuse(rule.name, "a fixed baseline states p0")
        if not 0 < rule.p1 < 1 or rule.budget_per_week <= 0:
            refuse(rule.name, "p1 lies in 0..1 and the budget above 0")
    for names in (
        [one.name for one in catalogue.metric],
        [one.name for one in catalogue.alarm],
    ):
        if len(set(names)) != len(names):
            refuse(", ".join(names), "a name stands twice")
