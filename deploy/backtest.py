"""`barometer backtest`: the pure engine over native events of a file, or over what ClickHouse holds, without a broker.

What stage 1 and the gate do to the topics is done to the events: in order of arrival, repeats dropped by the id rule, panes of
arrived time. So final readings and transitions are those that the live way gives for the same arrivals, with every rule armed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from deploy.backtest_commands import Queue
from deploy.backtest_counting import Counting
from deploy.file_corrections import corrected
from deploy.native_lines import Arrival, BadLine, NativeLines
from schemas.arrival import pane_of
from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue
from schemas.event import Lane
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output, Reading
from schemas.topics import LIVE
from schemas.windows import WEEK_MS
from streams.core.disputes import adoption, found_in, immediate_rules, raised_by
from streams.core.engine import Engine

Line = str | bytes | Mapping[str, Any]
Report = Callable[[BadLine], None]

CHUNK = 20_000
"""Events that are counted at once; no pane is cut."""
_TABLE: Mapping[type, str] = {Reading: "reading", AlarmTransition: "alarm"}
_ARMING = frozenset({DecisionKind.RENEW, DecisionKind.ARM, DecisionKind.DISARM, DecisionKind.REBASE})


class Watched:
    """How long each rule watched how many keys."""

    def __init__(self) -> None:
        self._since: int | None = None
        self._keys: dict[str, frozenset[str]] = {}
        self.weeks: Counter[str] = Counter()
        """Rule -> weeks in which it watched at least one key."""
        self.keys: dict[str, set[str]] = {}
        """Rule -> all keys that it ever watched."""

    def changed(self, engine: Engine, pane: int) -> None:
        """Take note of what is watched from `pane` on."""
        self.until(pane)
        keys: dict[str, set[str]] = {}
        for one in engine.armed:
            keys.setdefault(one.rule, set()).add(one.key)
        for rule, found in keys.items():
            self.keys.setdefault(rule, set()).update(found)
        self._since, self._keys = pane, {rule: frozenset(found) for rule, found in keys.items()}

    def until(self, pane: int) -> None:
        """Count the time up to `pane`."""
        if self._since is not None and pane > self._since:
            for rule in self._keys:
                self.weeks[rule] += (pane - self._since) / WEEK_MS  # type: ignore[assignment]  # weeks are no whole numbers
            self._since = pane


class Backtest:
    """One run; `read`, `watched` and `engine` tell afterwards what was taken and what is armed."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        pane_ms: int,
        provisional_step_ms: int,
        alarms_only: bool = False,
        country: str = "FR",
        renew_every_ms: int | None = None,
    ) -> None:
        """With `renew_every_ms` baselines are renewed at its multiples, as an operator or a timer would."""
        self.engine = Engine(
            catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, alarms_only=alarms_only, armed=True
        )
        self.read: Counter[str] = Counter()
        """Lines by what became of them: counted, repeats, bad."""
        self.watched = Watched()
        self.fresh: Counter[tuple[str, str, str]] = Counter()
        """(metric identity, dimension, key) -> counts that detectors may read."""
        self._catalogue, self.pane_ms, self._alarms_only = catalogue, pane_ms, alarms_only
        self._renew_every_ms = renew_every_ms
        self._counting = Counting(catalogue, pane_ms=pane_ms, alarms_only=alarms_only)
        self._rules = immediate_rules(catalogue)
        self._lines = NativeLines(catalogue.scales(), country)
        self._last: int | None = None

    def run(
        self, lines: Iterable[Line], decisions: Sequence[Decision], *, until: int | None, report: Report | None = None
    ) -> Iterator[Output]:
        """Yield the outputs of all panes up to `until` (ms; default: that of the last event), numbered from 1."""
        return self.run_arrivals(self.in_order(self.arrivals(lines, report), report), decisions, until=until)

    def run_arrivals(
        self, arrivals: Iterable[Arrival], decisions: Sequence[Decision], *, until: int | None
    ) -> Iterator[Output]:
        """Do as `run` with events in order of arrival; only a chunk of them is held at a time."""
        for seq, output in enumerate(self._judged(arrivals, decisions, until), 1):
            msgspec.structs.force_setattr(output, "seq", seq)
            yield output

    def arrivals(self, lines: Iterable[Line], report: Report | None = None) -> Iterator[Arrival]:
        """Yield the events of a file in its order; `report` hears of lines that are none."""
        for one in self._lines.read(lines):
            if isinstance(one, Arrival):
                yield one
            else:
                self.read["bad"] += 1
                if report is not None:
                    report(one)

    def in_order(self, arrivals: Iterable[Arrival], report: Report | None = None) -> Iterator[Arrival]:
        """Yield the events of a file in order of arrival, corrections applied; `report` hears of those that correct nothing."""

        def refuse(one: BadLine) -> None:
            self.read["bad"] += 1
            if report is not None:
                report(one)

        return corrected(sorted(arrivals, key=lambda one: one.arrived_at), refuse)

    def _without_repeats(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        """Leave out what stage 1 (live: an id the topic had within its window) and the gate (any known id) leave out."""
        window = {channel: topic.repeat_window_ms or 0 for channel, topic in LIVE.items()}
        seen: dict[tuple[str, str], int] = {}
        known: set[str] = set()
        for one in arrivals:
            event, at = one.event, one.arrived_at
            self._last = at
            if one.lane is Lane.LIVE:
                before = seen.get((event.channel, event.event_id))
                seen[event.channel, event.event_id] = at
                repeat = before is not None and at - before <= window[event.channel]
            else:
                repeat = event.event_id in known
            known.add(event.event_id)
            self.read["repeats"] += repeat
            self.read["counted"] += not repeat
            if not repeat:
                yield one

    def _chunks(self, arrivals: Iterable[Arrival]) -> Iterator[list[Arrival]]:
        held: list[Arrival] = []
        for one in arrivals:
            if len(held) >= CHUNK and self._pane(one) > self._pane(held[-1]):
                yield held
                held = []
            held.append(one)
        if held:
            yield held

    def _pane(self, one: Arrival) -> int:
        return pane_of(one.arrived_at, self.pane_ms)

    def _count_fresh(self, cells: Cells) -> None:
        fresh = np.bincount(cells.series_ix, weights=cells.count * cells.fresh, minlength=len(cells.series))
        for one, count in zip(cells.series, fresh.tolist(), strict=True):
            self.fresh[one.metric, one.dimension, one.key] += int(count)

    def _immediate(self, arrivals: list[Arrival]) -> dict[int, list[AlarmTransition]]:
        """Return pane -> the alarms that disputes and legal threats raise at once; the live lane only."""
        out: dict[int, list[AlarmTransition]] = {}
        for one in arrivals:
            if one.lane is Lane.LIVE and (found := found_in(one.event, self._pane(one))):
                out.setdefault(self._pane(one), []).extend(raised_by(found, self._rules))
        return out

    def _judged(
        self, arrivals: Iterable[Arrival], decisions: Sequence[Decision], until: int | None
    ) -> Iterator[Output]:
        """Judge every pane in order: its decisions, then its cells; a dispute is told in the pane in which it came."""
        pane_ms = self.pane_ms
        end = None if until is None else until // pane_ms * pane_ms
        queue: Queue | None = None
        for chunk in self._chunks(self._without_repeats(arrivals)):
            kept = [one for one in chunk if end is None or self._pane(one) <= end]
            if not kept:
                continue
            if queue is None:
                queue = Queue(decisions, self._pane(kept[0]), pane_ms=pane_ms, renew_every_ms=self._renew_every_ms)
            cells, told = self._counting.count(kept), self._immediate(kept)
            yield from self._panes(queue, cells, told)
        if end is None and self._last is not None:
            end = pane_of(self._last, pane_ms)
        if end is not None and queue is not None:
            yield from self._panes(queue, self._counting.rest(end), {})
        if end is not None:
            yield from self._decided(queue or Queue(decisions, end, pane_ms=pane_ms, renew_every_ms=None), end)
            if self.engine.pane is None or self.engine.pane < end:
                yield from self.engine.advance(end, EMPTY)
            self.watched.until(end)

    def _panes(
        self, queue: Queue, cells: Mapping[int, Cells], told: Mapping[int, list[AlarmTransition]]
    ) -> Iterator[Output]:
        for pane in sorted({*cells, *told}):
            self._count_fresh(cells.get(pane, EMPTY))
            yield from self._decided(queue, pane)
            yield from self.engine.advance(pane, cells.get(pane, EMPTY))
            for alarm in told.get(pane, ()):
                yield alarm
                self.engine.decide(adoption(alarm))

    def _decided(self, queue: Queue, pane: int) -> Iterator[Output]:
        """Apply the decisions that are due before `pane` is judged, each before its own pane."""
        engine = self.engine
        for before, given in queue.due(pane):
            decision = self._complete(given)
            if engine.pane is not None and engine.pane < before - self.pane_ms:
                yield from engine.advance(before - self.pane_ms, EMPTY)
            yield from engine.decide(decision, before=before)
            if decision.kind in _ARMING:
                self.watched.changed(engine, before)

    def _complete(self, decision: Decision) -> Decision:
        """Return a decision to arm with the rule's present definition, where it names none."""
        if decision.kind is not DecisionKind.ARM or decision.body.get("definition_hash"):
            return decision
        hashes = {rule.name: rule.definition_hash for rule in self._catalogue.alarm}
        body = decision.body | {"definition_hash": hashes.get(str(decision.body.get("rule")), "")}
        return msgspec.structs.replace(decision, body=body)


def row_of(output: Output) -> dict[str, Any]:
    """Return an output as a row: columns as in `readings` and `alarm_transitions`, and `type`."""
    return {"type": _TABLE[type(output)], **msgspec.to_builtins(output)}


def backtest(
    lines: Iterable[Line],
    catalogue: Catalogue,
    *,
    pane_ms: int,
    provisional_step_ms: int,
    until: int | None = None,
    alarms_only: bool = False,
    commands: Sequence[Decision] = (),
) -> Iterator[dict[str, Any]]:
    """Yield what the engine says about a file, as rows."""
    test = Backtest(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, alarms_only=alarms_only)
    for output in test.run(lines, commands, until=until):
        yield row_of(output)


def alarms_of(
    events: Iterable[Line],
    catalogue: Catalogue,
    *,
    decisions: Sequence[Decision] = (),
    pane_ms: int,
    until: int | None = None,
) -> list[AlarmTransition]:
    """Return the alarm transitions alone; far faster than with readings."""
    test = Backtest(catalogue, pane_ms=pane_ms, provisional_step_ms=pane_ms, alarms_only=True)
    return [one for one in test.run(events, decisions, until=until) if isinstance(one, AlarmTransition)]
