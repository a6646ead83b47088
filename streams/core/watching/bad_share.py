"""Drop, recovery and rise of a share: the Bernoulli likelihood ratio, with day effects the beta-binomial one.

The learned share enters as its one-sided Wilson bound, the upper one for a rise, the lower one for a fall. What the bound
misses (1 - learn_confidence) is paid from the same budget: the rest of the time the truth lies well on the good side of
the bound, and what that leaves unspent is far more than the miss costs. It pays too where the learned day effect is too
small (deploy/docs/alarms.md, "Good and bad days").

A stratum learns its day effect from its own days if they are enough; else from those of all strata of the key, and else
of all keys of the rule; else days count as alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from schemas.metrics import Metric, MetricKind
from schemas.rules import Rule, RuleKind
from streams.core.baseline import Stretch
from streams.core.bins import Bins
from streams.core.detectors.beta_binomial import Spread, crowding, effective, log_ratio, pooled, spread_of
from streams.core.detectors.likelihood import Bernoulli
from streams.core.intervals import wilson_upper
from streams.core.watching.answered import Answered, Counts
from streams.core.watching.kind import Baseline, Learned, Member
from streams.core.watching.listening import Ear

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
    rho: float = 0.0
    """Correlation of two answers of a day."""
    spread: Spread = Spread()
    """How far its days lie apart."""
    crowd: float = 1.0
    """How many answers share a day (`crowding`)."""


class BadShare(Answered[Share]):
    """A share that rises or falls: of bad answers, or (rise) of the answers that the metric counts."""

    taught = Share

    def __init__(self, rule: Rule, metric: Metric, bins: Bins) -> None:
        super().__init__(rule, metric, bins)
        self._of_counted = rule.kind is RuleKind.RISE or metric.good == "low"
        self.by_day = rule.days != 0

    @property
    def rises(self) -> bool:
        """Tell whether the watched share rises in an alarm."""
        return self.rule.kind is not RuleKind.RECOVERY

    def pair(self, counts: Counts) -> tuple[int, int]:
        """Return how many answers there are and how many belong to the watched share."""
        n, counted = sum(counts.values()), counted_of(self.metric, counts)
        return n, counted if self._of_counted else n - counted

    def teach(self, counts: Counts, n: int) -> Share | str:
        """Return the bound and what is sought beyond it, all days alike."""
        return self._taught_by(Share(0.0, (), *self.pair(counts), fixed=False), 0.0)

    def _taught_by(self, one: Share, rho: float) -> Share | str:
        """Return what the days of a stratum teach with this day effect."""
        n, bad = effective(one.n, one.bad if self.rises else one.n - one.bad, rho, one.crowd)
        bound = wilson_upper(bad, n, self.rule.learn_confidence)
        p0 = bound if self.rises else 1 - bound
        changes = self.sought(p0)
        return changes if isinstance(changes, str) else msgspec.structs.replace(one, p0=p0, p1=changes, rho=rho)

    def declared(self, p0: float, counts: Counts, n: int) -> Share | str:
        """Return the declared share and what is sought beyond it."""
        changes, days = self.sought(p0), self.rule.days
        rho = 0.0 if days == "learned" else days
        return changes if isinstance(changes, str) else Share(p0, changes, *self.pair(counts), fixed=True, rho=rho)

    def learn(
        self, ear: Ear, members: Sequence[Member], stretches: Mapping[str, Stretch]
    ) -> tuple[dict[str, Share] | None, str]:
        """Return name -> what each stratum teaches and how far its days lie apart, and why others do not."""
        found, why = super().learn(ear, members, stretches)
        if not self.by_day:
            return found, why
        for member in members:
            one = None if found is None else found.get(member.name)
            if found is not None and one is not None and not one.fixed:
                stretch = stretches[member.name]
                held = sorted(ear.cells.days(member.key, member.stratum).items())
                days = [self.pair(self._counts(packed)) for day, packed in held if stretch.holds(day)]
                found[member.name] = msgspec.structs.replace(
                    one, spread=spread_of(days), crowd=crowding(n for n, _ in days)
                )
        return found, why

    def completed(self, learned: Mapping[str, Learned], others: Iterable[Baseline]) -> dict[str, Learned]:
        """Return what keys have learned with the day effect of their days."""
        kept = [one for one, _ in learned.values() if one is not None]
        everywhere = pooled(share.spread for one in [*kept, *others] for share in one.values())
        return {
            key: (one, why) if one is None else self._with_days(one, why, everywhere)
            for key, (one, why) in learned.items()
        }

    def _with_days(self, baseline: Baseline, why: str, everywhere: Spread) -> Learned:
        here = pooled(one.spread for one in baseline.values())
        out, said = {}, [why] if why else []
        for name, one in baseline.items():
            days = self.rule.days
            learned = next((of.rho for of in (one.spread, here, everywhere) if of.enough), 0.0)
            rho = learned if days == "learned" else days
            found = one if one.fixed or rho == one.rho else self._taught_by(one, rho)
            if isinstance(found, str):
                said.append(f"{name}: {found}")
            else:
                out[name] = found
        return out or None, "; ".join(said)

    def log_ratio(self, taught: Share, change: int, pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio of (n, bad); with a day effect as if all were of one day."""
        if taught.rho:
            return self.log_ratio_after(taught, change, (0, 0), pair)
        log_bad, log_good = _slopes(taught.p0, taught.p1[change])
        n, bad = pair
        return bad * log_bad + (n - bad) * log_good

    def log_ratio_after(
        self, taught: Share, change: int, before: tuple[float, float], pair: tuple[float, float]
    ) -> float:
        """Return the log likelihood ratio of (n, bad) after (n, bad) of the same day."""
        if not taught.rho:
            return self.log_ratio(taught, change, pair)
        return log_ratio(taught.p0, taught.p1[change], taught.rho, before, pair)

    def correlation(self, taught: Share) -> float:
        """Return the correlation of two answers of a day."""
        return taught.rho

    def kinds(self, taught: Share, change: int, counts: Counts) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many)."""
        return bernoulli(taught.p0, taught.p1[change]).kinds(*self.pair(counts))

    def shown(self, taught: Share, change: int, pair: tuple[float, float]) -> dict[str, float]:
        """Return counts and levels, and the day effect where there is one."""
        out: dict[str, float] = {"n": pair[0], "bad": pair[1], "p0": taught.p0, "p1": taught.p1[change]}
        return out | {"rho": taught.rho} if taught.rho else out

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
