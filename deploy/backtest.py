"""`barometer backtest`: the pure engine over a file of native events, without a broker.

What stage 1 and the gate do to the topics is done to the file: events in order of arrival, repeats dropped by the id
rule, panes of arrived time. So final readings and transitions are those that the live way gives for the same arrivals.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec
import numpy as np

from deploy.native_lines import Arrival, BadLine, NativeLines, epoch_ms
from schemas.arrival import pane_of
from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue, RuleKind
from schemas.errors import UsageError
from schemas.event import Lane
from schemas.event import to_record as event_record
from schemas.outputs import (
    AlarmTransition,
    Decision,
    DecisionKind,
    Output,
    Reading,
    digest,
)
from schemas.settings import Settings
from schemas.topics import LIVE
from streams.core.counting import count_panes, frame_of
from streams.core.disputes import adoption, dispute_rule, opened
from streams.core.engine import Engine
from streams.core.grid import up
from streams.core.merging import merged
from streams.core.tally import DISPUTE, Dispute

Line = str | bytes | Mapping[str, Any]
Report = Callable[[BadLine], None]

_TABLE: Mapping[type, str] = {Reading: "reading", AlarmTransition: "alarm"}


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a commands file: `command` renew or resolve, `from_pane` in ms or RFC 3339."""

    command: DecisionKind
    from_pane: datetime | int | None = None
    alarm_id: str | None = None
    author: str = "backtest"
    note: str = ""


def commands_of(lines: Iterable[str | bytes]) -> list[Decision]:
    """Return the decisions of a commands file, or of decision records as `alarms` writes them. Raises UsageError."""
    out = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            plain = msgspec.json.decode(line)
            out.append(_record(plain) if isinstance(plain, dict) and "kind" in plain else _command(plain, number))
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            remedy = '{"command": "renew", "from_pane": "2026-01-22T00:00:00Z"}'
            raise UsageError("bad_command", f"line {number}: {error}", f"write lines such as {remedy}") from error
    return out


def _record(plain: dict[str, Any]) -> Decision:
    body = plain.get("body", {})
    return msgspec.convert({**plain, "body": msgspec.json.decode(body) if isinstance(body, str) else body}, Decision)


def _command(plain: object, number: int) -> Decision:
    command = msgspec.convert(plain, Command)
    if command.command not in {DecisionKind.RENEW, DecisionKind.RESOLVE}:
        raise msgspec.ValidationError(f"{command.command} is no command")
    from_pane = None if command.from_pane is None else epoch_ms(command.from_pane)
    return Decision(
        decision_id=digest("backtest", number, command), kind=command.command, from_pane=from_pane, author=command.author,
        note=command.note, made_at=from_pane or 0, body={} if command.alarm_id is None else {"alarm_id": command.alarm_id},
    )  # fmt: skip


