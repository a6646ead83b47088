"""A frame of events as codes and numbers, each column read once and only if a metric asks for it."""

from collections.abc import Collection
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.event import Direction
from streams.core.canonical import Ints

MINUTE_MS = 60_000
LAST_MINUTE = 2**31 - 1
"""A cell holds its minute in 32 bits."""
PROBE = "probe"
RECALL = "recall."
"""Begins a column that streams/core/recall has added for a metric."""
FIRST = "first."
"""Begins a column of what counts under the metric's `one_per`."""
STILL_OPEN = -1
"""Stands for the waiting time of a message that is open beyond its target."""

Flags = NDArray[np.bool_]


class Coded(NamedTuple):
    """A column of text: the distinct values, and the index of each row's value among them."""

    titles: list[str | None]
    code: Ints

    def among(self, wanted: Collection[str]) -> Flags:
        """Return by row whether its value is one of `wanted`."""
        return np.array([title in wanted for title in self.titles], dtype=np.bool_)[self.code]


class Asked(NamedTuple):
    """What is read of answers: one question on one scale, of one version where given, from probes or from customers."""

    question: str
    version: str | None
    scale: tuple[int, int]
    probes: bool


class Answered(NamedTuple):
    """Rows of events in order, each once, and the scores that they gave."""

    rows: Ints
    scores: Ints


