"""A statistical rule: the weighted Shiryaev-Roberts statistic of every key, within one budget of false alarms.

Baselines and shares are fixed at a renewal. A pane is taken once, in order. While an alarm of a key is open there is no
second one; the opposite statistic (the inverse ratio of the nearest change, the same weight) resolves it. Where empty
panes are evidence they are taken hour by hour of the profile, from anchors that depend on the log alone: panes with
evidence, ends of hours, and the very panes in which an alarm comes or goes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from schemas.metrics import Metric
from schemas.outputs import AlarmTransition
from schemas.rules import COUNTS, BaselineKind, Rule
from schemas.windows import WEEK_MS
from streams.core.baseline import Span, joined
from streams.core.detectors.weighted import ALARM_AT, Ratio, Weighted
from streams.core.grid import up
from streams.core.watching.hours import parted
from streams.core.watching.kind import ByDay, Drifted, Kind, Learned, Level, Seen
from streams.core.watching.listening import Ear, Heard
from streams.core.watching.teaching import Teaching
from streams.core.watching.watch import Phase, Watch, crossing, plain, restored, settle, settle_all
from streams.core.watching.watcher import By, Surroundings, Watcher, shares


@dataclass(slots=True)
class _State:
    """What the rule remembers beside its alarms."""

    per_pane: float = 0.0
    spent: float = 0.0
    spent_at: int = 0
    watches: dict[str, Watch] = field(default_factory=dict)
    unarmed: dict[str, str] = field(default_factory=dict)


class Watching(Watcher):
    """The detectors of one statistical rule over all its keys."""

    def __init__(self, rule: Rule, metric: Metric, ear: Ear, kind: Kind, around: Surroundings) -> None:
        super().__init__(rule, metric, ear, around, by_channel=not kind.per_series)
        self.kind = kind
        self._by_day = kind if isinstance(kind, ByDay) and kind.by_day else None
        self._state = _State()
        self._teaching = Teaching(rule, kind, ear)

    # --- what it watches -------------------------------------------------------------------------------------------

    @property
    def levels(self) -> dict[str, tuple[Mapping[str, Level], float]]:
        """Return key -> stratum -> level, and what a pane adds, of the watched keys."""
        return {key: (self.kind.levels(one.baseline), one.w) for key, one in self._state.watches.items()}

    def _why_not(self) -> Mapping[str, str]:
        return self._state.unarmed

    def spent(self, pane: int) -> float:
        """Return the budget given to the detectors up to and with `pane`, in expected false alarms."""
        state = self._state
        return state.spent + state.per_pane * max(0, (pane - state.spent_at) // self._pane_ms)

    def drift(self) -> dict[str, Drifted]:
        """Return key -> the learned level beside the target."""
        found = {key: self.kind.drift(one.baseline) for key, one in self._state.watches.items()}
        return {key: one for key, one in found.items() if one is not None}

    def renew(self, pane: int) -> None:
        """Fix baselines and shares from `pane` on; keys with an open alarm keep their baselines."""
        if not self.is_armed:
            return
        state, last = self._state, pane - self._pane_ms
        for watch in state.watches.values():
            settle_all(watch, self.kind, last, self._pane_ms)
        self._forget_spans(pane)
        self.episodes.forget(pane)
        self._teaching.forget(pane)
        watches: dict[str, Watch] = {}
        members = self.members(pane)
        learned: dict[str, Learned] = {}
        state.unarmed = {}
        for key, watch in state.watches.items():
            if watch.phase is not Phase.CALM or self.episodes.flapping(key):
                watch.baseline = self.kind.renewed(watch.baseline, self.ear, members.get(key, []), pane)
                watches[key] = watch
        for key, held in members.items():
            if key in watches:
                continue
            before = state.watches.get(key)
            known = {} if before is None else before.baseline
            learned[key] = self._teaching.learned(key, held, pane, known, partial(self._avoided, key))
        if self._by_day is not None:
            learned = self._by_day.completed(learned, [watch.baseline for watch in watches.values()])
        for key, (baseline, why) in learned.items():
            before = state.watches.get(key)
            if baseline is None:
                state.unarmed[key] = why
            elif before is None:
                watches[key] = Watch(baseline, 0.0, Weighted(self.kind.weights, last))
            else:
                before.baseline = baseline
                watches[key] = before
        self._share(dict(sorted(watches.items())), last)
        for key, watch in state.watches.items():
            self._plan(key, watch)

    def _avoided(self, key: str, series: str) -> tuple[Span, ...]:
        """Return what the days that a series teaches have to avoid: alarms and exceptional days."""
        noisy = self._families.noisy(self.rule, series) if self._children else ()
        return joined([self.spans(key), noisy, self._excepted(series)])

    def _share(self, watches: dict[str, Watch], last: int) -> None:
        """Watch these keys from the pane after `last` on, the whole budget shared among them."""
        state, rule = self._state, self.rule
        state.spent, state.spent_at = self.spent(last), last
        per_pane = rule.budget_per_week * self._pane_ms / WEEK_MS
        if rule.shares == "rate":
            parts = shares(self.kind.per_day(one.baseline) for one in watches.values())
            for watch, share in zip(watches.values(), parts, strict=True):
                watch.w = per_pane * share
        else:
            for watch in watches.values():
                watch.w = per_pane / len(watches)
        state.watches, state.per_pane = watches, per_pane if watches else 0.0

    # --- panes -----------------------------------------------------------------------------------------------------

    def judge(self, pane: int, heard: Mapping[str, Heard]) -> list[AlarmTransition]:
        """Return the transitions of `pane`: of what was heard and of what is due, in order of keys."""
        watches, out = self._state.watches, list[AlarmTransition]()
        keys = {key for key in self._taken(pane) if key in watches and watches[key].due == pane}
        for key in sorted(keys.union(heard)):
            watch = watches.get(key)
            if watch is None:
                continue
            said = heard.get(key)
            seen = None if said is None else self._seen(watch, pane, said)
            before = len(out)
            if said is not None and seen is not None:
                out += self._hear(key, watch, pane, said, seen)
            elif key in keys:
                out += self._look(key, watch, pane)
            else:
                continue
            if watch.due == pane and self.episodes.calm_at(key) == pane:
                out.append(self.episodes.calm(key, pane, self._related(key), weight=watch.w))
            if self.kind.ticks or watch.due is not None or len(out) > before:
                self._plan(key, watch)
        return out

    def _seen(self, watch: Watch, pane: int, said: Heard) -> Seen | None:
        """Return what a pane says; where days differ, after what the day has said before."""
        strata = said.by_hour if self.kind.hourly else said.strata
        if self._by_day is None:
            return self.kind.seen(watch.baseline, strata, pane)
        seen = self._by_day.seen_after(watch.baseline, strata, pane, watch.day.before(pane))
        if seen is not None:
            watch.day.add(seen.strata)
        return seen

    def _hear(self, key: str, watch: Watch, pane: int, said: Heard, seen: Seen) -> list[AlarmTransition]:
        """Take a pane with evidence."""
        if self.kind.ticks:
            settle(watch, self.kind, pane - self._pane_ms, self._pane_ms)
        if watch.phase is Phase.ON:
            assert watch.opposite is not None
            watch.n += seen.n
            watch.bad += seen.bad
            watch.exposure += seen.exposure
            r = watch.opposite.update(pane, self._pane_ms, watch.w, (Ratio(-seen.log_lr),))
            enough = r >= ALARM_AT and watch.exposure >= self.rule.resolve_min_answers
            return self._off(key, watch, pane, r) if enough else []
        watch.evidence.add(pane, seen.log_lr, seen.strata, said.occurred_first, said.occurred_last)
        r = watch.statistic.update(pane, self._pane_ms, watch.w, seen.ratios)
        if watch.phase is Phase.CALM:
            return self._raise(key, watch, pane, r) if r >= ALARM_AT and seen.log_lr > 0 else []
        return self._held(key, watch, pane, r)

    def _look(self, key: str, watch: Watch, pane: int) -> list[AlarmTransition]:
        """Take a pane without evidence in which something is due."""
        settle(watch, self.kind, pane, self._pane_ms)
        said = self.kind.quiet(watch.baseline, pane)
        if watch.phase is Phase.PENDING:
            watch.statistic.settle(pane, self._pane_ms, watch.w)  # of answers: quiet panes only add
            return self._held(key, watch, pane, watch.statistic.total) if watch.hold_until == pane else []
        if said is None:
            return []
        if watch.phase is Phase.ON:
            assert watch.opposite is not None
            r, enough = watch.opposite.total, watch.exposure >= self.rule.resolve_min_answers
            return self._off(key, watch, pane, r) if r >= ALARM_AT and said.log_lr < 0 and enough else []
        r = watch.statistic.total
        return self._raise(key, watch, pane, r) if r >= ALARM_AT and said.log_lr > 0 else []

    def _plan(self, key: str, watch: Watch) -> None:
        """Enter the next pane in which something happens to a key by itself."""
        rule_min = self.rule.resolve_min_answers
        due = [
            at
            for at in (
                watch.hold_until,
                self.episodes.calm_at(key),
                crossing(watch, self.kind, self._pane_ms, rule_min),
            )
            if at is not None
        ]
        soonest = min(due, default=None)
        if soonest != watch.due:
            watch.due = soonest
            if soonest is not None:
                self._calendar.enter(soonest, key, 0)

    # --- the alarm -------------------------------------------------------------------------------------------------

    def _raise(self, key: str, watch: Watch, pane: int, r: float) -> list[AlarmTransition]:
        if self.rule.hold_ms == 0:
            return self._on(key, watch, pane, r)
        watch.phase, watch.hold_until = Phase.PENDING, up(pane + self.rule.hold_ms, self._pane_ms)
        if self.episodes.flapping(key):
            return []
        return [self.episodes.pending(key, pane, *self._told(key, watch, r))]

    def _held(self, key: str, watch: Watch, pane: int, r: float) -> list[AlarmTransition]:
        """Go on with a pending alarm whose statistic is r: withdraw, wait, or open it."""
        assert watch.hold_until is not None
        if r < ALARM_AT:
            watch.phase, watch.hold_until = Phase.CALM, None
            if self.episodes.flapping(key):
                return []
            return [self.episodes.withdrawn(key, pane, self._related(key), statistic=r)]
        return self._on(key, watch, pane, r) if pane >= watch.hold_until else []

    def _on(self, key: str, watch: Watch, pane: int, r: float) -> list[AlarmTransition]:
        changed = watch.evidence.change_pane
        self._opened(key, (pane if changed is None else min(pane, changed)) - self._pane_ms)
        out = self.episodes.on(key, pane, *self._told(key, watch, r))
        watch.open(pane)
        return out

    def _off(self, key: str, watch: Watch, pane: int, r: float) -> list[AlarmTransition]:
        out = self.episodes.off(key, pane, self._related(key), **self._since(watch, r))
        self._closed(key, pane)
        watch.begin(pane)
        return out

    def _since(self, watch: Watch, r: float) -> dict[str, Any]:
        return {"n": watch.n, "bad": watch.bad, "weight": watch.w, "statistic": r}

    def _told(self, key: str, watch: Watch, r: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return evidence and facts of an alarm that comes."""
        seen = watch.evidence
        facts = self.kind.facts(watch.baseline, seen, watch.statistic.leading())
        evidence: dict[str, Any] = {"strata": facts.strata, "threshold": ALARM_AT, **self._related(key)}
        if self.rule.baseline is BaselineKind.LEARNED:
            evidence["learned_from"] = facts.learned_from
        if self._children:
            evidence["contributors"] = self._contributors(watch)
        return evidence, {
            "statistic": r, "weight": watch.w, "p0": facts.p0, "p1": facts.p1, "n": facts.n, "bad": facts.bad,
            "change_pane": seen.change_pane, "occurred_first": seen.occurred_first, "occurred_last": seen.occurred_last,
        }  # fmt: skip

    def _contributors(self, watch: Watch) -> list[dict[str, Any]]:
        """Return the children that speak for the change, the strongest first."""
        found: dict[str, list[float]] = {}
        for name, pair in sorted(watch.evidence.strata.items()):
            child = self._child(parted(name)[0] if self.kind.hourly else name)
            held = found.setdefault(child, [0.0, 0.0, 0.0])
            held[0] += self.kind.contribution(watch.baseline, name, pair)
            held[1] += pair[0]
            held[2] += pair[1]
        names = ("expected", "seen") if self.rule.kind in COUNTS else ("n", "bad")
        strongest = sorted((one for one in found.items() if one[1][0] > 0), key=lambda one: (-one[1][0], one[0]))
        said = {
            child: {"log_ratio": log_lr, names[0]: base, names[1]: seen} for child, (log_lr, base, seen) in strongest
        }
        return self._families.contributors(self.rule, said)

    # --- commands --------------------------------------------------------------------------------------------------

    def resolve(self, key: str, pane: int, by: By) -> list[AlarmTransition]:
        """End the key's alarm by command, before `pane` is judged."""
        return self._over(key, pane, by, returns=True)

    def _over(self, key: str, pane: int, by: By, *, returns: bool) -> list[AlarmTransition]:
        if self.alarm(key) is None:
            return []
        watch, facts = self._state.watches.get(key), {"actor": by.actor, "note": by.note}
        if watch is not None:
            settle_all(watch, self.kind, pane - self._pane_ms, self._pane_ms)
            facts |= self._since(watch, watch.running.total)
            watch.begin(pane - self._pane_ms)
        self._closed(key, pane)
        said = self.episodes.over(key, pane, self._related(key), returns=returns, **facts)
        if watch is not None:
            self._plan(key, watch)
        return [said]

    def rebase(self, key: str, pane: int, by: By) -> list[AlarmTransition] | None:
        """Make the key's newest days its baseline, before `pane` is judged; None where there is nothing to accept."""
        members = self.members(pane).get(key)
        if not members or self.rule.baseline is BaselineKind.FIXED:
            return None
        out = self._over(key, pane, by, returns=False)
        self._common.spans.pop(key, None)
        baseline, why = self._teaching.accept(key, members, pane)
        if self._by_day is not None:
            others = [one.baseline for name, one in self._state.watches.items() if name != key]
            baseline, why = self._by_day.completed({key: (baseline, why)}, others)[key]
        watch = self._state.watches.get(key)
        if watch is not None and baseline is None:
            self._state.unarmed[key] = why
            del self._state.watches[key]
        elif watch is not None and baseline is not None:
            settle_all(watch, self.kind, pane - self._pane_ms, self._pane_ms)
            watch.begin(pane - self._pane_ms)
            watch.baseline = baseline
            self._plan(key, watch)
        return out

    def disarm(self, pane: int, by: By) -> list[AlarmTransition]:
        """Watch nothing from `pane` on; open alarms end by command."""
        state = self._state
        out = [said for key in list(state.watches) for said in self._over(key, pane, by, returns=False)]
        self._share({}, pane - self._pane_ms)
        state.unarmed = {}
        self._common.armed = ""
        return out

    # --- state -----------------------------------------------------------------------------------------------------

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        state = self._state
        return {
            **super().freeze(),
            "per_pane": state.per_pane, "spent": state.spent, "spent_at": state.spent_at,
            "unarmed": sorted(state.unarmed.items()),
            "floors": self._teaching.freeze(),
            "watches": [[key, plain(watch, self.kind)] for key, watch in sorted(state.watches.items())],
        }  # fmt: skip

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`; what was armed in another definition is not armed any more."""
        super().thaw(state)
        self._state = _State(
            per_pane=state["per_pane"], spent=state["spent"], spent_at=state["spent_at"], unarmed=dict(state["unarmed"]),
        )  # fmt: skip
        self._teaching.thaw(state["floors"])
        if not self.is_armed:
            self._common.armed, self._state.per_pane, self._state.unarmed = "", 0.0, {}
            return
        for key, held in state["watches"]:
            watch = self._state.watches[key] = restored(held, self.kind)
            if watch.due is not None:
                self._calendar.enter(watch.due, key, 0)
