"""The coverage of one interval over a grid of truths, and the grids."""

from collections.abc import Sequence
from enum import StrEnum
from itertools import product

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bounds = tuple[float, float]

ROUNDING = 1e-9
WITHIN = 0.01


class Promise(StrEnum):
    """What an interval promises of its coverage."""

    MEAN = "mean within 1 point"
    EACH = "at least the level"
    NONE = "for comparison"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The coverage of one interval over a grid of truths; `least_at` names the worst truth."""

    interval: str
    looks: str
    truths: str
    how: str
    level: float
    mean: float
    least: float
    least_at: str
    promise: Promise

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None where there is none."""
        if self.promise is Promise.NONE:
            return None
        if self.promise is Promise.EACH:
            return self.least >= self.level - ROUNDING
        return abs(self.mean - self.level) <= WITHIN


def row_of(
    interval: str, looks: str, truths: Floats, held: Floats, level: float, *, at: Sequence[str],
    promise: Promise = Promise.MEAN, how: str = "enumeration",
) -> Row:  # fmt: skip
    """Return the row of a grid of truths from the coverage at each; `at` names each truth."""
    worst = int(np.argmin(np.round(held, 12)))  # of two mirrored truths the first, whatever the last digit
    return Row(
        interval=interval, looks=looks, truths=f"{len(truths)}", how=how, level=level, mean=float(np.mean(held)),
        least=float(held[worst]), least_at=at[worst], promise=promise,
    )  # fmt: skip


def shares() -> Floats:
    """Return the shares 0.5 %, 1 % ... 99.5 %."""
    return np.arange(1, 200) / 200


def nps_mixes(step: float) -> Floats:
    """Return mixes (detractors, passives, promoters) that cover the triangle, away from its borders by half a step."""
    ends = np.arange(step / 2, 1, step)
    return np.array([(down, 1 - down - up, up) for down, up in product(ends, ends) if down + up < 1 - ROUNDING])


def answer_mixes() -> Floats:
    """Return mixes of answers on 5 points: even, split and peaked ones, each tilted from bad to good in 13 steps."""
    shapes = ([1, 1, 1, 1, 1], [3, 0.7, 0.7, 0.7, 3], [1, 2, 3, 2, 1])
    tilted = [
        np.array(shape) * np.exp(tilt * np.arange(5)) for shape, tilt in product(shapes, np.linspace(-1.2, 1.2, 13))
    ]
    return np.array([mix / mix.sum() for mix in tilted])


def said(mix: Floats) -> str:
    """Return the name of a mix of answers."""
    return "shares " + " ".join(f"{share:.3f}" for share in mix)
