"""What a detector is: how it learns, and how strongly the counts of a pane speak for each change that it seeks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from streams.core.baseline import Stretch
from streams.core.detectors.evidence import Evidence
from streams.core.detectors.weighted import Ratio
from streams.core.watching.listening import Ear


class Level(NamedTuple):
    """The baseline of one stratum and the changes sought: as bad shares, or means, or expected counts a day."""

    p0: float
    p1: float
    """The change nearest to p0."""
    learned_from: int
    """Answers behind it; 0 for a fixed baseline."""
    rho: float = 0.0
    """Correlation of the answers of a day; 0: they are independent."""


class Member(NamedTuple):
    """A series that belongs to a watched key; `name` is what it is called there."""

    key: str
    stratum: str
    name: str


class Seen(NamedTuple):
    """What a pane with feedback says about one key."""

    ratios: tuple[Ratio, ...]
    """One a change."""
    log_lr: float
    """Of the nearest change; the opposite statistic takes it with the other sign."""
    strata: dict[str, tuple[float, float]]
    """stratum -> what the kind counts: (n, bad), (expected, seen), ..."""
    n: int
    bad: int
    exposure: float
    """What counts towards `resolve_min_answers`: answers, or expected events."""


class Quiet(NamedTuple):
    """What each empty pane says about one key, the same for all panes up to `until`."""

    ratios: tuple[Ratio, ...]
    log_lr: float
    expected: dict[str, float]
    """series -> events expected in each pane"""
    until: int
    """The last pane of the stretch."""


class Facts(NamedTuple):
    """What an alarm tells of the evidence since the estimated change."""

    n: int
    bad: int
    p0: float | None
    p1: float | None
    strata: dict[str, dict[str, float]]
    learned_from: int


class Drifted(NamedTuple):
    """The learned level beside the declared target, both as bad shares."""

    learned: float
    target: float


Baseline = dict[str, Any]
"""What a kind has learned of one key: stratum -> its own type, which `plain` and `restored` make plain values and back."""
Learned = tuple[Baseline | None, str]
"""What was learned of a key (None: it cannot be watched), and else why not."""
Today = Mapping[str, tuple[float, float]]
"""stratum -> what its answers of the same day have counted before a pane"""


class Kind(Protocol):
    """One kind of detector, for one rule."""

    per_series: bool
    """Whether all strata of a series count together."""
    ticks: bool
    """Whether empty panes are evidence."""
    hourly: bool
    """Whether it reads the hours of the week apart: what it sees is named by `in_hour` of the stratum."""

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the weight of each change; they sum to 1."""

    def learn(
        self, ear: Ear, members: Sequence[Member], stretches: Mapping[str, Stretch]
    ) -> tuple[Baseline | None, str]:
        """Return the baseline of a key (None: it cannot be watched), and why members, or the key, cannot be.

        `stretches`: name of the member -> which of its days teach.
        """

    def renewed(self, held: Baseline, ear: Ear, members: Sequence[Member], pane: int) -> Baseline:
        """Return a frozen baseline with what moves even while it is frozen: the exposure."""

    def seen(self, baseline: Baseline, strata: Mapping[str, int], pane: int) -> Seen | None:
        """Return what the fresh counts (packed, by stratum) say; None where they concern no stratum that is watched."""

    def quiet(self, baseline: Baseline, pane: int) -> Quiet | None:
        """Return what an empty `pane` says and for how long; None where emptiness says nothing."""

    def facts(self, baseline: Baseline, evidence: Evidence, change: int) -> Facts:
        """Return what an alarm tells; `change`: the index of the change that the evidence supports most."""

    def contribution(self, baseline: Baseline, name: str, pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio of a stratum's counts for the nearest change."""

    def levels(self, baseline: Baseline) -> Mapping[str, Level]:
        """Return stratum -> level."""

    def per_day(self, baseline: Baseline) -> float:
        """Return how many answers (events) a day were learned from, above 0."""

    def drift(self, baseline: Baseline) -> Drifted | None:
        """Return how far the learned level is from the metric's target; None without a target or a learned level."""

    def plain(self, baseline: Baseline) -> Any:
        """Return a baseline as plain values."""

    def restored(self, plain: Any) -> Baseline:
        """Return the baseline of `plain`."""


@runtime_checkable
class ByDay(Protocol):
    """What a kind does beside `Kind` where the answers of a day have something in common."""

    by_day: bool
    """Whether they have: only then the day is remembered."""

    def seen_after(self, baseline: Baseline, strata: Mapping[str, int], pane: int, today: Today) -> Seen | None:
        """Return what the fresh counts say after what the day has said before."""

    def completed(self, learned: Mapping[str, Learned], others: Iterable[Baseline]) -> dict[str, Learned]:
        """Return what keys have learned, with what one key alone has too few days to learn; `others`: frozen baselines."""
