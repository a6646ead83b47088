"""The engine: counts and decisions in, readings and alarm transitions out; a pure function of what it is fed."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from heapq import merge
from typing import Any, NamedTuple, Self

import msgspec

from schemas.blocks import Cells
from schemas.catalogue import Catalogue
from schemas.errors import ContractError
from schemas.outputs import AlarmTransition, Decision, Output, Reading
from schemas.rules import IMMEDIATE, Rule, RuleKind
from streams.core.commands import Commands
from streams.core.counted import Counted, counted
from streams.core.grid import up
from streams.core.keys import Keys
from streams.core.lifecycle import AlarmBook
from streams.core.readings import Settlement
from streams.core.watching.burning import Burning
from streams.core.watching.families import Families
from streams.core.watching.kind import Level
from streams.core.watching.listening import Ear, Heard, parts_of
from streams.core.watching.registry import ear_of, kind_of
from streams.core.watching.watcher import By, Surroundings, Watcher
from streams.core.watching.watching import Watching

STATE_FORMAT = 3


class Armed(NamedTuple):
    """A key that a rule watches; `strata`: stratum -> level, `weight`: what a pane adds."""

    rule: str
    key: str
    strata: Mapping[str, Level]
    weight: float


class Unarmed(NamedTuple):
    """A key that a rule does not watch, and why."""

    rule: str
    key: str
    reason: str


class Drift(NamedTuple):
    """The bad share that a key's baseline has learned, and that of the metric's declared target."""

    rule: str
    key: str
    learned: float
    target: float


class Changed(NamedTuple):
    """What a change of the catalogue makes of an engine.

    `ended`: the ends of alarms whose rules do not go on; `cold`: (metric, dimension) of known series that rules hear for the first time.
    """

    engine: "Engine"
    ended: list[AlarmTransition]
    cold: list[tuple[str, str]]


class Engine:
    """All series, windows, detectors and alarms; `pane` is the last pane judged, None before the first.

    With `alarms_only` no readings are settled. With `armed` every rule is armed from its first renewal on; else each waits
    for the decision that arms its present definition.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        pane_ms: int,
        provisional_step_ms: int,
        alarms_only: bool = False,
        armed: bool = False,
    ) -> None:
        self.pane: int | None = None
        self._pane_ms = pane_ms
        self._provisional_step_ms = provisional_step_ms
        self.catalogue, self._hash = catalogue, catalogue.hash
        self._alarms_only = alarms_only
        self._readings = Settlement(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms)
        self._bins = {identity: plan.bins for identity, plan in self._readings.plans.items()}
        self._keys = Keys(catalogue)
        self._book = AlarmBook()
        self._ears: dict[tuple[str, str], Ear] = {}
        self._rules: dict[str, Watcher] = {}
        self._build(catalogue, armed=armed)
        immediate = [rule.name for rule in catalogue.alarm if rule.kind in IMMEDIATE]
        self._commands = Commands(self._book, self._rules, immediate)

    def _build(self, catalogue: Catalogue, *, armed: bool) -> None:
        """Make the rules, parents before children, so that a child's alarm finds that of its parent in the same pane."""
        parents = {one.name: one.parent for one in catalogue.touchpoint if one.parent is not None}
        around = Surroundings(self._pane_ms, self._book, Families(parents), tuple(catalogue.exception))
        watched = [rule for rule in catalogue.alarm if rule.kind not in IMMEDIATE]
        for rule in sorted(watched, key=lambda one: one.strata != "children"):
            metric = catalogue.named(rule.metric)
            dimension = rule.reads
            bins = self._bins[metric.identity]
            ear = self._ears.get((metric.identity, dimension))
            if ear is None:
                listening = [one for one in watched if (one.metric, one.reads) == (rule.metric, dimension)]
                ear = ear_of(listening, metric, bins)
                self._ears[metric.identity, dimension] = ear
            one: Watcher = (
                Burning(rule, metric, ear, around)
                if rule.kind is RuleKind.BURN
                else Watching(rule, metric, ear, kind_of(rule, metric, bins, self._pane_ms), around)
            )
            around.families.add(one)
            if armed:
                one.arm()
            self._rules[rule.name] = one

    @property
    def dirty(self) -> dict[str, int]:
        """Return window -> how many ends late counts met beyond their rung; an end counts once a series and pane."""
        return dict(self._readings.dirty)

    @property
    def overflow(self) -> int:
        """Return how many answers went to an overflow key."""
        return self._keys.overflow

    @property
    def series(self) -> int:
        """Return how many series have counts within reach."""
        return len(self._readings)

    @property
    def armed(self) -> list[Armed]:
        """Return the keys that rules watch."""
        return [
            Armed(name, key, strata, w)
            for name, rule in self._rules.items()
            for key, (strata, w) in rule.levels.items()
        ]

    @property
    def unarmed(self) -> list[Unarmed]:
        """Return the keys that rules do not watch, with reasons; a rule that is not armed watches none."""
        pane = self.pane or 0
        return [
            Unarmed(name, key, why) for name, rule in self._rules.items() for key, why in rule.unarmed(pane).items()
        ]

    @property
    def spent(self) -> dict[str, float]:
        """Return rule -> the expected false alarms that its detectors have been given so far: a function of panes alone."""
        pane = self.pane or 0
        return {name: rule.spent(pane) for name, rule in self._rules.items()}

    @property
    def drift(self) -> list[Drift]:
        """Return the learned bad shares of the watched keys, of metrics with a declared target."""
        return [Drift(name, key, *one) for name, rule in self._rules.items() for key, one in rule.drift().items()]

    @property
    def open_alarms(self) -> list[AlarmTransition]:
        """Return the last transition of every alarm that is open, acknowledged or flapping."""
        return self._book.open()

    @property
    def pending_alarms(self) -> list[AlarmTransition]:
        """Return the last transition of every alarm that is held back for a while."""
        return self._book.pending()

    @property
    def ignored(self) -> dict[str, int]:
        """Return kind of decision -> how many changed nothing: they named no open alarm, rule, key or definition."""
        return dict(sorted(self._commands.ignored.items()))

    def advance(self, pane: int, cells: Cells) -> list[Output]:
        """Judge all panes up to `pane`, the last with `cells`, those between quiet; readings of a pane precede its alarms.

        Raises ContractError if `pane` was judged before or is no pane; the state is then as it was.
        """
        if pane % self._pane_ms or (self.pane is not None and pane <= self.pane):
            raise ContractError("bad_pane", f"pane {pane} after {self.pane}, panes are {self._pane_ms} ms")
        arrived = counted(cells, self._bins) if len(cells) else []
        self.pane = pane
        readings: list[Reading] = []
        alarms = self._quiet(pane - self._pane_ms if arrived else pane)
        if not arrived:
            if not self._alarms_only:
                readings = self._readings.settle(pane)
            return _in_order(readings, alarms)
        keyed = [(one, self._keyed(one)) for one in arrived]
        if not self._alarms_only:
            readings += self._readings.settle(pane - self._pane_ms)
            for series, minutes in _summed(keyed).items():
                self._readings.add(series, minutes, pane)
            readings += self._readings.settle(pane)
        return _in_order(readings, alarms + self._judge(pane, self._heard(keyed, pane)))

    def _quiet(self, pane: int) -> list[AlarmTransition]:
        """Return what happens by itself up to `pane`, pane by pane, since one rule's alarm may name another's."""
        out: list[AlarmTransition] = []
        while (due := self._due()) is not None and due <= pane:
            out += self._judge(due, {})
        return out

    def _due(self) -> int | None:
        """Return the next pane in which something happens by itself; None if nothing is known to."""
        ends = self._book.silence_ends()
        found = [at for rule in self._rules.values() if (at := rule.due()) is not None]
        return min(found if ends is None else [*found, up(ends, self._pane_ms)], default=None)

    def _judge(self, pane: int, heard: Mapping[tuple[str, str], dict[str, Heard]]) -> list[AlarmTransition]:
        out: list[AlarmTransition] = []
        for rule in self._rules.values():
            said = heard.get((rule.metric.identity, rule.rule.reads))
            at = rule.due()
            if said or (at is not None and at <= pane):
                out += rule.judge(pane, rule.gather(said) if said else {})
        return out + self._book.end_silences(pane)

    def _keyed(self, one: Counted) -> str:
        key = self._keys.admit(one.series)
        if key != one.series.key:
            self._keys.overflow += sum(one.bins.counts(sum(one.minutes.values())).values())
        return key

    def _heard(self, keyed: Iterable[tuple[Counted, str]], pane: int) -> dict[tuple[str, str], dict[str, Heard]]:
        """Let every ear take what concerns it; return what is fresh, by ear and key."""
        out: dict[tuple[str, str], dict[str, Heard]] = {}
        for one, key in keyed:
            at = one.series[:2]
            ear = self._ears.get(at)
            if ear is not None:
                ear.take(one, key, pane, out.setdefault(at, {}))
        return out

    # --- decisions -------------------------------------------------------------------------------------------------

    def decide(self, decision: Decision, *, before: int | None = None) -> list[Output]:
        """Apply a decision before the next pane is judged; return the transitions that it causes.

        `before` names that pane where none was judged yet; else it follows from the last one. What names nothing that is
        there is ignored and counted. Raises ContractError for a sources record.
        """
        pane = (before or decision.from_pane or 0) if self.pane is None else self.pane + self._pane_ms
        return list(self._commands.apply(decision, pane))

    def ignore(self, decision: Decision) -> None:
        """Count a decision that changed nothing."""
        self._commands.ignored[decision.kind] += 1

    # --- state -----------------------------------------------------------------------------------------------------

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "format": STATE_FORMAT,
            "catalogue": self._hash,
            "pane_ms": self._pane_ms,
            "pane": self.pane,
            "keys": self._keys.freeze(),
            "readings": self._readings.freeze(),
            "book": self._book.freeze(),
            "ignored": sorted(self._commands.ignored.items()),
            "ears": [[*at, ear.freeze()] for at, ear in sorted(self._ears.items())],
            "rules": {name: rule.freeze() for name, rule in self._rules.items()},
        }

    def changed(self, catalogue: Catalogue, pane: int, by: By) -> "Changed":
        """Return the engine that goes on with another catalogue from `pane` on.

        Series of the same identity and rules of the same definition go on as if nothing had happened, others begin cold.
        """
        staying = {
            name for name, rule in self._rules.items()
            if any(_same_rule(rule, one, catalogue) for one in catalogue.alarm)
        }  # fmt: skip
        ended = [
            said for name, rule in self._rules.items()
            if name not in staying and rule.is_armed for said in rule.disarm(pane, by)
        ]  # fmt: skip
        out = type(self)(
            catalogue, pane_ms=self._pane_ms, provisional_step_ms=self._provisional_step_ms,
            alarms_only=self._alarms_only,
        )  # fmt: skip
        out._take_over(self.freeze(), staying)
        cold = [
            at for at, ear in sorted(out._ears.items())
            if self.knows(at[0]) and (at not in self._ears or not ear.parts <= self._ears[at].parts)
        ]  # fmt: skip
        return Changed(out, ended, cold)

    def knows(self, identity: str) -> bool:
        """Tell whether a metric of this identity is counted."""
        return identity in self._bins

    def teach(self, cells: Cells) -> None:
        """Let rules learn from the past of series that they have just begun to hear; readings and detectors do not see it."""
        for one in counted(cells, self._bins) if len(cells) else []:
            ear = self._ears.get(one.series[:2])
            if ear is not None:
                ear.take(one, self._keys.admit(one.series), self.pane or 0, {})

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`. Raises ContractError for that of another format, catalogue or pane length."""
        ours = {"format": STATE_FORMAT, "catalogue": self._hash, "pane_ms": self._pane_ms}
        for name, value in ours.items():
            if state.get(name) != value:
                raise ContractError(
                    "foreign_state", f"state has {name} {state.get(name)}, this process {value}",
                    "run with the settings and catalogue that wrote it, or replay the log from its start",
                )  # fmt: skip
        for metric, dimension, held in state["ears"]:
            ear = self._ears.get((metric, dimension))
            if ear is not None and not ear.parts <= parts_of(held):
                raise ContractError(
                    "foreign_state", f"state has no hours of {metric} by {dimension}, which a rule of this version reads",
                    "replay the log from its start",
                )  # fmt: skip
        self._take_over(state, self._rules)

    def _take_over(self, state: Mapping[str, Any], rules: Collection[str]) -> None:
        """Take what a state says of the series of this catalogue and of these rules."""
        self.pane = state["pane"]
        self._keys.thaw(state["keys"])
        self._readings.thaw(state["readings"])
        self._book.thaw(state["book"])
        self._commands.ignored = Counter(dict(state["ignored"]))
        for metric, dimension, held in state["ears"]:
            ear = self._ears.get((metric, dimension))
            if ear is not None and ear.parts <= parts_of(held):
                ear.thaw(held)
        for name in rules:
            self._rules[name].thaw(state["rules"][name])

    def pack(self) -> bytes:
        """Return the whole state as bytes; equal states give equal bytes."""
        return msgspec.msgpack.encode(self.freeze())

    @classmethod
    def unpack(cls, packed: bytes, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int) -> Self:
        """Return the engine that `pack` wrote; it goes on as that one would have. Raises ContractError."""
        out = cls(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms)
        out.thaw(msgspec.msgpack.decode(packed, strict=False))
        return out


def _same_rule(rule: Watcher, other: Rule, catalogue: Catalogue) -> bool:
    """Tell whether a rule goes on as `other`: the same definition on the same series."""
    same = other.name == rule.rule.name and other.definition_hash == rule.rule.definition_hash
    return same and catalogue.named(other.metric).identity == rule.metric.identity


def _in_order(readings: list[Reading], alarms: list[AlarmTransition]) -> list[Output]:
    """Return both by pane, the readings of a pane before its alarms."""
    if not alarms:
        return list(readings)
    out: list[Output] = []
    out += merge(readings, alarms, key=_pane_of)
    return out


def _pane_of(output: Output) -> int:
    return output.as_of if isinstance(output, Reading) else output.pane


def _summed(keyed: list[tuple[Counted, str]]) -> dict[tuple[str, str, str], Mapping[int, int]]:
    """Return the counts by series (as in SeriesKey), summed over strata."""
    out: dict[tuple[str, str, str], Mapping[int, int]] = {}
    sums: dict[tuple[str, str, str], dict[int, int]] = {}
    for one, key in keyed:
        series = (one.series.metric, one.series.dimension, key)
        if out.setdefault(series, one.minutes) is one.minutes:
            continue
        held = sums.get(series)
        if held is None:
            held = out[series] = sums[series] = dict(out[series])
        for minute, packed in one.minutes.items():
            held[minute] = held.get(minute, 0) + packed
    return out
