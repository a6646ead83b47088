"""The alarms of a week: each with its state and what it rests on."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any

import msgspec

from schemas.outputs import AlarmState


class Alarm(msgspec.Struct, frozen=True):
    """One alarm at the end of the week; times in ms. `n`, `bad` and what follows are those of the opening."""

    alarm_id: str
    rule: str
    metric: str
    dimension: str
    key: str
    severity: str
    state: AlarmState
    opened_ms: int
    ended_ms: int | None
    n: int
    bad: int
    p0: float | None
    change_ms: int | None
    occurred_first_ms: int | None
    occurred_last_ms: int | None
    event_id: str
    actor: str
    note: str
    verbatims: tuple[str, ...] = ()
    """Ids of events whose texts show what it is about."""

    @property
    def immediate(self) -> bool:
        """Return whether one event raised it, without statistics."""
        return bool(self.event_id)


SHOWN = frozenset(AlarmState) - {AlarmState.PENDING}


def alarms(
    transitions: Iterable[Mapping[str, Any]], verbatims: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[Alarm]:
    """Return the alarms of transitions that are sorted by alarm and sequence; one that only ever was pending is none.

    `verbatims`: alarm id -> ids of events that show what it is about.
    """
    out = []
    for _, group in groupby(transitions, key=lambda one: one["alarm_id"]):
        steps = list(group)
        opened = next((one for one in steps if one["state"] in SHOWN - {AlarmState.RESOLVED}), None)
        if opened is None:
            continue
        last = steps[-1]
        noted = next((one for one in reversed(steps) if one["note"]), last)
        out.append(
            Alarm(
                alarm_id=opened["alarm_id"],
                rule=opened["rule"],
                metric=opened["metric"],
                dimension=opened["dimension"],
                key=opened["key"],
                severity=opened["severity"],
                state=AlarmState(last["state"]),
                opened_ms=opened["pane"],
                ended_ms=last["pane"] if last["state"] == AlarmState.RESOLVED else None,
                n=opened["n"],
                bad=opened["bad"],
                p0=opened["p0"],
                change_ms=opened["change_pane"],
                occurred_first_ms=opened["occurred_first"],
                occurred_last_ms=opened["occurred_last"],
                event_id=opened["event_id"],
                actor=noted["actor"],
                note=noted["note"],
                verbatims=tuple(verbatims.get(opened["alarm_id"], ())),
            )
        )
    return sorted(out, key=lambda one: (one.state is AlarmState.RESOLVED, one.opened_ms, one.alarm_id))
