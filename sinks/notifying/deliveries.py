"""Which transitions make which notice: the next thing to tell, from what stands untold in the log.

Rules: a pending step is never told, nor the end of an alarm that was only pending, nor a transition id that was told before.
A note on an alarm that was told, and whatever is silenced, is information. What is older than an hour is told in one digest
that calls nobody; everything else by itself, oldest first. A notice is named by its transition, a digest by all that it
holds; so the same records always make the same notice, under the same id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.outputs import digest as hash_of
from schemas.windows import DAY_MS, HOUR_MS
from sinks.notifying.transition import ATTENDED, PENDING, STANDING, Transition

STALE_MS = HOUR_MS
REMEMBERED_MS = 28 * DAY_MS
"""How long a told id is known: as long as the topics of alarms hold their records."""
INFO = "info"
LEVELS = frozenset({"page", "ticket", INFO})

Place = tuple[str, int]
"""Topic and partition."""


class Entry(NamedTuple):
    """A record of the log; without a transition where there is nothing to tell (bytes that are none)."""

    offset: int
    transition: Transition | None


class Alarm(NamedTuple):
    """What was told of an alarm: its newest step, the id of the first, and whether it stands open.

    An alarm that stands open without having called (told in a digest, silenced, flapping) is late: it goes on as information
    until it opens again.
    """

    last: Transition
    first_told: str
    stands: bool
    late: bool


class Change(NamedTuple):
    """An alarm's newest step within a notice; `known`: it stood open at the receiver before; `late` as of Alarm."""

    transition: Transition
    known: bool
    late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing to tell: `transitions` oldest first, and what they change (nothing, if a newer step was told before)."""

    id: str
    digest: bool
    level: str
    transitions: tuple[Transition, ...]
    changes: tuple[Change, ...]
    reply_to: str | None
    """The id of the first step told of the same alarm; None for a digest and for the first itself."""
    still: bool = False
    """Whether the alarm only stays in its state, as a note leaves it."""


class Cut(NamedTuple):
    """The offsets that a notice reaches in each place (exclusive); without a notice they are only passed."""

    ends: Mapping[Place, int]
    notice: Notice | None


class Told:
    """What one receiver knows: the ids told within REMEMBERED_MS, and the alarms behind them."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._alarms: dict[str, Alarm] = {}
        self._newest = self._pruned = 0

    def silent(self, entry: Entry) -> bool:
        """Return whether a record is not to be told: none, pending, or told before."""
        one = entry.transition
        return one is None or one.state == PENDING or one.transition_id in self._ids

    def recall(self, one: Transition) -> None:
        """Take a step that was told, in whatever order the steps of an alarm come."""
        if one.state == PENDING or one.transition_id in self._ids:
            return
        self._ids[one.transition_id] = one.pane
        change = self.change(one, digest=False)
        if change is not None:
            first = self.first_told(one.alarm_id) or one.transition_id
            stands = not one.over and (one.state in STANDING or change.known)
            self._alarms[one.alarm_id] = Alarm(one, first, stands, change.late)
        self._newest = max(self._newest, one.pane)
        if self._newest - self._pruned > DAY_MS:
            self._prune()

    def tell(self, notice: Notice) -> None:
        """Take a notice that the receiver has, or has refused."""
        for one in notice.transitions:
            self.recall(one)
        for one, _, late in notice.changes:
            self._alarms[one.alarm_id] = self._alarms[one.alarm_id]._replace(late=late)

    def mark_late(self, alarm_ids: Iterable[str]) -> None:
        """Mark alarms as told late, by the beginnings of their ids."""
        beginnings = tuple(alarm_ids)
        for name, alarm in self._alarms.items():
            if beginnings and alarm.stands and name.startswith(beginnings):
                self._alarms[name] = alarm._replace(late=True)

    def standing(self) -> list[Alarm]:
        """Return the alarms that stand open at the receiver, oldest first."""
        found = [alarm for alarm in self._alarms.values() if alarm.stands]
        return sorted(found, key=lambda alarm: (alarm.last.first_pane, alarm.last.alarm_id))

    def change(self, one: Transition, *, digest: bool) -> Change | None:
        """Return what a step would change at the receiver; None if a newer one was told before."""
        before = self._alarms.get(one.alarm_id)
        if before is not None and before.last.sequence >= one.sequence:
            return None
        known = before is not None and before.stands
        if self.calls(one) and not digest:
            return Change(one, known, late=False)
        return Change(one, known, late=before.late if before is not None and before.stands else not one.over)

    def calls(self, one: Transition) -> bool:
        """Return whether a step calls somebody: one that opens, not a note on an alarm that has called."""
        before = self._alarms.get(one.alarm_id)
        if before is None or one.state == "reopened":
            return one.calls
        noted = before.last.state in ATTENDED and not before.last.silenced
        return one.calls and not noted and one.sequence > before.last.sequence

    def repeats_state(self, one: Transition) -> bool:
        """Return whether an alarm only stays in its state, as a note leaves it."""
        before = self._alarms.get(one.alarm_id)
        return before is not None and before.last.state == one.state and before.last.sequence < one.sequence

    def first_told(self, alarm_id: str) -> str | None:
        """Return the id of the first step told of an alarm."""
        return self._alarms[alarm_id].first_told if alarm_id in self._alarms else None

    def _prune(self) -> None:
        limit = self._newest - REMEMBERED_MS
        self._ids = {name: pane for name, pane in self._ids.items() if pane >= limit}
        self._alarms = {name: one for name, one in self._alarms.items() if one.last.pane >= limit or not one.last.over}
        self._pruned = self._newest