class Backtest:
    """One run; `read` and `engine` tell afterwards what was taken and what is armed."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        pane_ms: int,
        provisional_step_ms: int,
        alarms_only: bool = False,
        country: str = "FR",
    ) -> None:
        self.engine = Engine(
            catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, alarms_only=alarms_only
        )
        self.read: Counter[str] = Counter()
        """Lines by what became of them: counted, repeats, bad."""
        self._catalogue, self._pane_ms, self._alarms_only = catalogue, pane_ms, alarms_only
        self._lines = NativeLines(catalogue.scales(), country)

    def run(
        self, lines: Iterable[Line], decisions: Sequence[Decision], *, until: int | None, report: Report | None = None
    ) -> Iterator[Output]:
        """Yield the outputs of all panes up to `until` (ms; default: that of the last event), numbered from 1."""
        arrivals = self._arrivals(lines, report)
        last = max((one.arrived_at for one in arrivals), default=None) if until is None else until
        if last is None:
            return
        end = pane_of(last, self._pane_ms) if until is None else last // self._pane_ms * self._pane_ms
        kept = self._without_repeats(arrivals)
        cells = self._cells([one for one in kept if pane_of(one.arrived_at, self._pane_ms) <= end])
        told = self._disputes(kept, end)
        for seq, output in enumerate(self._judged(cells, told, decisions, end), 1):
            msgspec.structs.force_setattr(output, "seq", seq)
            yield output

    def _arrivals(self, lines: Iterable[Line], report: Report | None) -> list[Arrival]:
        out: list[Arrival] = []
        for one in self._lines.read(lines):
            if isinstance(one, Arrival):
                out.append(one)
            else:
                self.read["bad"] += 1
                if report is not None:
                    report(one)
        out.sort(key=lambda one: one.arrived_at)
        return out

    def _without_repeats(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Leave out what stage 1 (live: an id the topic had within its window) and the gate (any known id) leave out."""
        window = {channel: topic.repeat_window_ms or 0 for channel, topic in LIVE.items()}
        seen: dict[tuple[str, str], int] = {}
        known: set[str] = set()
        out = []
        for one in arrivals:
            event, at = one.event, one.arrived_at
            if one.lane is Lane.LIVE:
                before = seen.get((event.channel, event.event_id))
                seen[event.channel, event.event_id] = at
                repeat = before is not None and at - before <= window[event.channel]
            else:
                repeat = event.event_id in known
            known.add(event.event_id)
            if not repeat:
                out.append(one)
        self.read["repeats"] += len(arrivals) - len(out)
        self.read["counted"] += len(out)
        return out

    def _cells(self, arrivals: list[Arrival]) -> dict[int, Cells]:
        """Return pane -> cells of both lanes."""
        rules = [rule for rule in self._catalogue.alarm if rule.kind is RuleKind.DROP]
        metrics = {rule.metric for rule in rules} if self._alarms_only else None
        dimensions = {rule.dimension for rule in rules} if self._alarms_only else None
        out: dict[int, Cells] = {}
        for lane in Lane:
            chosen = [one for one in arrivals if one.lane is lane]
            panes = np.array([pane_of(one.arrived_at, self._pane_ms) for one in chosen], dtype=np.int64)
            counted = count_panes(
                frame_of([event_record(one.event) for one in chosen]), panes, self._catalogue, live=lane is Lane.LIVE,
                metrics=metrics, dimensions=dimensions,
            )  # fmt: skip
            for pane, cells in counted.items():
                out[pane] = merged([out[pane], cells]) if pane in out else cells
        return out

    def _disputes(self, arrivals: list[Arrival], end: int) -> dict[int, list[AlarmTransition]]:
        """Return pane -> the alarms that disputes raise at once; the live lane only."""
        rule = dispute_rule(self._catalogue)
        out: dict[int, list[AlarmTransition]] = {}
        for one in arrivals:
            event, pane = one.event, pane_of(one.arrived_at, self._pane_ms)
            wanted = event.kind == DISPUTE and one.lane is Lane.LIVE and not event.traits.probe
            if rule is not None and wanted and pane <= end:
                dispute = Dispute(event.event_id, event.touchpoint, event.occurred_at, pane)
                out.setdefault(pane, []).append(opened(dispute, rule))
        return out

    def _judged(
        self,
        cells: Mapping[int, Cells],
        told: Mapping[int, list[AlarmTransition]],
        decisions: Sequence[Decision],
        end: int,
    ) -> Iterator[Output]:
        """Judge every pane in order: its decisions, then its cells; a dispute is told in the pane in which it came."""
        engine, pane_ms = self.engine, self._pane_ms
        waiting: dict[int, list[Decision]] = {}
        first = min((*cells, *told), default=end)
        for decision in decisions:
            before = max(first, up(decision.from_pane or 0, pane_ms))
            waiting.setdefault(before, []).append(decision)
        for pane in sorted({*cells, *told, *waiting}):
            if pane > end:
                break
            if pane in waiting and engine.pane is not None and engine.pane < pane - pane_ms:
                yield from engine.advance(pane - pane_ms, EMPTY)
            for decision in waiting.get(pane, ()):
                yield from engine.decide(decision, before=pane)
            yield from engine.advance(pane, cells.get(pane, EMPTY))
            for alarm in told.get(pane, ()):
                yield alarm
                engine.decide(adoption(alarm))
        if engine.pane is None or engine.pane < end:
            yield from engine.advance(end, EMPTY)


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
    """Yield what the engine says about a file: rows named as in `readings` and `alarm_transitions`, and `type`."""
    test = Backtest(catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, alarms_only=alarms_only)
    for output in test.run(lines, commands, until=until):
        yield {"type": _TABLE[type(output)], **msgspec.to_builtins(output)}


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


def run(
    file: Path,
    *,
    catalogue: Catalogue,
    commands: Path | None,
    until: str | None,
    alarms_only: bool,
    pane_ms: int,
    provisional_step_ms: int,
    settings: Settings,
    out: TextIO,
    tell: TextIO = sys.stderr,
) -> int:
    """Run the engine over a file, write JSON lines to `out` and remarks to `tell`; 1 only if no line was an event.

    Raises UsageError for files that cannot be read and times that are none.
    """
    decisions = commands_of(_lines(commands)) if commands is not None else []
    test = Backtest(
        catalogue, pane_ms=pane_ms, provisional_step_ms=provisional_step_ms, alarms_only=alarms_only,
        country=settings.default_country,
    )  # fmt: skip
    encoder = msgspec.json.Encoder()

    def report(bad: BadLine) -> None:
        print(f"{file}:{bad.number}: {bad.error}", file=tell)

    out.writelines(
        encoder.encode({"type": _TABLE[type(output)], **msgspec.to_builtins(output)}).decode() + "\n"
        for output in test.run(_lines(file), decisions, until=_until(until), report=report)
    )
    if not test.engine.armed:
        tell.write("no key is armed: the drop alarms watch nothing; a renewal arms them, see --commands\n")
        tell.writelines(f"  {one.rule} {one.key}: {one.reason}\n" for one in test.engine.unarmed)
    tell.write(f"{test.read['counted']} events, {test.read['repeats']} repeats, {test.read['bad']} bad lines\n")
    return 1 if test.read["bad"] and not test.read["counted"] else 0


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError("no_file", f"{path}: {error.strerror}", "name a readable file") from error


def _until(given: str | None) -> int | None:
    if given is None:
        return None
    try:
        return int(given) if given.lstrip("-").isdigit() else epoch_ms(msgspec.convert(given, datetime))
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(
            "bad_time", f"--until {given}: {error}", "write RFC 3339 with an offset, or epoch ms"
        ) from error
