"""What a kind of metric is: which bins it has, which events fall into them, and what their counts say.

Each kind is a class in a module of its own; streams/core/kinds/__init__.py lists them.
"""

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from typing import ClassVar, NamedTuple, Protocol

from schemas.metrics import Metric
from streams.core.canonical import Ints
from streams.core.columns import Columns

Counts = Mapping[int, int]
"""Bin -> count, no count below 0."""


class Selected(NamedTuple):
    """Rows of a frame that count, the bin of each, and what each adds to the sum; None: its bin."""

    rows: Ints
    bins: Ints
    sums: Ints | None = None


class Estimate(NamedTuple):
    """A value with its interval; all None where counts, though there are some, do not tell."""

    value: float | None
    lo: float | None
    hi: float | None


UNKNOWN = Estimate(None, None, None)


class Kind(Protocol):
    """One kind of metric."""

    summed: ClassVar[bool] = False
    """Whether the sum of what was added up does not follow from the bins, so that it is kept beside them."""

    @abstractmethod
    def bins(self, metric: Metric) -> range:
        """Return the bins."""

    @abstractmethod
    def source(self, metric: Metric) -> Hashable:
        """Return what decides the selection: metrics that agree on it, of whatever kind, select the same."""

    @abstractmethod
    def select(self, columns: Columns, metric: Metric) -> Selected | None:
        """Return what counts; None where nothing in the frame concerns the metric."""

    def n(self, counts: Counts) -> int:
        """Return how many answers, or exposing events, there are."""
        return sum(counts.values())

    @abstractmethod
    def method(self, metric: Metric) -> str:
        """Return how the interval is made."""

    @abstractmethod
    def estimate(self, metric: Metric, counts: Counts, total: int) -> Estimate:
        """Return the value of counts with n > 0; `total` is the sum of what was added up."""
