"""The cells of a pane by series: packed counts by occurred minute, all and fresh."""

from collections.abc import Mapping
from typing import NamedTuple

from schemas.blocks import Cells, Series
from schemas.errors import ContractError
from streams.core.bins import LIMIT, Bins

REMEDY = "the block was counted by another version: replay the source topic with this one"


class Counted(NamedTuple):
    """What one pane brought to one series; both maps: occurred minute -> packed bins."""

    series: Series
    bins: Bins
    minutes: dict[int, int]
    fresh: dict[int, int]


def counted(cells: Cells, bins: Mapping[str, Bins]) -> list[Counted]:
    """Return the counts in order of series; `bins` by metric identity. Raises ContractError for a foreign cell."""
    try:
        out = [Counted(one, bins[one.metric], {}, {}) for one in cells.series]
    except KeyError as error:
        raise ContractError(
            "unknown_metric", f"{error} is not in the catalogue", "run with the catalogue that counted it"
        ) from error
    columns = (cells.series_ix, cells.minute, cells.bin, cells.fresh, cells.count, cells.sum)
    at = -1
    for ix, minute, bin_, fresh, count, total in zip(*(column.tolist() for column in columns), strict=True):
        if ix != at:  # rows come by series
            at = ix
            series, of, minutes, fresh_minutes = out[ix]
            shifts, summed = of.shifts, of.summed
        shift = shifts.get(bin_)
        if shift is None or not -LIMIT < count < LIMIT:
            raise ContractError("bad_cell", f"{series.metric}: {count} at bin {bin_}", REMEDY)
        packed = (count << shift) + total if summed else count << shift
        minutes[minute] = minutes.get(minute, 0) + packed
        if fresh:
            fresh_minutes[minute] = fresh_minutes.get(minute, 0) + packed
    out.sort(key=lambda one: one.series)
    return out
