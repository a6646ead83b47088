"""One rule for a drop of satisfaction: a statistic a key, fixed shares and weights, alarms opened and resolved.

Only fresh answers count, pane by pane, each once. While an alarm of a key is open there is no second one; the opposite
statistic (the inverse likelihood ratio, the same weight) resolves it.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.catalogue import Metric, Rule
from schemas.outputs import AlarmState, AlarmTransition, alarm_id, transition_id
from streams.core.baseline import REACH_MS, DayCells, Shares, arm
from streams.core.lifecycle import AlarmBook
from streams.core.shiryaev import ALARM_AT, Evidence, Statistic, log_ratio, no_evidence, weight

NEVER = 1 << 62
"""The end of an alarm that is open."""


class Answers(NamedTuple):
    """The fresh answers of one key in one pane."""

    strata: dict[str, tuple[int, int]]
    """stratum -> (n, bad)"""
    occurred_first: int
    occurred_last: int


@dataclass(slots=True)
class Watch:
    """What is remembered of one armed key."""

    shares: dict[str, Shares]
    statistic: Statistic
    evidence: Evidence = field(default_factory=no_evidence)
    alarm: str | None = None
    opposite: Statistic | None = None
    n: int = 0
    """Answers since the opening."""
    bad: int = 0


@dataclass(slots=True)
class _State:
    """All that a rule remembers, beside the day cells."""

    w: float = 0.0
    renewed: int | None = None
    watches: dict[str, Watch] = field(default_factory=dict)
    unarmed: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """key -> [start, end) of its alarms, arrived ms"""


class DropRule:
    """The detectors of one rule over all keys of its dimension."""

    def __init__(self, rule: Rule, metric: Metric, *, pane_ms: int, book: AlarmBook) -> None:
        self.rule, self.metric = rule, metric
        self.watched = (metric.identity, rule.dimension)
        """Metric identity and dimension of the series that this rule reads."""
        self.cells = DayCells()
        self._pane_ms = pane_ms
        self._book = book
        self._state = _State()

    @property
    def armed(self) -> dict[str, dict[str, Shares]]:
        """Return key -> stratum -> shares of the watched keys."""
        return {key: watch.shares for key, watch in self._state.watches.items()}

    def unarmed(self, pane: int) -> dict[str, str]:
        """Return key -> why it is not watched, for all keys with answers within reach of `pane`."""
        new = "no renewal since its first answers"
        state = self._state
        return {key: state.unarmed.get(key, new) for key in self.cells.strata(pane) if key not in state.watches}

    @property
    def w(self) -> float:
        """Return what a pane adds to each statistic."""
        return self._state.w

    def renew(self, pane: int) -> None:
        """Fix baselines and shares from `pane` on; keys with an open alarm keep their baselines."""
        state, last = self._state, pane - self._pane_ms
        self._settle(last)
        reach = pane - REACH_MS
        state.alarms = {
            key: kept for key, spans in state.alarms.items() if (kept := [span for span in spans if span[1] > reach])
        }
        armed, state.unarmed = arm(self.rule, self.cells, pane, state.alarms)
        held = state.watches
        watches = {key: watch for key, watch in held.items() if watch.alarm is not None}
        for key, shares in armed.items():
            if key in watches:
                continue
            watch = held.get(key) or Watch(shares, Statistic(0.0, last))
            watch.shares = shares
            watches[key] = watch
        state.watches = dict(sorted(watches.items()))
        state.w = weight(self.rule.budget_per_week, self._pane_ms, len(watches)) if watches else 0.0
        state.renewed = pane

    def _settle(self, pane: int) -> None:
        for watch in self._state.watches.values():
            watch.statistic.settle(pane, self._pane_ms, self._state.w)
            if watch.opposite is not None:
                watch.opposite.settle(pane, self._pane_ms, self._state.w)

    def judge(self, pane: int, answers: dict[str, Answers]) -> list[AlarmTransition]:
        """Return the transitions that the fresh answers of `pane` cause, in order of keys."""
        out = []
        for key in sorted(answers):
            watch = self._state.watches.get(key)
            if watch is None:
                continue
            heard = {one: at for one, at in sorted(answers[key].strata.items()) if one in watch.shares}
            if not heard:
                continue
            log_lr = sum(log_ratio(n, bad, *watch.shares[one]) for one, (n, bad) in heard.items())
            if watch.alarm is None:
                watch.evidence.add(pane, log_lr, heard, answers[key].occurred_first, answers[key].occurred_last)
                r = watch.statistic.update(pane, self._pane_ms, self._state.w, log_lr)
                if r >= ALARM_AT and log_lr > 0:
                    out.append(self._open(key, watch, pane, r))
            else:
                assert watch.opposite is not None
                watch.n += sum(n for n, _ in heard.values())
                watch.bad += sum(bad for _, bad in heard.values())
                r = watch.opposite.update(pane, self._pane_ms, self._state.w, -log_lr)
                if r >= ALARM_AT and watch.n >= self.rule.resolve_min_answers:
                    out.append(self._resolve(key, watch, pane, pane, statistic=r))
        return out

    def _open(self, key: str, watch: Watch, pane: int, r: float) -> AlarmTransition:
        rule, seen = self.rule, watch.evidence
        alarm = alarm_id(rule.name, rule.definition_hash, key, rule.direction, pane)
        n = sum(n for n, _ in seen.strata.values())
        strata = {
            one: {"n": held[0], "bad": held[1], "p0": watch.shares[one].p0, "p1": watch.shares[one].p1}
            for one, held in sorted(seen.strata.items())
        }
        first = AlarmTransition(
            transition_id=transition_id(alarm, 1),
            alarm_id=alarm,
            sequence=1,
            rule=rule.name,
            definition_hash=rule.definition_hash,
            metric=rule.metric,
            dimension=rule.dimension,
            key=key,
            direction=rule.direction,
            severity=rule.severity,
            state=AlarmState.OPEN,
            pane=pane,
            first_pane=pane,
            statistic=r,
            weight=self._state.w,
            p0=sum(held["n"] * held["p0"] for held in strata.values()) / n,
            p1=sum(held["n"] * held["p1"] for held in strata.values()) / n,
            n=n,
            bad=sum(bad for _, bad in seen.strata.values()),
            change_pane=seen.change_pane,
            occurred_first=seen.occurred_first,
            occurred_last=seen.occurred_last,
            evidence=msgspec.json.encode({"strata": strata}).decode(),
        )
        watch.alarm, watch.opposite, watch.n, watch.bad = alarm, Statistic(0.0, pane), 0, 0
        watch.statistic.restart(pane)
        watch.evidence.forget()
        self._state.alarms.setdefault(key, []).append((pane - self._pane_ms, NEVER))
        return self._book.raised(first)

    def _resolve(self, key: str, watch: Watch, pane: int, settled: int, **evidence: Any) -> AlarmTransition:
        assert watch.alarm is not None
        spans = self._state.alarms[key]
        spans[-1] = (spans[-1][0], pane)
        out = self._book.resolved(watch.alarm, pane, n=watch.n, bad=watch.bad, weight=self._state.w, **evidence)
        watch.alarm, watch.opposite = None, None
        watch.statistic.restart(settled)
        return out

    def resolve(self, key: str, alarm: str, pane: int, actor: str, note: str) -> AlarmTransition:
        """Resolve an open alarm of this rule by command, before `pane` is judged."""
        watch, last = self._state.watches[key], pane - self._pane_ms
        assert watch.alarm == alarm and watch.opposite is not None
        watch.opposite.settle(last, self._pane_ms, self._state.w)
        return self._resolve(key, watch, pane, last, statistic=watch.opposite.r, actor=actor, note=note)

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {"cells": self.cells.freeze(), "state": msgspec.to_builtins(self._state)}

    def thaw(self, frozen: dict[str, Any]) -> None:
        """Take the state of `freeze`."""
        self.cells.thaw(frozen["cells"])
        self._state = msgspec.convert(frozen["state"], _State)
