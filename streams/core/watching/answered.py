"""What detectors on answers have in common: strata, each against its own baseline, and panes that add up.

An empty pane says nothing. A change of mix fires nothing: an answer is compared with others of its stratum only.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from schemas.metrics import Metric
from schemas.rules import BaselineKind, Rule
from schemas.windows import DAY_MS
from streams.core.baseline import REACH_MS, Stretch
from streams.core.bins import Bins
from streams.core.detectors.evidence import Evidence
from streams.core.detectors.likelihood import order_averaged
from streams.core.detectors.weighted import Ratio
from streams.core.watching.kind import Drifted, Facts, Level, Member, Quiet, Seen, Today
from streams.core.watching.listening import Ear

Counts = Mapping[int, int]
"""Bin -> count."""


class Taught(Protocol):
    """What a stratum has taught."""

    @property
    def p0(self) -> float:
        """Return the level of quiet times, as a bound on its bad side."""

    @property
    def p1(self) -> tuple[float, ...]:
        """Return the changes sought."""

    @property
    def n(self) -> int:
        """Return the answers that taught it."""

    @property
    def bad(self) -> float:
        """Return how bad they were, all together."""

    @property
    def fixed(self) -> bool:
        """Tell whether p0 was declared."""


T = TypeVar("T", bound=Taught)
_NOTHING = (0.0, 0.0)


class Answered(Generic[T]):
    """A detector on answers; a subclass says what a stratum teaches and what its answers say."""

    taught: type[T]
    per_series = False
    ticks = False
    hourly = False

    def __init__(self, rule: Rule, metric: Metric, bins: Bins) -> None:
        self.rule, self.metric, self.bins = rule, metric, bins
        self.weights = (1 / len(rule.p1),) * len(rule.p1)
        self.nearest = rule.p1.index(min(rule.p1) if self.rises else max(rule.p1))

    @property
    def rises(self) -> bool:
        """Tell whether the watched share rises in an alarm."""
        raise NotImplementedError

    def teach(self, counts: Counts, n: int) -> T | str:
        """Return what a stratum with enough answers teaches, or why it does not."""
        raise NotImplementedError

    def declared(self, p0: float, counts: Counts, n: int) -> T | str:
        """Return what a declared p0 means, or why it leaves no room."""
        raise NotImplementedError

    def pair(self, counts: Counts) -> tuple[int, float]:
        """Return how many answers there are and how bad they are, all together."""
        raise NotImplementedError

    def log_ratio(self, taught: T, change: int, pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio of the answers of a stratum for one change."""
        raise NotImplementedError

    def log_ratio_after(self, taught: T, change: int, before: tuple[float, float], pair: tuple[float, float]) -> float:
        """Return the log likelihood ratio after what the day has said before, where that matters."""
        return self.log_ratio(taught, change, pair)

    def correlation(self, taught: T) -> float:
        """Return how much two answers of a day have in common; 0: nothing."""
        return 0.0

    def kinds(self, taught: T, change: int, counts: Counts) -> list[tuple[float, int]]:
        """Return (log ratio of an answer, how many) for one change, for the order average."""
        raise NotImplementedError

    def shown(self, taught: T, change: int, pair: tuple[float, float]) -> dict[str, float]:
        """Return what an alarm shows of a stratum."""
        raise NotImplementedError

    def sought(self, p0: float) -> tuple[float, ...] | str:
        """Return the changes that p0 leaves room for, each at least the margin away, or why there are none."""
        margin = self.rule.p1_margin
        changes = tuple(max(p1, p0 + margin) if self.rises else min(p1, p0 - margin) for p1 in self.rule.p1)
        if not 0 < p0 < 1 or not all(0 < p1 < 1 for p1 in changes):
            return f"bad share {p0:.3f} leaves no room for a {self.rule.kind}"
        return changes

    def learn(
        self, ear: Ear, members: Sequence[Member], stretches: Mapping[str, Stretch]
    ) -> tuple[dict[str, T] | None, str]:
        """Return name -> what each stratum teaches, and why others do not."""
        out, why = {}, []
        for member in members:
            packed, _ = ear.cells.within(member.key, member.stratum, stretches[member.name])
            found = self._taught(self._counts(packed))
            if isinstance(found, str):
                why.append(f"{member.name}: {found}")
            else:
                out[member.name] = found
        return out or None, "; ".join(why)

    def _counts(self, packed: int) -> dict[int, int]:
        """Return bin -> count of what was not taken back."""
        return {bin_: count for bin_, count in self.bins.counts(packed).items() if count > 0}

    def _taught(self, counts: Counts) -> T | str:
        n = sum(counts.values())
        if self.rule.baseline is BaselineKind.FIXED:
            assert self.rule.p0 is not None
            return self.declared(self.rule.p0, counts, n)
        if n < self.rule.learn_min:
            return f"{n} answers to learn from, {self.rule.learn_min} wanted"
        return self.teach(counts, n)

    def renewed(self, held: dict[str, T], ear: Ear, members: Sequence[Member], pane: int) -> dict[str, T]:
        """Return it as it is: nothing moves while it is frozen."""
        return held

    def seen(self, baseline: dict[str, T], strata: Mapping[str, int], pane: int) -> Seen | None:
        """Return what the answers say, strata in order."""
        return self.seen_after(baseline, strata, pane, {})

    def seen_after(self, baseline: dict[str, T], strata: Mapping[str, int], pane: int, today: Today) -> Seen | None:
        """Return what the answers say after those of the same day; with day effects a pane is grouped."""
        held: list[tuple[T, Counts, tuple[float, float], tuple[float, float]]] = []
        pairs: dict[str, tuple[float, float]] = {}
        for name in sorted(strata):
            taught = baseline.get(name)
            if taught is not None:
                counts = self.bins.counts(strata[name])
                pair = self.pair(counts)
                if pair[0] > 0:
                    held.append((taught, counts, today.get(name, _NOTHING), pair))
                    pairs[name] = pair
        if not held:
            return None
        changes = range(len(self.weights))
        if self.rule.grouping == "averaged" and not any(self.correlation(taught) for taught, *_ in held):
            ratios = tuple([
                order_averaged([one for taught, counts, _, _ in held for one in self.kinds(taught, change, counts)])
                for change in changes
            ])  # fmt: skip
        else:
            ratios = tuple([
                Ratio(sum([self.log_ratio_after(taught, change, before, pair) for taught, _, before, pair in held]))
                for change in changes
            ])  # fmt: skip
        n, bad = sum([pair[0] for *_, pair in held]), sum([pair[1] for *_, pair in held])
        return Seen(ratios, ratios[self.nearest].whole, pairs, int(n), int(bad + 0.5), float(n))

    def quiet(self, baseline: dict[str, T], pane: int) -> Quiet | None:
        """Return None: nobody answered, nothing is known."""
        return None

    def facts(self, baseline: dict[str, T], evidence: Evidence, change: int) -> Facts:
        """Return counts and levels by stratum, and both over all weighted by answers."""
        held = [(name, baseline[name], pair) for name, pair in sorted(evidence.strata.items()) if name in baseline]
        n = sum([pair[0] for _, _, pair in held])
        return Facts(
            int(n), int(sum([pair[1] for _, _, pair in held]) + 0.5),
            sum([pair[0] * one.p0 for _, one, pair in held]) / n if n else None,
            sum([pair[0] * one.p1[change] for _, one, pair in held]) / n if n else None,
            {name: self.shown(one, change, pair) for name, one, pair in held},
            sum([one.n for _, one, _ in held if not one.fixed]),
        )  # fmt: skip

    def contribution(self, baseline: dict[str, T], name: str, pair: tuple[float, float]) -> float:
        """Return the log ratio of a stratum for the nearest change."""
        return self.log_ratio(baseline[name], self.nearest, pair) if name in baseline else 0.0

    def levels(self, baseline: dict[str, T]) -> dict[str, Level]:
        """Return stratum -> level."""
        return {
            name: Level(one.p0, one.p1[self.nearest], 0 if one.fixed else one.n, self.correlation(one))
            for name, one in sorted(baseline.items())
        }

    def per_day(self, baseline: dict[str, T]) -> float:
        """Return the answers a day over all that the state reaches back to; at least one in all that time."""
        reach = max(DAY_MS, REACH_MS - self.rule.learn_lag_ms)
        return max(1, sum([one.n for one in baseline.values()])) * DAY_MS / reach

    def drift(self, baseline: dict[str, T]) -> Drifted | None:
        """Return the learned share beside that of the target."""
        target, n = self.target(), sum([one.n for one in baseline.values()])
        return None if target is None or not n else Drifted(sum([one.bad for one in baseline.values()]) / n, target)

    def target(self) -> float | None:
        """Return the metric's target as a share like p0."""
        raise NotImplementedError

    def plain(self, baseline: dict[str, T]) -> Any:
        """Return a baseline as plain values."""
        return msgspec.to_builtins(dict(sorted(baseline.items())))

    def restored(self, plain: Any) -> dict[str, T]:
        """Return the baseline of `plain`."""
        return msgspec.convert(plain, dict[str, self.taught])  # type: ignore[name-defined]
