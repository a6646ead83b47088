"""A rate or a part that rises or falls: complaints per order, answered per sent.

Here the exposure comes by another channel and earlier, so no pane holds both. It enters as expected exposure: the profile
of the counted events, times the exposing events of the last 7 days over those that the profile was learned with, both
fixed at the renewal. Where the exposure jumps between renewals (a campaign) the promise does not hold; hourly renewals
keep that short.
"""

from collections.abc import Sequence

import msgspec

from schemas.metrics import Metric
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS
from streams.core.baseline import Stretch
from streams.core.bins import Bins
from streams.core.watching import profile
from streams.core.watching.counts import EventCounts, Flow
from streams.core.watching.hours import COUNTED_BIN
from streams.core.watching.kind import Drifted, Member
from streams.core.watching.listening import Ear

EXPOSED_BIN = 0
RECENT_DAYS = 7


class Exposed(EventCounts):
    """Detector on counted events per exposing event."""

    def __init__(self, rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> None:
        self._bad = rule.kind is RuleKind.RISE or metric.good == "low"
        super().__init__(rule, metric, bins, pane_ms)
        if rule.kind is not RuleKind.COUNT_RISE:
            self.nearest = rule.p1.index(max(rule.p1) if rule.kind is RuleKind.RECOVERY else min(rule.p1))

    @property
    def _sought(self) -> tuple[float, ...]:
        return self.rule.sought if self.rule.kind is RuleKind.COUNT_RISE else self.rule.p1

    @property
    def rises(self) -> bool:
        """Tell whether the counted events rise in an alarm."""
        if self.rule.kind is RuleKind.DROP:
            return self._bad
        return not self._bad if self.rule.kind is RuleKind.RECOVERY else True

    def flow(self, ear: Ear, key: str, stretch: Stretch) -> Flow | str:
        """Return what one series expects with today's exposure, or why that is not known."""
        assert ear.hours is not None
        rule, recent = self.rule, self._recent(ear, key, stretch.pane)
        if rule.baseline is BaselineKind.FIXED:
            assert rule.p0 is not None
            share = rule.p0 if self._bad else 1 - rule.p0
            factors = self._factors(share)
            if isinstance(factors, str):
                return factors
            return Flow(profile.around(ear.hours, key, stretch, share), factors, recent, fixed=True, exposure=1.0)
        held = [ear.cells.within(key, stratum, stretch)[0] for stratum in ear.cells.strata(stretch.pane).get(key, ())]
        counts = self.bins.counts(sum(held))
        exposed, counted = counts.get(EXPOSED_BIN, 0), counts.get(COUNTED_BIN, 0)
        if exposed < rule.learn_min or counted <= 0:
            return f"{counted} events of {exposed} to learn from, {rule.learn_min} wanted"
        factors = self._factors(counted / exposed)
        # the profile checks the events of full days: a rate has fewer of them than of exposure
        found = profile.learned(msgspec.structs.replace(rule, learn_min=1), ear.hours, key, stretch, upper=self.rises)
        if isinstance(found, str):
            return found
        per_day = exposed / max(1, found.days)
        return factors if isinstance(factors, str) else Flow(
            found, factors, recent / per_day, fixed=False, exposure=per_day
        )  # fmt: skip

    def _factors(self, share: float) -> tuple[float, ...] | str:
        """Return the changes sought as factors of the counted events, or why there is no room."""
        rule = self.rule
        if rule.kind is RuleKind.COUNT_RISE:
            return rule.sought
        p0, margin = share if self._bad else 1 - share, rule.p1_margin
        bad = [min(p1, p0 - margin) if rule.kind is RuleKind.RECOVERY else max(p1, p0 + margin) for p1 in rule.p1]
        factors = tuple((p1 if self._bad else 1 - p1) / share for p1 in bad)
        if not 0 < p0 or not all(factor > 0 and factor != 1 for factor in factors):
            return f"bad share {p0:.3f} leaves no room for a {rule.kind}"
        return factors

    def _recent(self, ear: Ear, key: str, pane: int) -> float:
        """Return the exposing events a day of the last full days; at least one in all of them."""
        stretch = Stretch(pane, 0, (), pane - (RECENT_DAYS + 1) * DAY_MS)
        packed = [ear.cells.within(key, stratum, stretch)[0] for stratum in ear.cells.strata(pane).get(key, ())]
        return max(1, self.bins.counts(sum(packed)).get(EXPOSED_BIN, 0)) / RECENT_DAYS

    def renewed(self, held: dict[str, Flow], ear: Ear, members: Sequence[Member], pane: int) -> dict[str, Flow]:
        """Return frozen profiles with today's exposure."""
        keys = {member.name: member.key for member in members}
        return {
            name: msgspec.structs.replace(one, scale=self._recent(ear, keys[name], pane) / one.exposure)
            if name in keys else one
            for name, one in held.items()
        }  # fmt: skip

    def drift(self, baseline: dict[str, Flow]) -> Drifted | None:
        """Return the learned rate beside the target."""
        target, exposure = self.metric.target, sum([one.exposure * one.profile.days for one in baseline.values()])
        if target is None or not exposure or any(one.fixed for one in baseline.values()):
            return None
        share = sum([one.profile.n for one in baseline.values()]) / exposure
        return Drifted(share if self._bad else 1 - share, target if self._bad else 1 - target)