class Withdrawals:
    """Steps of alarms that were only pending, in the order of the log: they are nobody's business."""

    def __init__(self) -> None:
        self._pending: dict[str, int] = {}

    def worth(self, one: Transition) -> Transition | None:
        """Return a step that may be told; None if the alarm is, or was just before its end, only pending."""
        if one.state == PENDING:
            self._pending[one.alarm_id] = one.sequence
            return None
        return None if self._pending.pop(one.alarm_id, None) == one.sequence - 1 and one.over else one


def _order(one: Transition) -> tuple[int, str, int]:
    return one.pane, one.alarm_id, one.sequence


def next_cut(queues: Mapping[Place, Sequence[Entry]], told: Told, now_ms: int) -> Cut | None:
    """Return what comes next; None if nothing is left."""
    passed = {place: _leading(queue, told) for place, queue in queues.items()}
    if any(passed.values()):
        return Cut({place: queues[place][count - 1].offset + 1 for place, count in passed.items() if count}, None)
    stale = {place: _leading(queue, told, stale_before=now_ms - STALE_MS) for place, queue in queues.items()}
    if any(stale.values()):
        ends = {place: queues[place][count - 1].offset + 1 for place, count in stale.items() if count}
        return cut_at(queues, ends, told, digest=True)
    heads = [
        (_order(queue[0].transition), place, queue[0].offset + 1)
        for place, queue in queues.items()
        if queue and queue[0].transition is not None
    ]
    if not heads:
        return None
    _, place, end = min(heads)
    return cut_at(queues, {place: end}, told, digest=False)


def _leading(queue: Sequence[Entry], told: Told, stale_before: int | None = None) -> int:
    """Return how many records at the head are not to be told by themselves."""
    for count, entry in enumerate(queue):
        if told.silent(entry):
            continue
        if entry.transition is None or stale_before is None or entry.transition.pane >= stale_before:
            return count
    return len(queue)


def cut_at(queues: Mapping[Place, Sequence[Entry]], ends: Mapping[Place, int], told: Told, *, digest: bool) -> Cut:
    """Return the cut that reaches `ends`: the same records and the same past make the same notice."""
    found = {
        entry.transition.transition_id: entry.transition
        for place, end in ends.items()
        for entry in queues[place]
        if entry.offset < end and entry.transition is not None and not told.silent(entry)
    }
    transitions = tuple(sorted(found.values(), key=_order))
    return Cut(ends, _notice(transitions, told, digest=digest) if transitions else None)


def _notice(transitions: tuple[Transition, ...], told: Told, *, digest: bool) -> Notice:
    newest: dict[str, Transition] = {}
    for one in transitions:
        if one.alarm_id not in newest or one.sequence > newest[one.alarm_id].sequence:
            newest[one.alarm_id] = one
    changes = tuple(change for one in newest.values() if (change := told.change(one, digest=digest)) is not None)
    if digest:
        return Notice(
            id=digest_id(transitions), digest=True, level=INFO, transitions=transitions, changes=changes, reply_to=None
        )
    (one,) = transitions
    level = one.severity if told.calls(one) and changes and one.severity in LEVELS else INFO
    return Notice(
        id=one.transition_id, digest=False, level=level, transitions=transitions, changes=changes,
        reply_to=told.first_told(one.alarm_id), still=told.repeats_state(one),
    )  # fmt: skip


def digest_id(transitions: Iterable[Transition]) -> str:
    """Return the id of a digest, in whatever order its transitions come."""
    return hash_of("digest", *sorted(one.transition_id for one in transitions))
