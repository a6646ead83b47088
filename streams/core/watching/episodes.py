"""What people are told of one rule's alarms: each step of a key's episode is one transition.

A detector only says "on" and "off" (and "pending" where the rule holds it back for a while). Here that becomes:
- one alarm id for an episode: an alarm that comes back within the cool-down after its resolution is open again under it;
- flapping: with so many steps within the window the alarm is held open and nothing more is said until it is calm again;
- acknowledgement, which ends with the alarm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.outputs import AlarmState, AlarmTransition, alarm_id
from schemas.rules import Rule
from streams.core.grid import up
from streams.core.lifecycle import AlarmBook

WITHDRAWN = "withdrawn"


@dataclass(slots=True)
class Episode:
    """The alarms of one key, the newest of which may come back."""

    alarm: str
    last: AlarmTransition | None = None
    """Its last transition, once it is over; the book has it before."""
    closed: int | None = None
    """Pane of its last resolution; None: it never was, or it may not come back."""
    reopened: int = 0
    steps: list[int] = field(default_factory=list)
    """Panes of the steps within the flapping window, of earlier alarms of the key too."""
    on: bool = False
    flapping: bool = False
    acknowledged: bool = False


class Episodes:
    """The episodes of one rule, by key."""

    def __init__(self, rule: Rule, book: AlarmBook, pane_ms: int) -> None:
        self._rule, self._book, self._pane_ms = rule, book, pane_ms
        self._held: dict[str, Episode] = {}

    def alarm(self, key: str) -> str | None:
        """Return the id of the key's alarm that is not over."""
        held = self._held.get(key)
        return None if held is None or self._book.last(held.alarm) is None else held.alarm

    def flapping(self, key: str) -> bool:
        """Tell whether the key's alarm is held open."""
        return key in self._held and self._held[key].flapping

    def calm_at(self, key: str) -> int | None:
        """Return the pane in which a flapping alarm is calm again, if nothing more happens."""
        if not self.flapping(key):
            return None
        return up(self._held[key].steps[-1] + self._rule.flap_window_ms, self._pane_ms)

    def pending(self, key: str, pane: int, evidence: Mapping[str, Any], facts: Mapping[str, Any]) -> AlarmTransition:
        """Say that an alarm may be coming."""
        return self._next(self._episode(key, pane), key, AlarmState.PENDING, pane, evidence, facts)

    def withdrawn(self, key: str, pane: int, evidence: Mapping[str, Any], **facts: Any) -> AlarmTransition:
        """Say that the alarm did not come."""
        held = self._held[key]
        said = self._follow(held, AlarmState.RESOLVED, pane, evidence, {"note": WITHDRAWN, **facts})
        held.last = said
        return said

    def on(self, key: str, pane: int, evidence: Mapping[str, Any], facts: Mapping[str, Any]) -> list[AlarmTransition]:
        """Take that the alarm is on; say so, unless the key is flapping."""
        held = self._episode(key, pane)
        if held.closed is not None:
            held.reopened += 1
            held.closed = None
        held.on = True
        if held.flapping:
            self._count(held, pane)
            return []
        return [self._next(held, key, self._step(held, pane, AlarmState.OPEN), pane, evidence, facts)]

    def off(self, key: str, pane: int, evidence: Mapping[str, Any], **facts: Any) -> list[AlarmTransition]:
        """Take that the alarm is off by evidence; say so, unless the key is flapping."""
        held = self._held[key]
        held.on = False
        if held.flapping:
            self._count(held, pane)
            return []
        state = self._step(held, pane, AlarmState.RESOLVED)
        return [self._end(held, pane, evidence, facts) if state is AlarmState.RESOLVED else
                self._follow(held, state, pane, evidence, facts)]  # fmt: skip

    def _step(self, held: Episode, pane: int, state: AlarmState) -> AlarmState:
        """Count a step and return the state to tell: flapping if there were too many."""
        self._count(held, pane)
        held.flapping = len(held.steps) >= self._rule.flap_transitions
        return AlarmState.FLAPPING if held.flapping else state

    def _count(self, held: Episode, pane: int) -> None:
        since = pane - self._rule.flap_window_ms
        held.steps = [*(step for step in held.steps if step > since), pane]

    def calm(self, key: str, pane: int, evidence: Mapping[str, Any], **facts: Any) -> AlarmTransition:
        """End the flapping: the alarm is open or resolved, whichever it is underneath."""
        held = self._held[key]
        held.flapping = False
        held.steps = []
        if not held.on:
            return self._end(held, pane, evidence, facts)
        state = AlarmState.ACKNOWLEDGED if held.acknowledged else AlarmState.OPEN
        return self._follow(held, state, pane, evidence, facts)

    def over(
        self, key: str, pane: int, evidence: Mapping[str, Any], *, returns: bool = True, **facts: Any
    ) -> AlarmTransition:
        """End the alarm by command, whatever its state; unless it `returns`, the next one is a new episode."""
        held = self._held[key]
        held.on = held.flapping = False
        held.steps = []
        said = self._end(held, pane, evidence, facts)
        if not returns:
            held.closed = None
        return said

    def acknowledged(self, key: str) -> None:
        """Remember that somebody has taken the alarm on."""
        self._held[key].acknowledged = True

    def _episode(self, key: str, pane: int) -> Episode:
        """Return the episode that goes on in `pane`, or a new one."""
        held, rule = self._held.get(key), self._rule
        if held is not None:
            back = held.closed is not None and pane - held.closed <= rule.cooldown_ms
            if back or self._book.last(held.alarm) is not None:
                return held
        steps = [] if held is None else held.steps
        new = Episode(alarm_id(rule.name, rule.definition_hash, key, rule.way, pane), steps=steps)
        self._held[key] = new
        return new

    def _next(
        self,
        held: Episode,
        key: str,
        state: AlarmState,
        pane: int,
        evidence: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> AlarmTransition:
        """Say a step with the evidence for the alarm itself; the first one begins it."""
        if self._book.last(held.alarm) is not None or held.last is not None:
            return self._follow(held, state, pane, evidence, facts)
        rule = self._rule
        first = AlarmTransition(
            transition_id="", alarm_id=held.alarm, sequence=0, rule=rule.name, definition_hash=rule.definition_hash,
            metric=rule.metric, dimension=rule.dimension, key=key, direction=rule.way, severity=rule.severity,
            state=state, pane=pane, first_pane=pane,
        )  # fmt: skip
        return self._book.begin(msgspec.structs.replace(first, **facts), self._told(held, evidence))

    def _follow(
        self, held: Episode, state: AlarmState, pane: int, evidence: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> AlarmTransition:
        last = self._book.last(held.alarm) or held.last
        assert last is not None
        held.last = None
        return self._book.follow(last, state, pane, self._told(held, evidence), **facts)

    def _end(self, held: Episode, pane: int, evidence: Mapping[str, Any], facts: Mapping[str, Any]) -> AlarmTransition:
        said = self._follow(held, AlarmState.RESOLVED, pane, evidence, facts)
        held.last, held.closed, held.acknowledged = said, pane, False
        return said

    def _told(self, held: Episode, evidence: Mapping[str, Any]) -> dict[str, Any]:
        out = dict(evidence)
        if held.reopened:
            out["reopened"] = held.reopened
        if held.flapping:
            out["steps"] = len(held.steps)
        return out

    def forget(self, pane: int) -> None:
        """Forget what can neither come back nor count as a step of flapping."""
        rule, kept = self._rule, {}
        for key, held in sorted(self._held.items()):
            back = held.closed is not None and pane - held.closed <= rule.cooldown_ms
            recent = bool(held.steps) and held.steps[-1] > pane - rule.flap_window_ms
            if back or recent or self._book.last(held.alarm) is not None:
                kept[key] = held
        self._held = kept

    def freeze(self) -> Any:
        """Return the state as plain values."""
        return msgspec.to_builtins(dict(sorted(self._held.items())))

    def thaw(self, state: Any) -> None:
        """Take the state of `freeze`."""
        self._held = msgspec.convert(state, dict[str, Episode])
