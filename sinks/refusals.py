"""Which errors of an insert speak of what a row holds, and which of the store. Only the first may cost a row its place.

A row is at fault for types, ranges, encodings and constraints. Everything else (down, full, read-only, too many parts, a table
or a column that is away, a materialised view that throws) is the store's: then the rows wait.
"""

import struct
from typing import NamedTuple

from clickhouse_driver.errors import (
    CannotParseDomainError,
    CannotParseUuidError,
    ServerException,
    TooLargeStringSize,
    TypeMismatchError,
)

ROW_CODES = frozenset({
    6, 25, 26, 27, 38, 41, 72, 376, 467, 675, 676,  # text that is no value of the type
    53, 69, 70, 117, 128, 131, 190, 321, 349, 407, 691,  # a value of the wrong type, size or range
    469,  # VIOLATED_CONSTRAINT
})  # fmt: skip
"""Server codes (src/Common/ErrorCodes.cpp) that speak of a value."""
DRIVER_ERRORS = (
    TypeMismatchError, TooLargeStringSize, CannotParseUuidError, CannotParseDomainError, struct.error, OverflowError,
    AttributeError, TypeError, ValueError,
)  # fmt: skip
"""What the driver raises while it writes a value that does not fit its column; nothing has been stored then."""
IN_A_VIEW = "while pushing to view"
DETAIL_CHARS = 300
REASON = "refused_by_store"


class Refusal(NamedTuple):
    """A record that the store refuses for what it holds: its (topic id, partition, offset), and the store's words."""

    place: tuple[str, int, int]
    detail: str


class RowsRefusedError(Exception):
    """An insert was refused for what one of its rows holds; nothing of it is stored."""


def speaks_of_a_row(error: BaseException) -> bool:
    """Return whether an error of an insert is about the value of a row."""
    if isinstance(error, ServerException):
        return error.code in ROW_CODES and IN_A_VIEW not in str(error)
    return isinstance(error, DRIVER_ERRORS) and not isinstance(error, UnicodeDecodeError)  # that one reads an answer


def words_of(error: BaseException) -> str:
    """Return the message without stack trace and without the values of the row: those stand in its raw bytes."""
    if isinstance(error, ServerException):
        text = str(error).partition("Stack trace:")[0].partition("Column values:")[0]
    else:
        text = f"{type(error).__name__}: {error}" if isinstance(error, DRIVER_ERRORS[:6]) else type(error).__name__
    return " ".join(text.split())[:DETAIL_CHARS]
