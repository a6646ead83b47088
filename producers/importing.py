"""Import files into the history lane: every row becomes an event or a rejection, and a second import changes nothing.

The position in a file is written only after the broker has acknowledged all rows before it.
"""

import time
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
    appearance,
    files_of,
    fingerprint,
    format_of,
    rows_of,
)
from producers.import_positions import ImportPosition
from producers.pseudonyms import Pseudonyms
from producers.publisher import Publisher, Record
from producers.rejections import channel_in, rejected_record, rejection_id
from producers.sealer import Sealer
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import InvalidEventError, UnavailableError, UsageError
from schemas.event import FeedbackEvent
from schemas.telemetry import Telemetry

BATCH_ROWS = 500
FLIGHTS = 4
"""Batches on their way at once."""
SAY_AGAIN_S = 30.0
"""Between two words about a broker that is away."""
PAUSE_S = 0.5
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
Tell = Callable[[str], None]


@dataclass(slots=True)
class _Batch:
    """Rows of one flight, kept until they are durable."""

    records: list[Record] = field(default_factory=list)
    events: list[FeedbackEvent] = field(default_factory=list)
    last_row: int = 0
    channels: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


def import_file(
    path: Path,
    *,
    publisher: Publisher,
    pseudonyms: Pseudonyms,
    catalogue: Catalogue,
    sealer: Sealer,
    clock: Clock,
    telemetry: Telemetry,
    positions: Path,
    kind: Format | None = None,
    mapping: TableMapping | None = None,
    source: str | None = None,
    max_event_bytes: int = 256_000,
    progress: Progress = lambda _: None,
    tell: Tell = log.warning,
) -> ImportResult:
    """Import one file, or a directory of .eml files, and return what became of its rows.

    An import that was broken off goes on where it stopped (`positions` is the folder that remembers); one that was finished
    begins again, harmlessly. `progress` is called after each acknowledged batch. While the broker is away it waits, and `tell`
    says so. Raises UsageError before anything is sent, and at the end if the file was changed meanwhile.
    """
    chosen = kind or format_of(path)
    before = appearance(path)
    mark = fingerprint(path)
    reading = Reading(
        fingerprint=mark, source=source, mapping=mapping, received_at=clock(), pseudonyms=pseudonyms, catalogue=catalogue,
        max_event_bytes=max_event_bytes,
    )  # fmt: skip
    position = ImportPosition(positions, path, mark, f"{chosen} {source} {mapping}")
    position.check_unchanged()
    done = position.read()
    result = ImportResult(total_bytes=sum(one.stat().st_size for one in files_of(path)))
    flying: deque[tuple[_Batch, Flight]] = deque()
    batch = _Batch()

    def land() -> None:
        landed, flight = flying.popleft()
        _durable(publisher, landed, flight, tell)
        position.write(landed.last_row, reading.unnamed.total())
        rejected = landed.reasons.total()
        result.published += len(landed.records) - rejected
        result.rejected += rejected
        result.reasons.update(landed.reasons)
        for channel, count in landed.channels.items():
            telemetry.count("captured_total", count, channel=channel, route=ROUTE)
        for reason, count in landed.reasons.items():
            telemetry.count("rejected_total", count, stage=ROUTE, reason=reason)
        progress(result)

    def send() -> None:
        while True:
            try:
                flying.append((batch, _sent(publisher, batch, sealer)))
                return
            except UnavailableError as error:
                if flying:
                    land()  # what is on its way may be what leaves no room
                else:
                    _wait(publisher, error, tell)

    for row in rows_of(path, chosen, reading):
        result.rows += 1
        result.read_bytes += len(row.raw)
        if row.number <= done:
            result.skipped += 1
            continue
        _add(batch, row, reading, sealer)
        if len(batch.records) + len(batch.events) >= BATCH_ROWS:
            if len(flying) == FLIGHTS:
                land()
            send()
            batch = _Batch()
    if batch.records or batch.events:
        send()
    while flying:
        land()
    if appearance(path) != before:
        raise UsageError(
            "file_changed", f"{path} was changed while it was imported: {result.published} events are in, more may be missing",
            "import it again when it stands still",
        )  # fmt: skip
    position.forget()
    log.info("imported", rows=result.rows, published=result.published, rejected=result.rejected, skipped=result.skipped)
    return result


def _add(batch: _Batch, row: Row, reading: Reading, sealer: Sealer) -> None:
    batch.last_row = row.number
    try:
        event = _backfilled(row.parse())
    except InvalidEventError as error:
        source = reading.source or ROUTE
        batch.reasons[error.reason] += 1
        rejected = rejected_record(
            error, row.raw, sealer=sealer, rejected_id=rejection_id(source, f"{reading.fingerprint}:{row.number}", row.raw), stage=ROUTE,
            source=source, received_at=reading.received_at, channel=row.channel or channel_in(row.raw),
        )  # fmt: skip
        batch.records.append(rejected)
    else:
        batch.channels[event.channel] += 1
        batch.events.append(event)


def _backfilled(event: FeedbackEvent) -> FeedbackEvent:
    return msgspec.structs.replace(event, traits=msgspec.structs.replace(event.traits, backfill=True))


def _sent(publisher: Publisher, batch: _Batch, sealer: Sealer) -> Flight:
    # all at once: the new keys of a batch are one write to the disk
    batch.records += [event_record(event) for event in sealer.events(batch.events)]
    batch.events.clear()
    return publisher.submit(batch.records)


def _durable(publisher: Publisher, batch: _Batch, flight: Flight, tell: Tell) -> None:
    """Wait for a flight; send it again as long as its end is unknown: the ids make a second copy harmless."""
    try:
        publisher.wait(flight)
        return
    except UnavailableError as error:
        unanswered = error
    while True:
        _wait(publisher, unanswered, tell)
        log.warning("sending a batch again", reason=unanswered.reason, rows=len(batch.records))
        try:
            publisher.publish_blocking(batch.records)
            return
        except UnavailableError as error:
            unanswered = error


def _wait(publisher: Publisher, error: UnavailableError, tell: Tell) -> None:
    """Return when the publisher is connected; meanwhile say what is waited for."""
    while True:
        tell(f"waiting: {error.detail}")
        time.sleep(PAUSE_S)  # connected or not: what refused must not be asked all the time
        try:
            publisher.wait_ready(SAY_AGAIN_S)
            return
        except UnavailableError as still:
            error = still
