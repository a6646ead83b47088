"""What people decide in the course of a backtest: a file of commands, and the order in which they apply."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec

from deploy.native_lines import epoch_ms
from schemas.errors import UsageError
from schemas.outputs import Decision, DecisionKind, digest
from streams.core.grid import up
from streams.renewals import renewal

EXAMPLE = '{"command": "renew", "from_pane": "2026-01-22T00:00:00Z"}'
FIELDS: dict[DecisionKind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    DecisionKind.RENEW: ((), ()),
    DecisionKind.ACK: (("alarm_id",), ()),
    DecisionKind.NOTE: (("alarm_id", "note"), ()),
    DecisionKind.RESOLVE: (("alarm_id",), ()),
    DecisionKind.SILENCE: (("rule", "until"), ("key",)),
    DecisionKind.ARM: (("rule",), ("definition_hash",)),
    DecisionKind.DISARM: (("rule",), ()),
    DecisionKind.REBASE: (("rule", "key", "note"), ()),
}
"""Command -> the fields that it wants and those that it may have, beside from_pane, author and note."""


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a commands file; times in ms or RFC 3339."""

    command: DecisionKind
    from_pane: datetime | int | None = None
    alarm_id: str | None = None
    rule: str | None = None
    key: str | None = None
    until: datetime | int | None = None
    definition_hash: str | None = None
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
            raise UsageError("bad_command", f"line {number}: {error}", f"write lines such as {EXAMPLE}") from error
    return out


def _record(plain: dict[str, Any]) -> Decision:
    body = plain.get("body", {})
    return msgspec.convert({**plain, "body": msgspec.json.decode(body) if isinstance(body, str) else body}, Decision)


def _command(plain: object, number: int) -> Decision:
    command = msgspec.convert(plain, Command)
    kind = command.command
    if kind not in FIELDS:
        raise msgspec.ValidationError(f"{kind} is no command")
    wanted, allowed = FIELDS[kind]
    for name in ("alarm_id", "rule", "key", "until", "definition_hash", "note"):
        given = getattr(command, name)
        if name in wanted and not given:
            raise msgspec.ValidationError(f"{kind} wants `{name}`")
        if given is not None and name not in (*wanted, *allowed, "note"):
            raise msgspec.ValidationError(f"{kind} has no `{name}`")
    body: dict[str, Any] = {
        name: given
        for name in ("alarm_id", "rule", "key", "definition_hash")
        if (given := getattr(command, name)) is not None
    }
    if kind is DecisionKind.SILENCE:
        assert command.until is not None
        body = {"key": "", **body, "until": epoch_ms(command.until)}
    if kind is DecisionKind.ARM:
        body = {"definition_hash": "", "backtest": {}, **body}
    from_pane = None if command.from_pane is None else epoch_ms(command.from_pane)
    return Decision(
        decision_id=digest("backtest", number, command), kind=kind, from_pane=from_pane, author=command.author,
        note=command.note, made_at=from_pane or 0, body=body,
    )  # fmt: skip


class Queue:
    """Decisions in the order in which they apply: by pane, then as given; with `renew_every_ms` renewals between them."""

    def __init__(self, decisions: Sequence[Decision], first: int, *, pane_ms: int, renew_every_ms: int | None) -> None:
        """`first`: the first pane that is judged; what is due earlier applies before it."""
        self._every = renew_every_ms
        self._waiting = [
            (max(first, up(one.from_pane or 0, pane_ms)), number, one) for number, one in enumerate(decisions)
        ]
        if renew_every_ms is not None:
            self._waiting.append((up(first, renew_every_ms), -1, _renewal(up(first, renew_every_ms))))
        heapify(self._waiting)

    def due(self, pane: int) -> Iterator[tuple[int, Decision]]:
        """Yield and forget (the pane before which it applies, decision) for all that are due up to `pane`."""
        while self._waiting and self._waiting[0][0] <= pane:
            before, number, decision = heappop(self._waiting)
            if number < 0 and self._every is not None:
                heappush(self._waiting, (before + self._every, -1, _renewal(before + self._every)))
            yield before, decision


def _renewal(pane: int) -> Decision:
    return renewal(pane, author="backtest", made_at=pane)
