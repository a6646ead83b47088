"""Import files into the history lane: every row becomes an event or a rejection, and a second import changes nothing.

The position in a file is written only after the broker has acknowledged all rows before it.
"""

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import structlog

from producers.capture import event_record
from producers.channels.table import TableMapping
from producers.flight import Flight
from producers.import_files import (
    Format,
    Reading,
    Row,
    files_of,
    fingerprint,
    format_of,
    rows_of,
)
from producers.pseudonyms import Pseudonyms
from producers.publisher import Publisher, Record
from producers.rejections import channel_in, rejected_record, rejection_id
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import InvalidEventError, UnavailableError
from schemas.event import FeedbackEvent
from schemas.telemetry import Telemetry

BATCH_ROWS = 500
FLIGHTS = 4
"""Batches on their way at once."""
PATIENCE_S = 30.0
ROUTE = "import"
log = structlog.get_logger("producers.importing")


@dataclass(slots=True, kw_only=True)
class ImportResult:
    """What became of a file's rows: rows = published + rejected + skipped (done by an earlier, broken-off import)."""

    rows: int = 0
    published: int = 0
    rejected: int = 0
    skipped: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    total_bytes: int = 0
    read_bytes: int = 0


Progress = Callable[[ImportResult], None]


@dataclass(slots=True)
class _Batch:
    """Rows of one flight, kept until they are durable."""

    records: list[Record] = field(default_factory=list)
    last_row: int = 0
    channels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


def import_file(
    path: Path,
    *,
    publisher: Publisher,
    pseudonyms: Pseudonyms,
    catalogue: Catalogue,
    clock: Clock,
    telemetry: Telemetry,
    positions: Path,
    kind: Format | None = None,
    mapping: TableMapping | None = None,
    source: str | None = None,
    max_event_bytes: int = 256_000,
    progress: Progress = lambda _: None,
) -> ImportResult:
    """Import one file, or a directory of .eml files, and return what became of its rows.

    An import that was broken off goes on where it stopped (`positions` is the folder that remembers); one that was finished
    begins again, harmlessly. `progress` is called after each acknowledged batch. Raises UsageError before anything is sent;
    UnavailableError when the broker stays away: import again to go on.
    """
    chosen = kind or format_of(path)
    mark = fingerprint(path)
    reading = Reading(
        fingerprint=mark, source=source, mapping=mapping, received_at=clock(), pseudonyms=pseudonyms, catalogue=catalogue,
        max_event_bytes=max_event_bytes,
    )  # fmt: skip
    position = _Position(positions / f"{mark}.json")
    done = position.read()
    result = ImportResult(total_bytes=sum(one.stat().st_size for one in files_of(path)))
    flying: deque[tuple[_Batch, Flight]] = deque()
    batch = _Batch()

    def land() -> None:
        landed, flight = flying.popleft()
        _durable(publisher, landed, flight)
        position.write(landed.last_row)
        rejected = landed.reasons.total()
        result.published += len(landed.records) - rejected
        result.rejected += rejected
        result.reasons.update(landed.reasons)
        for channel, count in landed.channels.items():
            telemetry.count("captured_total", count, channel=channel, route=ROUTE)
        for reason, count in landed.reasons.items():
            telemetry.count("rejected_total", count, stage=ROUTE, reason=reason)
        progress(result)

    for row in rows_of(path, chosen, reading):
        result.rows += 1
        result.read_bytes += len(row.raw)
        if row.number <= done:
            result.skipped += 1
            continue
        _add(batch, row, reading)
        if len(batch.records) >= BATCH_ROWS:
            if len(flying) == FLIGHTS:
                land()
            flying.append((batch, _sent(publisher, batch)))
            batch = _Batch()
    if batch.records:
        flying.append((batch, _sent(publisher, batch)))
    while flying:
        land()
    position.forget()
    log.info("imported", rows=result.rows, published=result.published, rejected=result.rejected, skipped=result.skipped)
    return result


def _add(batch: _Batch, row: Row, reading: Reading) -> None:
    batch.last_row = row.number
    try:
        event = _backfilled(row.parse())
    except InvalidEventError as error:
        source = reading.source or ROUTE
        batch.reasons[error.reason] += 1
        rejected = rejected_record(
            error, row.raw, rejected_id=rejection_id(source, f"{reading.fingerprint}:{row.number}", row.raw), stage=ROUTE,
            source=source, received_at=reading.received_at, channel=row.channel or channel_in(row.raw),
        )  # fmt: skip
        batch.records.append(rejected)
    else:
        batch.channels[event.channel] += 1
        batch.records.append(event_record(event))


def _backfilled(event: FeedbackEvent) -> FeedbackEvent:
    return msgspec.structs.replace(event, traits=msgspec.structs.replace(event.traits, backfill=True))


def _sent(publisher: Publisher, batch: _Batch) -> Flight:
    try:
        return publisher.submit(batch.records)
    except UnavailableError:
        publisher.wait_ready(PATIENCE_S)
        return publisher.submit(batch.records)


def _durable(publisher: Publisher, batch: _Batch, flight: Flight) -> None:
    """Wait for a flight; send it once more if its end is unknown: the ids make a second copy harmless."""
    try:
        publisher.wait(flight)
    except UnavailableError as error:
        log.warning("sending a batch again", reason=error.reason, rows=len(batch.records))
        publisher.wait_ready(PATIENCE_S)
        publisher.publish_blocking(batch.records)


class _Position:
    """The last row of a file that is durable, in a file of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """Return the number of the last durable row, 0 if none."""
        try:
            return int(json.loads(self._path.read_text())["row"])
        except FileNotFoundError:
            return 0

    def write(self, row: int) -> None:
        """Remember a row; a crash leaves the old position or the new one, never half of one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps({"row": row}))
        fresh.replace(self._path)

    def forget(self) -> None:
        """Remove the position of a finished import."""
        self._path.unlink(missing_ok=True)
