"""Files to import, cut into rows: one JSON line, one mail, one table row. Reading streams; sizes are bounded."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from producers.channels import email_reply, native, table
from producers.channels.table import TableMapping
from producers.pseudonyms import Pseudonyms
from schemas.catalogue import Catalogue
from schemas.errors import InvalidEventError, UsageError
from schemas.event import Channel, FeedbackEvent, natural_id

_SNIFF_BYTES = 64 * 1024
_READ_BYTES = 1 << 20
_FROM = b"From "


class Format(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    MBOX = "mbox"
    EML = "eml"


_SUFFIXES = {
    ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".json": Format.JSONL, ".csv": Format.CSV, ".tsv": Format.CSV,
    ".mbox": Format.MBOX, ".eml": Format.EML,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One input of a file: its raw bytes (cut where `too_large`), and how it becomes an event."""

    number: int
    raw: bytes
    channel: Channel | None
    parse: Callable[[], FeedbackEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What parsing rows needs; `received_at` in epoch ms, `fingerprint` the sha256 of the file."""

    fingerprint: str
    source: str | None
    mapping: TableMapping | None
    received_at: int
    pseudonyms: Pseudonyms
    catalogue: Catalogue
    max_event_bytes: int
    unnamed: Counter[str] = field(default_factory=Counter)
    """Source -> rows without an id of their own: the file's content and their place name them."""

    def name(self, source: str, row: int) -> str:
        """Return the id of a row that has none."""
        self.unnamed[source] += 1
        return natural_id(source, f"{self.fingerprint}:{row}")


def format_of(path: Path) -> Format:
    """Return the format that a file's name states. Raises UsageError."""
    if path.is_dir():
        return Format.EML
    try:
        return _SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(_SUFFIXES)
        raise UsageError(
            "unknown_format", f"{path.name}: the name states no format ({known})", "rename it, or name the format"
        ) from None


def fingerprint(path: Path) -> str:
    """Return the sha256 of a file, or of all .eml files of a directory with their names."""
    digest = hashlib.sha256()
    for one in files_of(path):
        if path.is_dir():
            digest.update(one.name.encode("utf-8", "surrogateescape") + b"\x00")
        with one.open("rb") as stream:
            while part := stream.read(_READ_BYTES):
                digest.update(part)
    return digest.hexdigest()


def files_of(path: Path) -> list[Path]:
    """Return the file, or the .eml files of a directory in the order of their names. Raises UsageError."""
    if path.is_dir():
        found = sorted(one for one in path.iterdir() if one.suffix.lower() == ".eml" and one.is_file())
        if not found:
            raise UsageError("no_files", f"{path}: holds no .eml file")
        return found
    if not path.is_file():
        raise UsageError("no_file", f"{path}: is no file", "check the path")
    return [path]


def appearance(path: Path) -> list[tuple[str, int, int, int]]:
    """Return what changes when somebody writes to the file, or to a mail of the directory, or replaces it."""
    found = [(one, one.stat()) for one in files_of(path)]
    return [(str(one), stat.st_ino, stat.st_size, stat.st_mtime_ns) for one, stat in found]


def rows_of(path: Path, kind: Format, reading: Reading) -> Iterator[Row]:
    """Return the rows, numbered from 1. Raises UsageError before the first row if the file cannot be that format."""
    if kind is Format.JSONL:
        yield from _json_rows(path, reading)
    elif kind is Format.CSV:
        yield from _table_rows(path, reading)
    else:
        mails = _mbox(path) if kind is Format.MBOX else (one.read_bytes() for one in files_of(path))
        for number, raw in enumerate(mails, 1):
            yield Row(number=number, raw=raw, channel=Channel.EMAIL, parse=_mail(raw, reading))


def _mail(raw: bytes, reading: Reading) -> Callable[[], FeedbackEvent]:
    return lambda: email_reply.parse(
        raw, received_at=reading.received_at, pseudonyms=reading.pseudonyms, catalogue=reading.catalogue,
        source=reading.source or email_reply.SOURCE,
    )  # fmt: skip


def _json_rows(path: Path, reading: Reading) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, reading.max_event_bytes), 1):
        if line.strip():
            yield Row(number=number, raw=line, channel=None, parse=_native(line, number, reading))


def _native(line: bytes, number: int, reading: Reading) -> Callable[[], FeedbackEvent]:
    source = reading.source or "import"

    def parse() -> FeedbackEvent:
        return _timed(native.decode(line.strip(), max_event_bytes=reading.max_event_bytes), source, number, reading)

    return parse


def _timed(item: native.NativeEvent, source: str, number: int, reading: Reading) -> FeedbackEvent:
    if item.occurred_at is None:
        raise InvalidEventError("missing_field", "occurred_at", "an import says when it happened")
    return native.to_event(
        item, source=source, received_at=reading.received_at, pseudonyms=reading.pseudonyms,
        scales=reading.catalogue.scales(), new_id=lambda: reading.name(source, number),
    )  # fmt: skip


def _table_rows(path: Path, reading: Reading) -> Iterator[Row]:
    mapping = reading.mapping
    if mapping is None:
        raise UsageError(
            "no_mapping", f"{path.name}: a table needs a mapping file", "name one, see producers/mappings/"
        )
    header, rows = table.read_rows(_lines(path, reading.max_event_bytes), mapping)
    for number, row in enumerate(rows, 1):
        yield Row(
            number=number, raw=row.raw, channel=mapping.channel, parse=_cells(header, row, mapping, number, reading)
        )


def _cells(
    header: list[str], row: table.TableRow, mapping: TableMapping, number: int, reading: Reading
) -> Callable[[], FeedbackEvent]:
    source = reading.source or mapping.source

    def parse() -> FeedbackEvent:
        if row.cells is None:
            raise InvalidEventError("bad_row", "", row.problem, "mend the row and import the file again")
        cells = dict(zip(header, row.cells, strict=True))
        named = [cells[column].strip() for column in mapping.id]
        if mapping.id and not all(named):
            raise InvalidEventError("missing_field", "id", f"a column of {mapping.id} is empty")
        natural = natural_id(source, "\x1f".join(named)) if named else None
        return _timed(native.decode(table.to_native(cells, mapping, natural)), source, number, reading)

    return parse


def _lines(path: Path, max_bytes: int) -> Iterator[bytes]:
    """Return the lines with their ends; of one longer than `max_bytes` the first bytes, just too many to pass."""
    with path.open("rb") as stream:
        while line := stream.readline(max_bytes + 2):
            yield line
            while not line.endswith(b"\n") and len(line) == max_bytes + 2:
                line = stream.readline(max_bytes + 2)


def _mbox(path: Path) -> Iterator[bytes]:
    """Return the mails of an mbox file, unescaped. Source: RFC 4155, with mboxrd's quoting of From lines."""
    with path.open("rb") as stream:
        first = stream.readline(_SNIFF_BYTES)
        if not first.startswith(_FROM):
            raise UsageError("not_mbox", f"{path.name}: the first line is no 'From ' line", "is it a single .eml?")
        parts: list[bytes] = []
        blank = False
        for line in stream:
            if blank and line.startswith(_FROM):
                yield b"".join(parts)
                parts = []
                blank = False
                continue
            blank = not line.strip(b"\r\n")
            stripped = line.lstrip(b">")
            parts.append(line[1:] if stripped.startswith(_FROM) and line.startswith(b">") else line)
        yield b"".join(parts)
