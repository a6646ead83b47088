"""Cells and blocks: exact counts that add, and the packed form in which stage 1 publishes them.

A cell is (series, occurred minute) -> sparse counts by bin. `Cells` holds them as columns, one row a (series, minute, bin, fresh),
in canonical order, so that equal content means equal bytes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.errors import UndecodableError

FORMAT = 1
_ROW = (
    ("series_ix", "<i4"),
    ("minute", "<i4"),
    ("bin", "<i4"),
    ("fresh", "<i1"),
    ("count", "<i8"),
    ("sum", "<i8"),
)


class Series(NamedTuple):
    """What is counted: metric identity (name@hash), dimension, key and stratum."""

    metric: str
    dimension: str
    key: str
    stratum: str


class Row(NamedTuple):
    """One count: `minute` is the occurred minute since the epoch, `fresh` whether detectors may read it."""

    series: Series
    minute: int
    bin: int
    fresh: int
    count: int  # type: ignore[assignment]  # the field's word wins over tuple.count
    sum: int


class Cells:
    """Counts as columns in canonical order."""

    __slots__ = ("bin", "count", "fresh", "minute", "series", "series_ix", "sum")

    def __init__(self, series: list[Series], columns: dict[str, NDArray[Any]]) -> None:
        self.series = series
        self.series_ix, self.minute, self.bin, self.fresh, self.count, self.sum = (
            np.ascontiguousarray(columns[name], dtype=kind) for name, kind in _ROW
        )

    def __len__(self) -> int:
        return len(self.series_ix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cells) and self.series == other.series and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # mutable arrays

    def rows(self) -> Iterable[Row]:
        """Yield the rows as tuples, in order."""
        names = self.series
        columns = (
            self.series_ix,
            self.minute,
            self.bin,
            self.fresh,
            self.count,
            self.sum,
        )
        for ix, minute, bin_, fresh, count, total in zip(*(c.tolist() for c in columns), strict=True):
            yield Row(names[ix], minute, bin_, fresh, count, total)

    def pack(self) -> bytes:
        """Return the columns as little-endian bytes, one after the other."""
        columns = (
            self.series_ix,
            self.minute,
            self.bin,
            self.fresh,
            self.count,
            self.sum,
        )
        return b"".join(column.tobytes() for column in columns)


def unpack(series: list[Series], rows: int, packed: bytes) -> Cells:
    """Return the cells of packed bytes. Raises UndecodableError if the length does not fit."""
    if len(packed) != rows * sum(np.dtype(kind).itemsize for _, kind in _ROW):
        raise UndecodableError("bad_block", f"{len(packed)} bytes are not {rows} rows")
    columns, at = {}, 0
    for name, kind in _ROW:
        columns[name] = np.frombuffer(packed, dtype=kind, count=rows, offset=at)
        at += columns[name].nbytes
    return Cells(series, columns)


def cells_of(rows: Iterable[Row]) -> Cells:
    """Return the sum of rows in any order, rows of the same (series, minute, bin, fresh) added; zero counts vanish."""
    total: dict[tuple[Series, int, int, int], list[int]] = {}
    for row in rows:
        held = total.setdefault(row[:4], [0, 0])
        held[0] += row.count
        held[1] += row.sum
    kept = sorted((at, held) for at, held in total.items() if held[0] or held[1])
    series = sorted({at[0] for at, _ in kept})
    index = {one: ix for ix, one in enumerate(series)}
    table = [(index[at[0]], at[1], at[2], at[3], held[0], held[1]) for at, held in kept]
    arrays = np.array(table, dtype=np.int64).reshape(len(table), len(_ROW))
    return Cells(series, {name: arrays[:, i] for i, (name, _) in enumerate(_ROW)})


EMPTY = cells_of(())


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A closed run of panes [from_pane, to_pane] of one source partition; a run longer than one pane is empty.

    Panes are named by their end in ms of arrived time; `from_pane` is 0 in a source's first block.
    """

    topic: str
    topic_id: str
    partition: int
    from_pane: int
    to_pane: int
    pane_ms: int
    arrived_ms: int
    next_offset: int
    catalogue_hash: str
    cells: Cells
    events: int = 0
    repeats: int = 0
    ticks: int = 0
    undecodable: int = 0

    @property
    def source(self) -> tuple[str, int]:
        """Return (topic id, partition): what the judge's vector is kept by."""
        return (self.topic_id, self.partition)


_PLAIN = tuple(name for name in Block.__struct_fields__ if name != "cells")


def to_record(block: Block) -> dict[str, Any]:
    """Return the block as the record of its Avro schema."""
    return {
        "format": FORMAT,
        **{name: getattr(block, name) for name in _PLAIN},
        "series": [one._asdict() for one in block.cells.series],
        "rows": len(block.cells),
        "columns": block.cells.pack(),
    }


def from_record(record: dict[str, Any]) -> Block:
    """Return the block of a decoded record. Raises UndecodableError for another format."""
    if record["format"] != FORMAT:
        raise UndecodableError(
            "block_format",
            f"block format {record['format']}, this version reads {FORMAT}",
        )
    series = [Series(**one) for one in record["series"]]
    cells = unpack(series, record["rows"], record["columns"])
    return Block(cells=cells, **{name: record[name] for name in _PLAIN})
