"""What all rules have in common: which series they read, whether they are armed, their alarms and what is due when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from schemas.catalogue import ExceptionalDays
from schemas.metrics import ALL, Metric
from schemas.outputs import AlarmTransition
from schemas.rules import Rule
from schemas.windows import DAY_MS
from streams.core.baseline import REACH_MS, Span
from streams.core.calendar import Calendar
from streams.core.lifecycle import AlarmBook
from streams.core.watching.episodes import Episodes
from streams.core.watching.families import CHILD, Families
from streams.core.watching.hours import in_hour, parted
from streams.core.watching.kind import Drifted, Level, Member
from streams.core.watching.listening import Ear, Heard, together

NEVER = 1 << 62
"""The end of an alarm that is open."""
_EPOCH = 719_163
"""Ordinal of 1 January 1970."""
NEW = "no renewal since its first answers"


class By(NamedTuple):
    """Who gives a command, and why."""

    actor: str
    note: str


class Surroundings(NamedTuple):
    """What all rules of an engine share."""

    pane_ms: int
    book: AlarmBook
    families: Families
    exceptions: tuple[ExceptionalDays, ...] = ()


@dataclass(slots=True)
class Common:
    """What every rule remembers."""

    armed: str = ""
    """The definition hash that was armed; empty: none."""
    spans: dict[str, list[Span]] = field(default_factory=dict)
    """key -> [start, end) of its alarms, arrived ms"""


class Watcher:
    """One rule. The engine asks it what is due, gives it what was heard, and hands on commands."""

    def __init__(self, rule: Rule, metric: Metric, ear: Ear, around: Surroundings, *, by_channel: bool) -> None:
        self.rule, self.metric, self.ear = rule, metric, ear
        self.episodes = Episodes(rule, around.book, around.pane_ms)
        self._pane_ms, self._families, self._by_channel = around.pane_ms, around.families, by_channel
        self._children = rule.strata == "children"
        self._exceptions = around.exceptions
        self._common = Common()
        self._calendar: Calendar[str] = Calendar()

    # --- what it reads ---------------------------------------------------------------------------------------------

    def _name(self, key: str, stratum: str) -> str:
        if self._children:
            return msgspec.json.encode([key, stratum]).decode() if self._by_channel else key
        return stratum if self._by_channel else ALL

    def _child(self, name: str) -> str:
        """Return the child that a stratum of a parent belongs to."""
        return str(msgspec.json.decode(name)[0]) if self._by_channel else name

    def gather(self, heard: Mapping[str, Heard]) -> Mapping[str, Heard]:
        """Return what the series said as what the watched keys said."""
        if self._by_channel and not self._children:
            return heard
        out: dict[str, Heard] = {}
        for key in sorted(heard):
            owner = self._families.owner(self.rule, key)
            if owner is None:
                continue
            one, strata, by_hour = heard[key], dict[str, int](), dict[str, int]()
            for stratum, packed in one.strata.items():
                name = self._name(key, stratum)
                strata[name] = strata.get(name, 0) + packed
            for each, packed in one.by_hour.items():
                stratum, hour = parted(each)
                name = in_hour(self._name(key, stratum), hour)
                by_hour[name] = by_hour.get(name, 0) + packed
            out[owner] = together(out.get(owner), Heard(strata, one.occurred_first, one.occurred_last, by_hour))
        return out

    def members(self, pane: int) -> dict[str, list[Member]]:
        """Return watched key -> series with counts within reach of `pane`, in order."""
        out: dict[str, list[Member]] = {}
        for key, strata in self.ear.cells.strata(pane).items():
            owner = self._families.owner(self.rule, key)
            if owner is not None:
                held = out.setdefault(owner, [])
                held += [Member(key, stratum, self._name(key, stratum)) for stratum in strata]
        return dict(sorted(out.items()))

    def _excepted(self, key: str) -> list[Span]:
        """Return the exceptional days of a series, as UTC days."""
        at_touchpoint = self.rule.reads == CHILD
        return [
            ((one.first.toordinal() - _EPOCH) * DAY_MS, (one.last.toordinal() - _EPOCH + 1) * DAY_MS)
            for one in self._exceptions
            if not one.touchpoints or (at_touchpoint and key in one.touchpoints)
        ]

    # --- whether it is armed ---------------------------------------------------------------------------------------

    @property
    def is_armed(self) -> bool:
        """Tell whether the rule is armed in its present definition."""
        return self._common.armed == self.rule.definition_hash

    def arm(self) -> None:
        """Arm the rule; the next renewal, which the caller makes, fixes what it watches."""
        self._common.armed = self.rule.definition_hash

    @property
    def levels(self) -> dict[str, tuple[Mapping[str, Level], float]]:
        """Return key -> stratum -> level, and what a pane adds, of the watched keys."""
        raise NotImplementedError

    def _why_not(self) -> Mapping[str, str]:
        """Return key -> why the last renewal could not watch it."""
        raise NotImplementedError

    def unarmed(self, pane: int) -> dict[str, str]:
        """Return key -> why it is not watched, for all keys with answers within reach of `pane`."""
        keys = self.members(pane)
        if not self.is_armed:
            why = f"not armed: run a backtest, then `barometer alarms arm {self.rule.name}`"
            return dict.fromkeys(keys or (ALL,), why)
        watched, known = self.levels, self._why_not()
        return {key: known.get(key, NEW) for key in keys if key not in watched}

    def spent(self, pane: int) -> float:
        """Return the budget given to the detectors up to and with `pane`, in expected false alarms."""
        return 0.0

    def drift(self) -> dict[str, Drifted]:
        """Return key -> the learned level beside the target."""
        return {}

    # --- alarms ----------------------------------------------------------------------------------------------------

    def alarm(self, key: str) -> str | None:
        """Return the id of the key's alarm that is not over."""
        return self.episodes.alarm(key)

    def spans(self, key: str) -> list[Span]:
        """Return when alarms of the key were open."""
        return self._common.spans.get(key, [])

    def _opened(self, key: str, start: int) -> None:
        self._common.spans.setdefault(key, []).append((start, NEVER))

    def _closed(self, key: str, pane: int) -> None:
        spans = self._common.spans.get(key)
        if spans and spans[-1][1] == NEVER:
            spans[-1] = (spans[-1][0], pane)

    def _forget_spans(self, pane: int) -> None:
        reach = pane - REACH_MS
        kept = {key: [span for span in spans if span[1] > reach] for key, spans in self._common.spans.items()}
        self._common.spans = {key: spans for key, spans in kept.items() if spans}

    def _related(self, key: str) -> dict[str, Any]:
        """Return what an alarm of the key says about its family."""
        episode = self._families.episode(self.rule, key)
        return {} if episode is None else {"episode": episode}

    # --- time ------------------------------------------------------------------------------------------------------

    def due(self) -> int | None:
        """Return the next pane in which something happens by itself; None if nothing is known to."""
        return self._calendar.first()

    def _taken(self, pane: int) -> set[str]:
        """Return the keys that entered themselves for `pane` or before, entries that have been overtaken included."""
        out: set[str] = set()
        while (first := self._calendar.first()) is not None and first <= pane:
            out.update(key for key, _ in self._calendar.take())
        return out

    # --- what a rule does ------------------------------------------------------------------------------------------

    def judge(self, pane: int, heard: Mapping[str, Heard]) -> list[AlarmTransition]:
        """Return the transitions of `pane`: of what was heard and of what is due, in order of keys."""
        raise NotImplementedError

    def renew(self, pane: int) -> None:
        """Fix baselines and shares from `pane` on; keys with an open alarm keep their baselines."""
        raise NotImplementedError

    def resolve(self, key: str, pane: int, by: By) -> list[AlarmTransition]:
        """End the key's alarm by command, before `pane` is judged."""
        raise NotImplementedError

    def rebase(self, key: str, pane: int, by: By) -> list[AlarmTransition] | None:
        """Make the key's newest days its baseline, before `pane` is judged; None where there is nothing to accept."""
        return None

    def disarm(self, pane: int, by: By) -> list[AlarmTransition]:
        """Watch nothing from `pane` on; open alarms end by command."""
        raise NotImplementedError

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "armed": self._common.armed,
            "spans": sorted(self._common.spans.items()),
            "episodes": self.episodes.freeze(),
        }

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`."""
        self._common = Common(
            state["armed"], {key: [(start, end) for start, end in spans] for key, spans in state["spans"]}
        )
        self.episodes.thaw(state["episodes"])


def shares(rates: Iterable[float]) -> list[float]:
    """Return parts of 1 in proportion to `rates`, each above 0."""
    held = list(rates)
    total = sum(held)
    return [rate / total for rate in held]
