"""Rows of a table (call notes, typed-in cards, any CSV) read through a mapping file.

The mapping says which column becomes which field of the native event. Every column is mapped or ignored by name: nothing
is dropped silently, and no column with a customer's name slips through as an attribute.
"""

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from producers.channels.native import NativeCustomer, NativeEvent, NativeOrder, Scale
from schemas.errors import InvalidEventError, UsageError
from schemas.event import Channel, Traits

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252", "iso-8859-1", "iso-8859-15")
FIELDS = {field.name for field in msgspec.structs.fields(NativeEvent)} - {
    "id",
    "event_id",
    "channel",
    "answers",
    "attributes",
} | {
    f"{outer}.{field.name}"
    for outer, inner in (("customer", NativeCustomer), ("order", NativeOrder), ("traits", Traits))
    for field in msgspec.structs.fields(inner)
}
"""What a column or a constant can fill."""
_NUMBERS = ("order.amount_minor", "order.items")
_FLAGS = {"1": True, "true": True, "yes": True, "oui": True, "0": False, "false": False, "no": False, "non": False}


class TimeColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it happened: one column, or several joined by a blank; `format` as in strptime, `zone` an IANA name."""

    columns: list[str]
    format: str
    zone: str


class AnswerColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column with the score of one question; the scale may be left out for a question of the catalogue."""

    column: str
    question: str
    question_version: str = "1"
    scale: Scale | None = None


