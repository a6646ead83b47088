"""The book of alarms: every alarm that is not over, with its last transition.

A step is a transition with an id that follows from the alarm and its number. Statistical alarms get their steps from the
rules (watching/episodes.py). An immediate alarm is opened by stage 1; here it is only adopted, silently and once, and
resolves by command. Acknowledgement and notes change nothing but the alarm itself: detectors go on.

A silence only says with each step until when nobody is to be called. When it ends, what is still open says so in one more
step of the same state, so that those who were not called are. What commands leave behind is here too: silences, and the
pane of the newest renewal.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from schemas.outputs import AlarmState, AlarmTransition, transition_id
from schemas.windows import DAY_MS

REMEMBERED_MS = 36 * DAY_MS
"""How long a resolved alarm is not adopted again."""
SILENCED = "silenced_until"
SILENCE_OVER = "the silence is over"
_CALLING = frozenset({AlarmState.OPEN, AlarmState.FLAPPING})
"""States in which people are called again after a silence: nobody has taken the alarm on."""


class Silence(NamedTuple):
    """Nobody is told of a rule's alarms at `key` (empty: at any) before `until` (ms)."""

    rule: str
    key: str
    until: int

    def covers(self, one: AlarmTransition) -> bool:
        """Tell whether it concerns an alarm."""
        return self.rule == one.rule and self.key in {"", one.key}


class AlarmBook:
    """The alarms that are not over, the ids of those resolved lately, and the silences.

    `renewed`: the pane from which the newest renewal of all rules holds; None: there was none.
    """

    __slots__ = ("_open", "_resolved", "_silences", "renewed")

    def __init__(self) -> None:
        self.renewed: int | None = None
        self._open: dict[str, AlarmTransition] = {}
        self._resolved: dict[str, int] = {}
        self._silences: list[Silence] = []

    def open(self) -> list[AlarmTransition]:
        """Return the last transition of every alarm that is open, acknowledged or flapping, in order of alarm ids."""
        return [last for _, last in sorted(self._open.items()) if last.state is not AlarmState.PENDING]

    def pending(self) -> list[AlarmTransition]:
        """Return the last transition of every alarm that is held back, in order of alarm ids."""
        return [last for _, last in sorted(self._open.items()) if last.state is AlarmState.PENDING]

    def last(self, alarm: str) -> AlarmTransition | None:
        """Return the last transition of an alarm that is not over, pending ones included."""
        return self._open.get(alarm)

    def adopt(self, body: Mapping[str, Any]) -> None:
        """Enter an alarm that was opened elsewhere; one that is known, open or resolved, stays as it is."""
        first = msgspec.convert(body, AlarmTransition)
        if first.alarm_id not in self._open and first.alarm_id not in self._resolved:
            self._open[first.alarm_id] = first

    def begin(self, first: AlarmTransition, evidence: Mapping[str, Any]) -> AlarmTransition:
        """Enter an alarm with its first transition and return that, completed by id and evidence."""
        return self._said(
            msgspec.structs.replace(first, transition_id=transition_id(first.alarm_id, 1), sequence=1), evidence
        )

    def follow(
        self, last: AlarmTransition, state: AlarmState, pane: int, evidence: Mapping[str, Any], **facts: Any
    ) -> AlarmTransition:
        """Return the step after `last`; `facts` are further fields, those of the step itself are not inherited."""
        plain = {
            "change_pane": None, "occurred_first": None, "occurred_last": None, "actor": "judge", "note": "", "seq": 0,
        }  # fmt: skip
        sequence = last.sequence + 1
        said = msgspec.structs.replace(
            last, transition_id=transition_id(last.alarm_id, sequence), sequence=sequence, state=state, pane=pane,
            **(plain | facts),
        )  # fmt: skip
        return self._said(said, evidence)

    def _said(self, said: AlarmTransition, evidence: Mapping[str, Any]) -> AlarmTransition:
        until = self.silenced_until(said.rule, said.key, said.pane)
        facts = {name: fact for name, fact in evidence.items() if name != SILENCED}
        if until is not None:
            facts[SILENCED] = until
        said = msgspec.structs.replace(said, evidence=msgspec.json.encode(facts, order="sorted").decode())
        if said.state is AlarmState.RESOLVED:
            self._open.pop(said.alarm_id, None)
            for alarm in [alarm for alarm, at in self._resolved.items() if at < said.pane - REMEMBERED_MS]:
                del self._resolved[alarm]
            self._resolved[said.alarm_id] = said.pane
        else:
            self._open[said.alarm_id] = said
        return said

    def silence(self, one: Silence, pane: int) -> None:
        """Note a silence in the place of an earlier one for the same rule and key; a past `until` ends that with `pane`."""
        held = any(before[:2] == one[:2] for before in self._silences)
        kept = [before for before in self._silences if before[:2] != one[:2]]
        if one.until > pane or held:
            kept.append(one._replace(until=max(one.until, pane)))
        self._silences = sorted(kept)

    def silence_ends(self) -> int | None:
        """Return when the next silence ends (ms); None: there is none."""
        return min((one.until for one in self._silences), default=None)

    def end_silences(self, pane: int) -> list[AlarmTransition]:
        """Forget the silences that end with `pane`, once its alarms are said; return the steps of what is open all the same.

        An alarm that another silence still covers waits for that; what somebody has acknowledged stays quiet.
        """
        over = [one for one in self._silences if one.until <= pane]
        if not over:
            return []
        self._silences = [one for one in self._silences if one.until > pane]
        out = []
        for _, last in sorted(self._open.items()):
            untold = last.state in _CALLING and last.pane < pane and any(one.covers(last) for one in over)
            if untold and self.silenced_until(last.rule, last.key, pane) is None:
                out.append(self.repeat(last, last.state, pane, note=SILENCE_OVER))
        return out

    def repeat(self, last: AlarmTransition, state: AlarmState, pane: int, **facts: Any) -> AlarmTransition:
        """Return a further step that tells again what `last` told."""
        return self.follow(
            last, state, pane, msgspec.json.decode(last.evidence), change_pane=last.change_pane,
            occurred_first=last.occurred_first, occurred_last=last.occurred_last, **facts,
        )  # fmt: skip

    def silenced_until(self, rule: str, key: str, pane: int) -> int | None:
        """Return until when nobody is told of the alarms of a rule at a key."""
        found = [one.until for one in self._silences if one.rule == rule and one.key in {"", key} and one.until > pane]
        return max(found, default=None)

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "open": msgspec.to_builtins([last for _, last in sorted(self._open.items())]),
            "resolved": sorted(self._resolved.items()),
            "silences": self._silences,
            "renewed": self.renewed,
        }

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._open = {one.alarm_id: one for one in msgspec.convert(state["open"], list[AlarmTransition])}
        self._resolved = dict(state["resolved"])
        self._silences = msgspec.convert(state["silences"], list[Silence])
        self.renewed = state.get("renewed")
