"""Drop, recovery and rise of a share: the Bernoulli likelihood ratio.

The learned share enters as its one-sided Wilson bound, the upper one for a rise, the lower one for a fall. What the bound
misses (1 - learn_confidence) is paid from the same budget: the rest of the time the truth lies well on the good side of
the bound, and what that leaves unspent is far more than the miss costs.
"""

from functools import lru_cache

import msgspec

from schemas.metrics import Metric, MetricKind
from schemas.rules import Rule, RuleKind
from streams.core.bins import Bins
from streams.core.detectors.likelihood import Bernoulli
from streams.core.intervals import wilson_upper
from streams.core.watching.answered import Answered, Counts

bernoulli = lru_cache(65_536)(Bernoulli)


@lru_cache(65_536)
def _slopes(p0: float, p1: float) -> tuple[float, float]:
    """Return the log ratios of a bad and of a good answer."""
    ratio = bernoulli(p0, p1)
    return ratio.log_bad, ratio.log_good


class Share(msgspec.Struct, frozen=True, array_like=True):
    """The share of one stratum in quiet times, and what is sought."""

    p0: float
    p1: tuple[float, ...]
    n: int
    bad: int
    fixed: bool


class BadShare(Answered[Share]):
    """A share that rises or falls: of bad answers, or (rise) of the answers that the metric counts."""

    taught = Share

    def __init__(self, rule: Rule, metric: Metric, bins: Bins) -> None:
        super().__init__(rule, metric, bins)
        self._of_counted = rule.kind is RuleKind.RISE or metric.good == "low"

    @property
    def rises(self) -> bool:
        """Tell whether the watched share rises in an alarm."""
        return self.rule.kind is not RuleKind.RECOVERY

    def pair(self, counts: Counts) -> tuple[int, int]:
        """Return how many answers there are and how many belong to the watched share."""
        n, counted = sum(counts.values()), counted_of(self.metric, counts)
        return n, counted if self._of_counted else n - counted

    def teach(self, counts: Counts, n: int) -> Share | str:
        """Return the bound and what is sought beyond it."""
        _, bad = self.pair(counts)
        confidence = self.rule.learn_confidence
        p0 = wilson_upper(bad, n, confidence) if self.rises else 1 - wilson_upper(n - bad, n, confidence)
        changes = self.sought(p0)
        return changes if isinstance(changes, str) else Share(p0, changes, n, bad, fixed=False)

    def declared(self, p0: float, counts: Counts, n: int) -> Share | str:
        """Return the declared share and what is sought beyond it."""
        changes = self.sought(p0)
        return changes if isinstance(changes, str) else Share(p0, changes, *self.pair(counts), fixed=True)

    def log_ratio(self, taught: Share, change: int, pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio of (n, bad)."""
        log_bad, log_good = _slopes(taught.p0, taught.p1[change])
        n, bad = pair
        return bad * log_bad + (n - bad) * log_good

    def kinds(self, taught: Share, change: int, counts: Counts) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many)."""
        return bernoulli(taught.p0, taught.p1[change]).kinds(*self.pair(counts))

    def shown(self, taught: Share, change: int, pair: tuple[float, float]) -> dict[str, float]:
        """Return counts and levels."""
        return {"n": pair[0], "bad": pair[1], "p0": taught.p0, "p1": taught.p1[change]}

    def target(self) -> float | None:
        """Return the target as a share like p0."""
        target = self.metric.target
        return target if target is None or self._of_counted else 1 - target


def counted_of(metric: Metric, counts: Counts) -> int:
    """Return how many answers the metric's value counts: the share that it shows, times n."""
    if metric.kind is MetricKind.SHARE:
        return sum([counts.get(bin_, 0) for bin_ in metric.box])
    if metric.kind is MetricKind.GAP_SHARE:
        return sum([count for bin_, count in counts.items() if bin_ >= metric.at_least])
    return counts.get(1, 0)