class Columns:
    """The columns of counting.FRAME_SCHEMA; nothing is decoded before it is used."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._attributes: dict[str, Coded] = {}
        self._answered: dict[Asked, Answered | None] = {}

    def __len__(self) -> int:
        return self._frame.height

    @cached_property
    def channel(self) -> Coded:
        """Return the channels."""
        return coded(self._frame["channel"].to_arrow())

    @cached_property
    def kind(self) -> Coded:
        """Return the kinds of event."""
        return coded(self._frame["kind"].to_arrow())

    @cached_property
    def touchpoint(self) -> Coded:
        """Return the touchpoints; an empty one is none."""
        return _named(coded(self._frame["touchpoint"].to_arrow()))

    @cached_property
    def product(self) -> Coded:
        """Return the products; an empty one is none."""
        return _named(coded(self._frame["product"].to_arrow()))

    def attribute(self, name: str) -> Coded:
        """Return the values of a named attribute."""
        held = self._attributes.get(name)
        if held is None:
            entries = self._frame["attributes"].to_arrow()
            rows, keys = pc.list_parent_indices(entries), pc.list_flatten(entries)
            named = np.flatnonzero(pc.equal(pc.struct_field(keys, "key"), name).to_numpy(zero_copy_only=False))
            values = coded(pc.struct_field(keys, "value").take(pa.array(named)))
            code = np.full(len(self), len(values.titles), dtype=np.int64)
            code[np.asarray(rows)[named]] = values.code  # of a name that stands twice the last counts
            held = self._attributes[name] = Coded([*values.titles, None], code)
        return held

    def recalled(self, metric: str) -> Ints | None:
        """Return what is remembered for a metric, by row; None where nothing is."""
        name = RECALL + metric
        return self._frame[name].to_numpy() if name in self._frame.columns else None

    def first(self, metric: str) -> Flags | None:
        """Return which events count under `one_per`; None where nothing is remembered."""
        name = FIRST + metric
        return self._frame[name].to_numpy() if name in self._frame.columns else None

    def named(self, name: str, rows: Ints) -> list[str | None]:
        """Return the values of a column of text in some rows."""
        found: list[str | None] = self._frame[name].gather(rows).to_list()
        return found

    @cached_property
    def original(self) -> Flags:
        """Return which events neither correct nor take back another."""
        corrects = self._frame["corrects"]
        none = corrects.null_count() == len(self)  # the usual case, at no cost
        kept: Flags = np.ones(len(self), dtype=np.bool_) if none else corrects.is_null().to_numpy()
        return kept if self.retracted is None else kept & ~self.retracted

    @cached_property
    def outbound(self) -> Flags:
        """Return which events went out."""
        return self._direction.among((Direction.OUT,))

    @cached_property
    def machine(self) -> Flags:
        """Return which events no human made."""
        return self._trait("non_human")

    @cached_property
    def _direction(self) -> Coded:
        return coded(self._frame["direction"].to_arrow())

    @cached_property
    def _traits(self) -> Any:
        return self._frame["traits"].to_arrow()

    def _trait(self, name: str) -> Flags:
        held: Flags = self._traits.field(name).to_numpy(zero_copy_only=False)
        return held

    @cached_property
    def occurred(self) -> Ints:
        """Return when the events occurred, in ms."""
        return self._frame["occurred_at"].to_numpy()

    @cached_property
    def minute(self) -> Ints:
        """Return the minutes since the epoch in which the events occurred."""
        return self.occurred // MINUTE_MS

    @cached_property
    def age(self) -> Ints:
        """Return how long after it occurred each event was received, in ms."""
        return self._frame["received_at"].to_numpy() - self.occurred

    @cached_property
    def retracted(self) -> Flags | None:
        """Return which events take back another; None where none does."""
        flags = self._frame["retract"].to_numpy()
        return flags if flags.any() else None

    @cached_property
    def direct(self) -> Flags:
        """Return which events a human gave at first hand."""
        return ~(self._trait("second_hand") | self.machine)

    @cached_property
    def inbound(self) -> Flags:
        """Return which events came to us."""
        return self._direction.among((Direction.IN,))

    @cached_property
    def _probe(self) -> Flags:
        return self._trait("probe") | self.kind.among((PROBE,))

    @cached_property
    def _in_time(self) -> Flags:
        return (self.minute >= 0) & (self.minute <= LAST_MINUTE)

    @cached_property
    def customers(self) -> Flags:
        """Return which events are no probes, at a time that a cell can hold."""
        return ~self._probe & self._in_time

    @cached_property
    def probes(self) -> Flags:
        """Return which events are probes, at a time that a cell can hold."""
        return self._probe & self._in_time

    def counted(self, *, probes: bool) -> Flags:
        """Return which events may count for a metric of probes, or for one of customers."""
        return self.probes if probes else self.customers

    @cached_property
    def amount_minor(self) -> tuple[Ints, Flags]:
        """Return amounts of orders in minor units, 0 where there is none, and where there is one."""
        column = self._frame["amount_minor"]
        return column.fill_null(0).to_numpy(), column.is_not_null().to_numpy()

    @cached_property
    def currency(self) -> Coded:
        """Return the currencies of the amounts."""
        return coded(self._frame["currency"].to_arrow())

    @cached_property
    def _answers(self) -> Any:
        return self._frame["answers"].to_arrow().flatten()

    @cached_property
    def _answer_rows(self) -> Ints:
        lengths = self._frame["answers"].list.len().to_numpy().astype(np.int64)
        return np.repeat(np.arange(len(self)), lengths)

    @cached_property
    def questions(self) -> Coded:
        """Return the question of each answer of the frame."""
        return coded(self._answers.field("question"))

    @cached_property
    def _scores(self) -> tuple[NDArray[np.float64], ...]:
        names = ("score", "scale_min", "scale_max")
        return tuple(self._answers.field(name).to_numpy(zero_copy_only=False) for name in names)

    @cached_property
    def _versions(self) -> Coded:
        return coded(self._answers.field("question_version"))

    def answered(self, asked: Asked) -> Answered | None:
        """Return who answered, each event's first answer if it is a whole number on the scale; None if nobody was asked."""
        if asked not in self._answered:
            self._answered[asked] = self._found(asked)
        return self._answered[asked]

    def _found(self, asked: Asked) -> Answered | None:
        if asked.question not in self.questions.titles:
            return None
        low, high = asked.scale
        score, scale_min, scale_max = self._scores
        right = self.questions.among((asked.question,)) & (scale_min == low) & (scale_max == high)
        if asked.version is not None:
            right &= self._versions.among((asked.version,))
        found = np.flatnonzero(right & (self.counted(probes=asked.probes) & self.direct)[self._answer_rows])
        rows, score = self._answer_rows[found], score[found]
        first = np.ones(len(rows), dtype=np.bool_)
        first[1:] = rows[1:] != rows[:-1]
        kept = first & (score >= low) & (score <= high) & (score == np.floor(score))
        return Answered(rows[kept], score[kept].astype(np.int64))


def coded(values: Any) -> Coded:
    """Return an Arrow array of text as codes; a missing value is None among the titles."""
    found = values.dictionary_encode(null_encoding="encode")
    return Coded(found.dictionary.to_pylist(), found.indices.to_numpy().astype(np.int64))


def _named(found: Coded) -> Coded:
    return found._replace(titles=[title or None for title in found.titles])
