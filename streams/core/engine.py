"""The engine: counts and decisions in, readings and alarm transitions out; a pure function of what it is fed."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import msgspec

from schemas.blocks import Cells
from schemas.catalogue import Catalogue, RuleKind
from schemas.errors import ContractError
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output
from schemas.windows import DAY_MS, MINUTE_MS
from streams.core.baseline import Shares
from streams.core.counted import Counted, counted
from streams.core.drop import Answers, DropRule
from streams.core.keys import Keys
from streams.core.lifecycle import AlarmBook
from streams.core.readings import SeriesKey, Settlement

STATE_FORMAT = 1
_DAY_MINUTES = DAY_MS // MINUTE_MS


class Armed(NamedTuple):
    """A key that a rule watches; `strata`: stratum -> (p0, p1), `weight`: what a pane adds."""

    rule: str
    key: str
    strata: Mapping[str, Shares]
    weight: float


class Unarmed(NamedTuple):
    """A key that a rule cannot watch, and why."""

    rule: str
    key: str
    reason: str


class Engine:
    """All series, windows, detectors and alarms; `pane` is the last pane judged, None before the first.

    With `alarms_only` no readings are settled.
    """

    def __init__(
        self, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int, alarms_only: bool = False
    ) -> None:
        self.pane: int | None = None
        self._pane_ms = pane_ms
        self._hash = catalogue.hash
        self._alarms_only = alarms_only
        self._readings = Settlement(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms)
        self._bins = {identity: plan.bins for identity, plan in self._readings.plans.items()}
        self._keys = Keys(catalogue)
        self._book = AlarmBook()
        self._rules: dict[str, DropRule] = {}
        for rule in catalogue.alarm:
            if rule.kind is RuleKind.DROP:
                self._rules[rule.name] = DropRule(rule, catalogue.named(rule.metric), pane_ms=pane_ms, book=self._book)

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
            Armed(name, key, shares, rule.w) for name, rule in self._rules.items() for key, shares in rule.armed.items()
        ]

    @property
    def unarmed(self) -> list[Unarmed]:
        """Return the keys that rules cannot watch, with reasons."""
        pane = self.pane or 0
        return [
            Unarmed(name, key, why) for name, rule in self._rules.items() for key, why in rule.unarmed(pane).items()
        ]

    @property
    def open_alarms(self) -> list[AlarmTransition]:
        """Return the last transition of every open alarm."""
        return self._book.open()

    @property
    def unknown_resolves(self) -> int:
        """Return how many resolve commands named no open alarm."""
        return self._book.unknown

    def advance(self, pane: int, cells: Cells) -> list[Output]:
        """Judge all panes up to `pane`, the last with `cells`, those between quiet; readings of a pane precede its alarms.

        Raises ContractError if `pane` was judged before or is no pane; the state is then as it was.
        """
        if pane % self._pane_ms or (self.pane is not None and pane <= self.pane):
            raise ContractError("bad_pane", f"pane {pane} after {self.pane}, panes are {self._pane_ms} ms")
        arrived = counted(cells, self._bins) if len(cells) else []
        self.pane = pane
        if not arrived:
            return [] if self._alarms_only else list(self._readings.settle(pane))
        keyed = [(one, self._keyed(one)) for one in arrived]
        out: list[Output] = []
        if not self._alarms_only:
            out += self._readings.settle(pane - self._pane_ms)
            for series, minutes in _summed(keyed).items():
                self._readings.add(series, minutes, pane)
            out += self._readings.settle(pane)
        for rule in self._rules.values():
            out += rule.judge(pane, self._heard(rule, keyed, pane))
        return out

    def _keyed(self, one: Counted) -> str:
        key = self._keys.admit(one.series)
        if key != one.series.key:
            self._keys.overflow += sum(one.bins.counts(sum(one.minutes.values())).values())
        return key

    def _heard(self, rule: DropRule, keyed: list[tuple[Counted, str]], pane: int) -> dict[str, Answers]:
        """Add what concerns a rule to its day cells and return its fresh answers by key."""
        watched, box = rule.watched, rule.metric.box
        heard: dict[str, Answers] = {}
        for one, key in keyed:
            if one.series[:2] != watched:
                continue
            stratum = one.series.stratum
            for minute, packed in one.minutes.items():
                n, bad = _judged(one, packed, box)
                rule.cells.add(key, stratum, minute // _DAY_MINUTES * DAY_MS, n, bad, pane)
            if not one.fresh:
                continue
            n, bad = _judged(one, sum(one.fresh.values()), box)
            first, last = min(one.fresh) * MINUTE_MS, max(one.fresh) * MINUTE_MS
            held = heard.get(key)
            if held is None:
                heard[key] = Answers({stratum: (n, bad)}, first, last)
            else:
                before = held.strata.get(stratum, (0, 0))
                held.strata[stratum] = (before[0] + n, before[1] + bad)
                heard[key] = Answers(held.strata, min(first, held.occurred_first), max(last, held.occurred_last))
        return heard

    def decide(self, decision: Decision, *, before: int | None = None) -> list[Output]:
        """Apply a renewal, resolution or adoption before the next pane is judged; return the transitions it causes.

        `before` names that pane where none was judged yet; else it follows from the last one.
        """
        pane = (before or decision.from_pane or 0) if self.pane is None else self.pane + self._pane_ms
        match decision.kind:
            case DecisionKind.RENEW:
                for rule in self._rules.values():
                    rule.renew(pane)
            case DecisionKind.ADOPT:
                self._book.adopt(decision.body)
            case DecisionKind.RESOLVE:
                return self._resolve(decision, pane)
            case DecisionKind.SOURCES:
                raise ContractError("not_for_the_engine", "a sources record concerns the judge alone")
        return []

    def _resolve(self, decision: Decision, pane: int) -> list[Output]:
        found = self._book.find(str(decision.body.get("alarm_id", "")))
        if found is None:
            return []
        rule = self._rules.get(found.rule)
        if rule is not None:
            return [rule.resolve(found.key, found.alarm_id, pane, decision.author, decision.note)]
        return [self._book.resolved(found.alarm_id, pane, actor=decision.author, note=decision.note)]

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
            "rules": {name: rule.freeze() for name, rule in self._rules.items()},
        }

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`. Raises ContractError for that of another format, catalogue or pane length."""
        ours = {"format": STATE_FORMAT, "catalogue": self._hash, "pane_ms": self._pane_ms}
        for name, value in ours.items():
            if state.get(name) != value:
                raise ContractError(
                    "foreign_state", f"state has {name} {state.get(name)}, this process {value}",
                    "run with the settings and catalogue that wrote it, or replay the log from its start",
                )  # fmt: skip
        self.pane = state["pane"]
        self._keys.thaw(state["keys"])
        self._readings.thaw(state["readings"])
        self._book.thaw(state["book"])
        for name, rule in self._rules.items():
            rule.thaw(state["rules"][name])

    def pack(self) -> bytes:
        """Return the whole state as bytes; equal states give equal bytes."""
        return msgspec.msgpack.encode(self.freeze())

    @classmethod
    def unpack(cls, packed: bytes, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int) -> Self:
        """Return the engine that `pack` wrote; it goes on as that one would have. Raises ContractError."""
        out = cls(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms)
        out.thaw(msgspec.msgpack.decode(packed, strict=False))
        return out


def _judged(one: Counted, packed: int, box: tuple[int, ...]) -> tuple[int, int]:
    """Return how many answers there are and how many lie outside the box."""
    counts = one.bins.counts(packed)
    n = sum(counts.values())
    return n, n - sum(counts.get(bin_, 0) for bin_ in box)


def _summed(keyed: list[tuple[Counted, str]]) -> dict[SeriesKey, dict[int, int]]:
    """Return the counts by series, summed over strata."""
    out: dict[SeriesKey, dict[int, int]] = {}
    for one, key in keyed:
        series = SeriesKey(one.series.metric, one.series.dimension, key)
        held = out.get(series)
        if held is None:
            out[series] = dict(one.minutes)
        else:
            for minute, packed in one.minutes.items():
                held[minute] = held.get(minute, 0) + packed
    return out
