"""Burn rate of an objective: slow answers, missed promises. No budget of false alarms stands behind it.

Windows are of arrived time, in 60 steps for the long one and 5 for the short one. An alarm opens at a pane with answers;
it resolves when no tier fires any more, which time alone can bring: that is looked at when a step of a window ends.
Since it is looked at all the time, the bad share of the long window must exceed its limit with `learn_confidence`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.metrics import Metric, MetricKind
from schemas.outputs import AlarmTransition
from schemas.rules import Rule
from streams.core.detectors.burn_rate import Tier, burn, fires, most_burn, tiers
from streams.core.grid import up
from streams.core.intervals import wilson_upper
from streams.core.watching.bad_share import counted_of
from streams.core.watching.kind import Level
from streams.core.watching.listening import Ear, Heard
from streams.core.watching.watcher import By, Surroundings, Watcher

LONG_STEPS, SHORT_STEPS = 60, 5
LEAST_BAD = 4
"""Fewer bad answers in the long window are an anecdote, whatever their share."""
_NOTHING = (0, 0)


@dataclass(slots=True)
class Burn:
    """What is remembered of one key."""

    buckets: list[dict[int, tuple[int, int]]] = field(default_factory=list)
    """By tier: step -> (n, bad)"""
    hold_until: int | None = None
    on: bool = False
    due: int | None = None


class Burning(Watcher):
    """The burn rates of all keys; a key is watched from its first answers on."""

    def __init__(self, rule: Rule, metric: Metric, ear: Ear, around: Surroundings) -> None:
        super().__init__(rule, metric, ear, around, by_channel=True)
        assert rule.objective is not None
        self._objective = rule.objective
        self._tiers = tiers(rule.objective)
        self._grains = [up(max(self._pane_ms, tier.long_ms // LONG_STEPS), self._pane_ms) for tier in self._tiers]
        self._burns: dict[str, Burn] = {}

    @property
    def levels(self) -> dict[str, tuple[Mapping[str, Level], float]]:
        """Return key -> what is allowed and what fires, as bad shares; nothing is added in a pane."""
        allowed = 1 - self._objective
        level = Level(allowed, min(tier.burn for tier in self._tiers) * allowed, 0)
        return {key: ({"*": level}, 0.0) for key in sorted(self._burns)}

    def _why_not(self) -> Mapping[str, str]:
        return {}

    def renew(self, pane: int) -> None:
        """Forget alarms that cannot come back; nothing is learned."""
        if self.is_armed:
            self._forget_spans(pane)
            self.episodes.forget(pane)

    def judge(self, pane: int, heard: Mapping[str, Heard]) -> list[AlarmTransition]:
        """Return the transitions of `pane`: of what was heard and of what is due, in order of keys."""
        out: list[AlarmTransition] = []
        due = {key for key in self._taken(pane) if key in self._burns and self._burns[key].due == pane}
        for key in sorted(due.union(heard)) if self.is_armed else ():
            held = self._burns.get(key)
            if key in heard:
                n, bad = self._counted(heard[key])
                if n > 0:
                    held = self._burns.setdefault(key, Burn([{} for _ in self._tiers]))
                    self._add(held, pane, n, bad)
            if held is not None:
                out += self._look(key, held, pane)
                self._plan(key, held, pane)
        return out

    def _counted(self, heard: Heard) -> tuple[int, int]:
        counts = self.ear.bins.counts(sum(heard.strata.values()))
        counted = counted_of(self.metric, counts)
        # parts and wholes come in different panes: their difference is right over a window only
        n = counts.get(0, 0) if self.metric.kind is MetricKind.PART else sum(counts.values())
        return (n or int(counted > 0), counted if self.metric.good == "low" else n - counted)

    def _add(self, held: Burn, pane: int, n: int, bad: int) -> None:
        for buckets, grain in zip(held.buckets, self._grains, strict=True):
            step = (pane - self._pane_ms) // grain
            for old in [one for one in buckets if one <= step - LONG_STEPS]:
                del buckets[old]
            before = buckets.get(step, _NOTHING)
            buckets[step] = (before[0] + n, before[1] + bad)

    def _windows(self, held: Burn, index: int, pane: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (n, bad) of the long and the short window of a tier."""
        step, buckets = (pane - self._pane_ms) // self._grains[index], held.buckets[index]

        def total(steps: int) -> tuple[int, int]:
            inside = [pair for at, pair in buckets.items() if step - steps < at <= step]
            n = sum([n for n, _ in inside])
            return n, min(n, max(0, sum([bad for _, bad in inside])))

        return total(LONG_STEPS), total(SHORT_STEPS)

    def _firing(self, held: Burn, pane: int) -> dict[Tier, tuple[tuple[int, int], tuple[int, int]]]:
        found = {tier: self._windows(held, index, pane) for index, tier in enumerate(self._tiers)}
        confidence = self.rule.learn_confidence
        return {
            tier: pair
            for tier, pair in found.items()
            if pair[0][1] >= LEAST_BAD and fires(tier, self._objective, *pair, confidence=confidence)
        }

    def _look(self, key: str, held: Burn, pane: int) -> list[AlarmTransition]:
        out: list[AlarmTransition] = []
        firing = self._firing(held, pane)
        silent = self.episodes.flapping(key)
        if held.on and not firing:
            held.on = False
            self._closed(key, pane)
            out += self.episodes.off(key, pane, self._related(key), **self._facts(held, pane))
        elif held.hold_until is not None and not firing:
            held.hold_until = None
            out += [] if silent else [self.episodes.withdrawn(key, pane, self._related(key))]
        elif firing and not held.on:
            if held.hold_until is None and self.rule.hold_ms:
                held.hold_until = up(pane + self.rule.hold_ms, self._pane_ms)
                told = (self._evidence(key, firing), self._facts(held, pane))
                out += [] if silent else [self.episodes.pending(key, pane, *told)]
            elif held.hold_until is None or pane >= held.hold_until:
                held.on, held.hold_until = True, None
                self._opened(key, pane - self._pane_ms)
                out += self.episodes.on(key, pane, self._evidence(key, firing), self._facts(held, pane))
        if self.episodes.calm_at(key) == pane:
            out.append(self.episodes.calm(key, pane, self._related(key)))
        return out

    def _facts(self, held: Burn, pane: int) -> dict[str, Any]:
        """Return the long window that burns fastest by its threshold, and that as the statistic."""
        best: tuple[float, tuple[int, int], Tier] | None = None
        for index, tier in enumerate(self._tiers):
            (n, bad), _ = self._windows(held, index, pane)
            sure = 1 - wilson_upper(n - bad, n, self.rule.learn_confidence) if n else 0.0
            ratio = sure * most_burn(self._objective) / tier.burn
            if best is None or ratio > best[0]:
                best = (ratio, (n, bad), tier)
        assert best is not None
        allowed = 1 - self._objective
        n, bad = best[1]
        return {"statistic": best[0], "n": n, "bad": bad, "p0": allowed, "p1": best[2].burn * allowed}

    def _evidence(self, key: str, firing: Mapping[Tier, tuple[tuple[int, int], tuple[int, int]]]) -> dict[str, Any]:
        strata = {
            f"{tier.long_ms // 60_000}min": {
                "n": n, "bad": bad, "burn": burn(n, bad, self._objective), "threshold": tier.burn,
            }
            for tier, ((n, bad), _) in firing.items()
        }  # fmt: skip
        return {"strata": strata, "threshold": 1.0, **self._related(key)}

    def _plan(self, key: str, held: Burn, pane: int) -> None:
        """Enter the end of a step while an alarm lives, the end of the hold, and of the flapping."""
        due = [at for at in (held.hold_until, self.episodes.calm_at(key)) if at is not None]
        if held.on or held.hold_until is not None:
            # the first pane of the next step of any tier
            begun = pane - self._pane_ms
            due.append(min((begun // grain + 1) * grain + self._pane_ms for grain in self._grains))
        held.due = min(due, default=None)
        if held.due is not None:
            self._calendar.enter(held.due, key, 0)

    def resolve(self, key: str, pane: int, by: By) -> list[AlarmTransition]:
        """End the key's alarm by command; it comes back if the burning goes on."""
        if self.alarm(key) is None:
            return []
        held = self._burns[key]
        held.on, held.hold_until = False, None
        self._closed(key, pane)
        said = self.episodes.over(key, pane, self._related(key), actor=by.actor, note=by.note)
        self._plan(key, held, pane - self._pane_ms)
        return [said]

    def disarm(self, pane: int, by: By) -> list[AlarmTransition]:
        """Watch nothing from `pane` on; open alarms end by command."""
        out = [said for key in sorted(self._burns) for said in self.resolve(key, pane, by)]
        self._burns = {}
        self._common.armed = ""
        return out

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        burns = [
            [key, [sorted(of.items()) for of in held.buckets], held.hold_until, held.on, held.due]
            for key, held in sorted(self._burns.items())
        ]
        return {**super().freeze(), "burns": burns}

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`; what was armed in another definition is not armed any more."""
        super().thaw(state)
        self._burns = {}
        if not self.is_armed:
            self._common.armed = ""
            return
        for key, buckets, hold_until, on, due in state["burns"]:
            of = [{step: (n, bad) for step, (n, bad) in one} for one in buckets]
            self._burns[key] = Burn(of, hold_until, on, due)
            if due is not None:
                self._calendar.enter(due, key, 0)
