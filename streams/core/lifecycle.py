"""The life of alarms: open -> resolved. A step is a transition with an id that follows from the alarm and its number.

A statistical alarm opens and resolves by evidence, or resolves by command. A dispute is opened by stage 1; here it is
only adopted, silently and once, and resolves by command.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from schemas.outputs import AlarmState, AlarmTransition, transition_id
from schemas.windows import DAY_MS

REMEMBERED_MS = 36 * DAY_MS
"""How long a resolved alarm is not adopted again."""


class AlarmBook:
    """The open alarms, each with its last transition, and the ids of those resolved lately."""

    __slots__ = ("_open", "_resolved", "unknown")

    def __init__(self) -> None:
        self._open: dict[str, AlarmTransition] = {}
        self._resolved: dict[str, int] = {}
        self.unknown = 0
        """Resolve commands that named no open alarm."""

    def open(self) -> list[AlarmTransition]:
        """Return the last transition of every open alarm, in order of alarm ids."""
        return [last for _, last in sorted(self._open.items())]

    def raised(self, first: AlarmTransition) -> AlarmTransition:
        """Enter an alarm by its first transition and return that."""
        self._open[first.alarm_id] = first
        return first

    def adopt(self, body: dict[str, Any]) -> None:
        """Enter an alarm that was opened elsewhere; one that is known, open or resolved, stays as it is."""
        first = msgspec.convert(body, AlarmTransition)
        if first.alarm_id not in self._open and first.alarm_id not in self._resolved:
            self._open[first.alarm_id] = first

    def find(self, alarm: str) -> AlarmTransition | None:
        """Return the last transition of an open alarm; count a miss."""
        found = self._open.get(alarm)
        if found is None:
            self.unknown += 1
        return found

    def resolved(self, alarm: str, pane: int, **evidence: Any) -> AlarmTransition:
        """Close an open alarm and return the transition that says so, with `evidence` as further fields."""
        last = self._open.pop(alarm)
        self._forget(pane)
        self._resolved[alarm] = pane
        plain = {
            "change_pane": None,
            "occurred_first": None,
            "occurred_last": None,
            "evidence": "{}",
            "note": "",
            "seq": 0,
        }
        return msgspec.structs.replace(
            last,
            transition_id=transition_id(alarm, last.sequence + 1),
            sequence=last.sequence + 1,
            state=AlarmState.RESOLVED,
            pane=pane,
            **(plain | evidence),
        )

    def _forget(self, pane: int) -> None:
        for alarm in [alarm for alarm, at in self._resolved.items() if at < pane - REMEMBERED_MS]:
            del self._resolved[alarm]

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        opened: Iterable[Any] = msgspec.to_builtins(self.open())
        return {"open": opened, "resolved": sorted(self._resolved.items()), "unknown": self.unknown}

    def thaw(self, state: dict[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._open = {one.alarm_id: one for one in msgspec.convert(state["open"], list[AlarmTransition])}
        self._resolved = dict(state["resolved"])
        self.unknown = state["unknown"]