class TableMapping(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows of a table become native events.

    `columns`: native field (`text`, `customer.phone`, `traits.second_hand`) -> column. `constants`: native field -> value.
    `values`: native field -> cell -> value, for cells that are codes. `id`: the columns that together name a row.
    """

    source: str
    channel: Channel
    time: TimeColumns
    id: list[str] = []
    columns: dict[str, str] = {}
    attributes: dict[str, str] = {}
    constants: dict[str, str | int | float | bool] = {}
    values: dict[str, dict[str, str]] = {}
    answers: list[AnswerColumn] = []
    ignore: list[str] = []
    delimiter: str = ","
    encoding: str = "utf-8-sig"

    def needed(self) -> set[str]:
        """Return the columns that must stand in the table."""
        return {
            *self.id, *self.time.columns, *self.columns.values(), *self.attributes.values(),
            *(answer.column for answer in self.answers),
        }  # fmt: skip


def load_mapping(text: str, name: str) -> TableMapping:
    """Return the mapping of TOML text. Raises UsageError that names the culprit."""
    try:
        mapping = msgspec.toml.decode(text, type=TableMapping)
        ZoneInfo(mapping.time.zone)
    except (msgspec.DecodeError, ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError("bad_mapping", f"{name}: {error}", "mend the mapping file") from error
    if mapping.encoding not in ENCODINGS or len(mapping.delimiter) != 1:
        raise UsageError("bad_mapping", f"{name}: encoding is one of {', '.join(ENCODINGS)}; delimiter is one character",
                         "mend the mapping file")  # fmt: skip
    unknown = sorted((mapping.columns.keys() | mapping.constants.keys() | mapping.values.keys()) - FIELDS)
    if unknown:
        raise UsageError("bad_mapping", f"{name}: no field of an event: {', '.join(unknown)}", "mend the mapping file")
    return mapping


def read_mapping(path: Path) -> TableMapping:
    """Return the mapping in a file. Raises UsageError."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("no_mapping", f"{path}: {error}", "name a readable TOML file") from error
    return load_mapping(text, path.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row: its cells, or why it has none, and the bytes that it was read from."""

    raw: bytes
    cells: Sequence[str] | None
    problem: str = ""


def read_rows(lines: Iterator[bytes], mapping: TableMapping) -> tuple[list[str], Iterator[TableRow]]:
    """Return the header and the rows below it, one by one.

    Raises UsageError, before any row, if columns are missing or neither mapped nor ignored.
    """
    try:
        header = next(
            csv.reader([_text(next(lines, b""), mapping.encoding)], delimiter=mapping.delimiter, strict=True), []
        )
    except csv.Error as error:
        raise UsageError(
            "bad_header", f"the first line is no header: {error}", "check delimiter and encoding"
        ) from error
    _check_header(header, mapping)
    return header, _rows(lines, len(header), mapping)


def _rows(lines: Iterator[bytes], width: int, mapping: TableMapping) -> Iterator[TableRow]:
    """Return the rows; an unclosed quote costs its own line, not the rows that it seemed to swallow."""
    encoding = mapping.encoding.removesuffix("-sig")  # a byte order mark can only stand at the start
    waiting: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while True:
            if waiting:
                line = waiting.popleft()
            else:
                raw = next(lines, None)
                if raw is None:
                    return
                line = _text(raw, encoding)
            taken.append(line)
            yield line

    reader = csv.reader(feed(), delimiter=mapping.delimiter, strict=True)
    while True:
        taken.clear()
        problem = ""
        cells: list[str] | None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = None, str(error)
        if cells == []:
            continue
        if cells is not None and len(cells) != width:
            problem = f"{len(cells)} cells where the header has {width}"
            cells = None
        raw = "".join(taken if cells is not None else taken[:1]).encode(encoding, "surrogateescape")
        if cells is None:
            waiting.extendleft(reversed(taken[1:]))
            reader = csv.reader(feed(), delimiter=mapping.delimiter, strict=True)
        yield TableRow(raw=raw, cells=cells, problem=problem)


def _text(raw: bytes, encoding: str) -> str:
    # bytes that are no text stay visible as surrogates, which the event's check then refuses
    return raw.decode(encoding, "surrogateescape")


def _check_header(header: Sequence[str], mapping: TableMapping) -> None:
    found = set(header)
    missing = sorted(mapping.needed() - found)
    if missing:
        raise UsageError("missing_columns", f"the table has no column {', '.join(map(repr, missing))}",
                         f"it has: {', '.join(header)}; mend the table or the mapping file")  # fmt: skip
    unmapped = sorted(found - mapping.needed() - set(mapping.ignore))
    if unmapped:
        raise UsageError("unmapped_columns", f"columns that nobody mapped: {', '.join(map(repr, unmapped))}",
                         "map them, or list them under `ignore` in the mapping file")  # fmt: skip
    if len(found) != len(header):
        raise UsageError("doubled_columns", "two columns have the same name", "rename one of them in the table")


def to_native(cells: Mapping[str, str], mapping: TableMapping, event_id: str | None) -> dict[str, Any]:
    """Return the row as an object for the native parser. Raises InvalidEventError."""
    out: dict[str, Any] = {"channel": mapping.channel.value}
    if event_id is not None:
        out["id"] = event_id
    for field, value in mapping.constants.items():
        _put(out, field, value)
    for field, column in mapping.columns.items():
        cell = cells[column].strip()
        if not cell:
            continue
        if field in mapping.values:
            try:
                cell = mapping.values[field][cell]
            except KeyError:
                raise InvalidEventError(
                    "unknown_value", field, f"{cell!r} in column {column!r} is not in the mapping file"
                ) from None
        _put(out, field, _typed(field, cell, column))
    answers = [
        _answer(column, cells[column.column].strip()) for column in mapping.answers if cells[column.column].strip()
    ]
    if answers:
        out["answers"] = answers
    attributes = {name: cells[column].strip() for name, column in mapping.attributes.items() if cells[column].strip()}
    if attributes:
        out["attributes"] = attributes
    out["occurred_at"] = _time(" ".join(cells[column].strip() for column in mapping.time.columns), mapping.time)
    return out


def _put(into: dict[str, Any], field: str, value: object) -> None:
    outer, dot, inner = field.partition(".")
    if dot:
        into.setdefault(outer, {})[inner] = value
    else:
        into[outer] = value


def _typed(field: str, cell: str, column: str) -> str | int | bool:
    if field in _NUMBERS:
        try:
            return int(cell)
        except ValueError:
            raise InvalidEventError("bad_type", field, f"column {column!r} holds no whole number") from None
    if field.startswith("traits.") and field != "traits.reason":
        try:
            return _FLAGS[cell.lower()]
        except KeyError:
            raise InvalidEventError("bad_type", field, f"column {column!r} holds neither yes nor no") from None
    return cell.replace(",", ".") if field == "order.amount" else cell


def _answer(column: AnswerColumn, cell: str) -> dict[str, Any]:
    try:
        score = float(cell.replace(",", "."))
    except ValueError:
        raise InvalidEventError(
            "bad_type", f"answers.{column.question}", f"column {column.column!r} holds no number"
        ) from None
    out: dict[str, Any] = {"question": column.question, "question_version": column.question_version, "score": score}
    if column.scale is not None:
        out["scale"] = list(column.scale)
    return out


def _time(cell: str, time: TimeColumns) -> int:
    """Return the epoch ms of a local time; in an hour that the clock repeats, its first occurrence."""
    if not cell:
        raise InvalidEventError("missing_field", "occurred_at", f"column {time.columns[0]!r} is empty")
    try:
        read = datetime.strptime(cell, time.format)  # noqa: DTZ007 - the zone comes from the mapping
    except ValueError:
        raise InvalidEventError("bad_time", "occurred_at", f"is not written as {time.format}") from None
    local = read if read.tzinfo is not None else read.replace(tzinfo=ZoneInfo(time.zone))
    at = local.astimezone(UTC)
    if read.tzinfo is None and at.astimezone(local.tzinfo).replace(tzinfo=None) != read:
        raise InvalidEventError("bad_time", "occurred_at", f"does not exist in {time.zone}: the clock was put forward")
    return int(at.timestamp() * 1000)
