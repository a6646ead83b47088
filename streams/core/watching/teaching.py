"""What the days teach about a key, and the acceptance of a new level.

After an acceptance a stratum learns from its newest days alone, those that have `learn_min` answers together; no later
renewal learns from a day before them. Until days beyond the lag are enough, the accepted baseline stands.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.rules import Rule
from schemas.windows import DAY_MS
from streams.core.baseline import REACH_MS, Span, Stretch
from streams.core.watching.kind import Kind, Learned, Member
from streams.core.watching.listening import Ear


class Teaching:
    """Baselines of one rule's keys."""

    def __init__(self, rule: Rule, kind: Kind, ear: Ear) -> None:
        self._rule, self._kind, self._ear = rule, kind, ear
        self._floors: dict[str, dict[str, int]] = {}
        """key -> stratum -> first day of the level that was accepted"""

    def learned(
        self,
        key: str,
        members: Sequence[Member],
        pane: int,
        held: Mapping[str, Any],
        spans: Callable[[str], tuple[Span, ...]],
    ) -> Learned:
        """Return what a key's strata teach, each from its own days.

        held: what the key has learned before; spans: key of a series -> what its days have to avoid.
        """
        out: dict[str, Any] = {}
        why = []
        for name, group in _named(members).items():
            floor = self._floors.get(key, {}).get(name, 0)
            stretch = Stretch(pane, self._rule.learn_lag_ms, spans(group[0].key), floor)
            found, reason = self._kind.learn(self._ear, group, {name: stretch})
            if found is None and floor:
                found = {name: held[name]} if name in held else self._newest(group, name, pane, floor)[0]
            if found is None:
                why.append(reason)
            else:
                out |= found
        return (out, "") if out else (None, "; ".join(why))

    def accept(self, key: str, members: Sequence[Member], pane: int) -> Learned:
        """Make the newest days of a key its level, from `pane` on."""
        floors = self._floors[key] = {}
        out: dict[str, Any] = {}
        why = []
        for name, group in _named(members).items():
            floors[name] = self._first_day(group, pane)
            found, reason = self._newest(group, name, pane, floors[name])
            out |= found or {}
            why += [] if found else [reason]
        return (out, "") if out else (None, "; ".join(why))

    def _newest(self, group: Sequence[Member], name: str, pane: int, floor: int) -> Learned:
        """Learn from the days since `floor`: today too where answers count, full days where hours do."""
        stretch = Stretch(pane, 0 if self._kind.per_series else -DAY_MS, (), floor)
        return self._kind.learn(self._ear, group, {name: stretch})

    def _first_day(self, group: Sequence[Member], pane: int) -> int:
        """Return the first of the newest days with enough answers together."""
        days: dict[int, int] = {}
        for member in group:
            for day, packed in self._ear.cells.days(member.key, member.stratum).items():
                days[day] = days.get(day, 0) + sum(self._ear.bins.counts(packed).values())
        first = pane // DAY_MS * DAY_MS - (DAY_MS if self._kind.per_series else 0)
        n = 0
        for day in sorted((day for day in days if day <= first), reverse=True):
            if n >= self._rule.learn_min:
                break
            first, n = day, n + days[day]
        return first

    def forget(self, pane: int) -> None:
        """Forget acceptances that are older than all days within reach."""
        reach = pane - REACH_MS
        self._floors = {key: held for key, held in self._floors.items() if max(held.values(), default=0) >= reach}

    def freeze(self) -> Any:
        """Return the state as plain values."""
        return [[key, sorted(held.items())] for key, held in sorted(self._floors.items())]

    def thaw(self, state: Any) -> None:
        """Take the state of `freeze`."""
        self._floors = {key: dict(held) for key, held in state}


def _named(members: Sequence[Member]) -> dict[str, list[Member]]:
    """Return stratum -> its members, in order."""
    out: dict[str, list[Member]] = {}
    for member in members:
        out.setdefault(member.name, []).append(member)
    return dict(sorted(out.items()))
