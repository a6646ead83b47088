"""One backtest from end to end: events from a file or from ClickHouse, rules armed, a report of what they would have done."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from deploy.backtest import Backtest
from deploy.backtest_report import RuleReport, reports
from deploy.findable import findable
from deploy.incidents import Incident
from deploy.native_lines import Arrival, BadLine, epoch_ms
from deploy.stored_events import as_if_live, stored_arrivals
from schemas.catalogue import Catalogue
from schemas.errors import UsageError
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output
from schemas.settings import Settings
from schemas.windows import WEEK_MS
from sinks.clickhouse import connect


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the events come from: `file`, else ClickHouse from `since` to `until` (ms of arrival).

    `as_live`: imported events count as if they had come live when they occurred.
    """

    file: Path | None = None
    since: int = 0
    until: int | None = None
    as_live: bool = False


class Run:
    """A backtest and what became of it; read the outputs to their end, then ask for the reports."""

    def __init__(
        self,
        source: Source,
        catalogue: Catalogue,
        settings: Settings,
        *,
        commands: Sequence[Decision],
        alarms_only: bool,
        renewals: bool,
        pane_ms: int | None = None,
        tell_bad: Callable[[BadLine], None] = lambda _: None,
    ) -> None:
        """With `renewals` baselines are renewed as the settings say, as the judge does, unless the commands renew or arm."""
        own = any(one.kind in {DecisionKind.RENEW, DecisionKind.ARM} for one in commands)
        self.test = Backtest(
            catalogue,
            pane_ms=pane_ms or settings.pane_ms,
            provisional_step_ms=settings.provisional_step_ms,
            alarms_only=alarms_only,
            country=settings.default_country,
            renew_every_ms=settings.renew_every_s * 1000 or None if renewals and not own else None,
        )
        self._source, self._catalogue, self._settings = source, catalogue, settings
        self._commands, self._tell_bad = commands, tell_bad
        self._transitions: list[AlarmTransition] = []
        self._first: int | None = None
        self._last: int | None = None

    def outputs(self) -> Iterator[Output]:
        """Yield everything that the engine says. Raises UsageError for a file that cannot be read, UnavailableError."""
        for output in self.test.run_arrivals(self._timed(), self._commands, until=self._source.until):
            if isinstance(output, AlarmTransition):
                self._transitions.append(output)
            yield output

    def finish(self) -> None:
        """Run without looking at the outputs."""
        for _ in self.outputs():
            pass

    def reports(self, incidents: Sequence[Incident], *, rules: Sequence[str] = ()) -> list[RuleReport]:
        """Return what each rule (of `rules`, where given) would have done."""
        span_ms = 0 if self._first is None or self._last is None else self._last - self._first
        chosen = msgspec.structs.replace(
            self._catalogue, alarm=[one for one in self._catalogue.alarm if not rules or one.name in rules]
        )
        return reports(
            chosen, self.test.engine, self.test.watched, self._transitions, incidents,
            span_weeks=span_ms / WEEK_MS, found_within=findable(chosen, self.test, span_ms=span_ms),
        )  # fmt: skip

    def _timed(self) -> Iterator[Arrival]:
        for one in self._arrivals():
            self._first = one.arrived_at if self._first is None else self._first
            self._last = one.arrived_at
            yield one

    def _arrivals(self) -> Iterator[Arrival]:
        source = self._source
        if source.file is None:
            yield from stored_arrivals(
                connect(self._settings), since_ms=source.since, until_ms=source.until or 1 << 60, as_live=source.as_live
            )
            return
        read = self.test.arrivals(lines_of(source.file), self._tell_bad)
        arrivals = (as_if_live(one) for one in read) if source.as_live else read
        yield from self.test.in_order(arrivals, self._tell_bad)


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of a file. Raises UsageError."""
    try:
        return path.read_bytes().split(b"\n")
    except OSError as error:
        raise UsageError("no_file", f"{path}: {error.strerror}", "name a readable file") from error


def time_of(given: str | None, option: str = "--until") -> int | None:
    """Return a time of the command line in ms. Raises UsageError."""
    if given is None:
        return None
    try:
        return int(given) if given.lstrip("-").isdigit() else epoch_ms(msgspec.convert(given, datetime))
    except (msgspec.ValidationError, TypeError) as error:
        raise UsageError(
            "bad_time", f"{option} {given}: {error}", "write RFC 3339 with an offset, or epoch ms"
        ) from error
