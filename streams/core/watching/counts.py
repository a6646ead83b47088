"""Fewer or more events than expected, and silence: the negative binomial likelihood ratio against a profile.

Here an empty pane is evidence. Within an hour of the profile all empty panes say the same, so a run of them is taken in
one step, hour by hour; a jump over hours and a walk pane by pane do the same arithmetic (watching.py).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from schemas.metrics import Metric
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import HOUR_MS
from streams.core.baseline import Stretch
from streams.core.bins import Bins
from streams.core.detectors.evidence import Evidence
from streams.core.detectors.likelihood import Counts as Ratios
from streams.core.detectors.order_average import log_time_average
from streams.core.detectors.weighted import Ratio
from streams.core.watching import profile
from streams.core.watching.hours import COUNTED_BIN, HOURS
from streams.core.watching.kind import Drifted, Facts, Level, Member, Quiet, Seen
from streams.core.watching.listening import Ear
from streams.core.watching.profile import Profile

ratios_of = lru_cache(65_536)(Ratios)


class Flow(msgspec.Struct, frozen=True, array_like=True):
    """What one series expects, and which changes are sought there."""

    profile: Profile
    factors: tuple[float, ...]
    scale: float
    """How much exposure there is today, in units of that which the profile was learned with."""
    fixed: bool
    exposure: float = 0.0
    """Exposing events a day that the profile was learned with; 0 where there are none."""

    def expected(self, pane: int, pane_ms: int) -> float:
        """Return the events expected in `pane`; it belongs to the hour in which it begins."""
        return self.profile.rate((pane - pane_ms) // HOUR_MS) * self.scale * (pane_ms / HOUR_MS)


class EventCounts:
    """Detector on the number of events; a parent multiplies its children, each against its own profile."""

    per_series = True
    ticks = True
    hourly = False

    def __init__(self, rule: Rule, metric: Metric, bins: Bins, pane_ms: int) -> None:
        self.rule, self.metric, self.bins, self.pane_ms = rule, metric, bins, pane_ms
        self.weights = (1 / len(self._sought),) * len(self._sought)
        self.nearest = self._sought.index(min(self._sought) if self.rises else max(self._sought))

    @property
    def _sought(self) -> tuple[float, ...]:
        return self.rule.sought

    @property
    def rises(self) -> bool:
        """Tell whether the number of events rises in an alarm."""
        return self.rule.kind is RuleKind.COUNT_RISE

    def learn(
        self, ear: Ear, members: Sequence[Member], stretches: Mapping[str, Stretch]
    ) -> tuple[dict[str, Flow] | None, str]:
        """Return name -> what each series expects, and why others teach nothing."""
        out, why = {}, []
        for name, key in _keys(members).items():
            found = self.flow(ear, key, stretches[name])
            if isinstance(found, str):
                why.append(f"{name}: {found}")
            else:
                out[name] = found
        return out or None, "; ".join(why)

    def flow(self, ear: Ear, key: str, stretch: Stretch) -> Flow | str:
        """Return what one series expects, or why that is not known."""
        assert ear.hours is not None
        if self.rule.baseline is BaselineKind.FIXED:
            assert self.rule.expected_per_day is not None
            held = profile.around(ear.hours, key, stretch, self.rule.expected_per_day)
            return Flow(held, self._sought, 1.0, fixed=True)
        found = profile.learned(self.rule, ear.hours, key, stretch, upper=self.rises)
        return found if isinstance(found, str) else Flow(found, self._sought, 1.0, fixed=False)

    def renewed(self, held: dict[str, Flow], ear: Ear, members: Sequence[Member], pane: int) -> dict[str, Flow]:
        """Return it as it is: nothing moves while it is frozen."""
        return held

    def _ratios(
        self, baseline: dict[str, Flow], expected: Mapping[str, float], seen: Mapping[str, int]
    ) -> tuple[Ratio, ...]:
        """Return the ratio of a pane for each change, all series together."""
        ratios = []
        for change in range(len(self.weights)):
            of = [
                (ratios_of(one.factors[change], one.profile.dispersion), seen.get(name, 0), expected[name])
                for name, one in baseline.items()
            ]
            whole = sum([one.log_ratio(count, mu) for one, count, mu in of])
            inside = None
            if self.rule.grouping == "averaged":
                inside = log_time_average(
                    lambda t, of=of: sum([one.log_ratio_after(count, mu, t) for one, count, mu in of]),  # type: ignore[misc]
                    sum([count for _, count, _ in of]),
                )
            ratios.append(Ratio(whole, inside))
        return tuple(ratios)

    def _expected(self, baseline: dict[str, Flow], pane: int) -> dict[str, float]:
        return {name: one.expected(pane, self.pane_ms) for name, one in baseline.items()}

    def seen(self, baseline: dict[str, Flow], strata: Mapping[str, int], pane: int) -> Seen | None:
        """Return what the events of a pane say, together with the series that had none."""
        counts = {
            name: max(0, self.bins.counts(strata[name]).get(COUNTED_BIN, 0))
            for name in sorted(strata) if name in baseline
        }  # fmt: skip
        if not counts:
            return None
        expected = self._expected(baseline, pane)
        ratios = self._ratios(baseline, expected, counts)
        pairs = {name: (mu, float(counts.get(name, 0))) for name, mu in expected.items()}
        n, exposure = sum(counts.values()), sum(list(expected.values()))
        return Seen(ratios, ratios[self.nearest].whole, pairs, n, 0, exposure)

    def quiet(self, baseline: dict[str, Flow], pane: int) -> Quiet | None:
        """Return what the empty panes of an hour say, each."""
        hour = (pane - self.pane_ms) // HOUR_MS
        expected = self._expected(baseline, pane)
        ratios = self._ratios(baseline, expected, {})
        last = ((hour + 1) * HOUR_MS - 1) // self.pane_ms * self.pane_ms + self.pane_ms
        return Quiet(ratios, ratios[self.nearest].whole, expected, max(pane, last))

    def facts(self, baseline: dict[str, Flow], evidence: Evidence, change: int) -> Facts:
        """Return what came and what was expected, by series."""
        strata = {
            name: {
                "seen": int(seen), "expected": expected, "factor": baseline[name].factors[change],
                "dispersion": baseline[name].profile.dispersion,
            }
            for name, (expected, seen) in sorted(evidence.strata.items()) if name in baseline
        }  # fmt: skip
        learned_from = sum([one.profile.n for name, one in baseline.items() if name in strata and not one.fixed])
        return Facts(sum([int(one["seen"]) for one in strata.values()]), 0, None, None, strata, learned_from)

    def contribution(self, baseline: dict[str, Flow], name: str, pair: tuple[float, float]) -> float:
        """Return the log ratio of a series for the nearest change."""
        if name not in baseline:
            return 0.0
        one = baseline[name]
        return ratios_of(one.factors[self.nearest], one.profile.dispersion).log_ratio(int(pair[1]), pair[0])

    def levels(self, baseline: dict[str, Flow]) -> dict[str, Level]:
        """Return series -> expected events a day, as they are and after the nearest change."""
        out = {}
        for name, one in sorted(baseline.items()):
            per_day = sum(one.profile.rates) / len(one.profile.rates) * HOURS * one.scale
            out[name] = Level(per_day, per_day * one.factors[self.nearest], 0 if one.fixed else one.profile.n)
        return out

    def per_day(self, baseline: dict[str, Flow]) -> float:
        """Return the learned events a day; at least one in all days that were learned from."""
        return sum([max(1, one.profile.n) / max(1, one.profile.days) for one in baseline.values()])

    def drift(self, baseline: dict[str, Flow]) -> Drifted | None:
        """Return None: counts have no target share."""
        return None

    def plain(self, baseline: dict[str, Flow]) -> Any:
        """Return a baseline as plain values."""
        return msgspec.to_builtins(dict(sorted(baseline.items())))

    def restored(self, plain: Any) -> dict[str, Flow]:
        """Return the baseline of `plain`."""
        return msgspec.convert(plain, dict[str, Flow])


def _keys(members: Sequence[Member]) -> dict[str, str]:
    """Return name -> key of the series; the strata of a series count together."""
    return {member.name: member.key for member in members}
