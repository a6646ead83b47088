"""Metric definitions: what is counted, over which keys and windows, and how counts become a value.

A metric's identity holds the hash of what decides its counts and values, so a changed definition is a new series.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from math import lcm
from typing import Literal

import msgspec

from schemas.event import Channel
from schemas.windows import HOUR_MS, WINDOWS

ALL = "*"
OVERFLOW_KEY = "__other__"
PAIR = "+"
"""Joins the two dimensions of a pair; the key of a pair is a JSON array."""
ATTRIBUTE = "attr."
"""Begins a dimension that reads a named attribute of the event."""
PLAIN_DIMENSIONS = (ALL, "channel", "touchpoint", "parent", "product")


class MetricKind(StrEnum):
    """How bins become a value."""

    SHARE = "share"
    """Share of answers in the box."""
    NPS = "nps"
    MEAN = "mean"
    GAP = "gap"
    """Mean of perceived minus expected, both answered on one scale."""
    GAP_SHARE = "gap_share"
    """Share of answers whose gap is at least `at_least`: 0 satisfied, more delighted."""
    DRIVER = "driver"
    """Spearman's rank correlation of a question with the overall question."""
    GRID = "grid"
    """Mean of a weighted observation grid, 0..100; mystery probes."""
    EVENT_SHARE = "event_share"
    """Share of `events` among `among`, each event one."""
    PART = "part"
    """Events of some kinds per event of others of which they are a part: answered per sent. A share."""
    RATE = "rate"
    """Events per exposing event, where one exposure may bring several: complaints per order."""
    COUNT = "count"
    """Number of events."""
    AMOUNT = "amount"
    """Sum of order amounts, minor units of one currency."""
    RESPONSE = "response"
    """Share of messages answered within `target_ms`, among those that were answered or are older than it."""
    RESPONSE_QUANTILE = "response_quantile"
    """Quantile of the time to the first answer; what waits longer than `target_ms` is censored there."""
    REPEAT = "repeat"
    """Share of contacts of a customer who had one on the same topic within `within_ms` before."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One metric. `box` lists the scale points that count as good; which fields a kind wants: schemas/metric_needs.py."""

    name: str
    version: int
    owner: str
    title: str
    kind: MetricKind
    question: str | None = None
    question_version: str | None = None
    """Only answers to this version count; None: any version on the scale."""
    scale: tuple[int, int] | None = None
    box: tuple[int, ...] = ()
    good: Literal["high", "low"] = "high"
    """Which end of the value is good: the polarity of a question belongs to it, not to the code."""
    expected_question: str | None = None
    """Of a gap: the question about the expectation; `question` asks what was perceived."""
    at_least: int = 0
    """Of a gap share: the least gap that counts."""
    overall_question: str | None = None
    """Of a driver: the question that it may drive, on `overall_scale`."""
    overall_scale: tuple[int, int] | None = None
    grid: dict[str, float] = {}
    """Of a grid: question -> weight, all on `scale`."""
    events: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    """Kinds of events that expose or make up the whole; empty for event_share: every customer contact."""
    currency: str | None = None
    target_ms: int = 0
    """Of response times: the time within which an answer is due."""
    memory_ms: int = 0
    """Of response times: how far apart in arrived time a message and its answer may come."""
    quantile: float = 0.0
    within_ms: int = 0
    """Of repeats: how long before, in arrived time, the earlier contact may have come."""
    probes: bool = False
    """Whether probes, and nothing else, count."""
    channels: tuple[Channel, ...] = tuple(Channel)
    dimensions: tuple[str, ...] = (ALL, "channel", "touchpoint")
    windows: tuple[str, ...] = tuple(WINDOWS)
    lateness_ms: dict[str, int] = {}
    n_min: int = 30
    level: float = 0.95
    bounds: Literal["fixed", "anytime"] = "fixed"
    """`anytime`: the interval holds at all looks together, for values that are watched continuously."""
    target: float | None = None
    response_rate_min: float | None = None
    """Below this response rate (metric `response_metric`, same key and window) the headline is withheld."""
    response_metric: str | None = None
    one_per: Literal["subject", "conversation"] | None = None
    """Of the answers of one of these in a period of arrived time the first counts; periods begin at multiples of their length."""
    one_per_period_ms: int = 0
    max_keys: int = 10_000
    detect_max_age_ms: int = 24 * HOUR_MS

    @property
    def identity(self) -> str:
        """Return name@hash: the name of the series that this definition makes."""
        return f"{self.name}@{definition_hash(self, 'owner', 'title', 'target')[:8]}"

    def lateness(self, window: str) -> int:
        """Return how long after its end a window stays provisional, in ms."""
        return self.lateness_ms.get(window, WINDOWS[window].lateness_ms)


def whole_weights(grid: Mapping[str, float]) -> dict[str, int]:
    """Return the weights as whole numbers in the same proportion, so that scores round alike everywhere."""
    exact = {question: Fraction(str(weight)) for question, weight in grid.items()}
    common = lcm(*(weight.denominator for weight in exact.values()))
    return {question: int(weight * common) for question, weight in exact.items()}


def definition_hash(value: msgspec.Struct, *left_out: str) -> str:
    """Return 64 hex digits that name a definition, without the fields left out; defaults do not enter."""
    plain = msgspec.to_builtins(value)
    kept = {name: part for name, part in plain.items() if name not in left_out}
    return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()
