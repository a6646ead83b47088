"""Which key an event has in a dimension.

`*` (one key), `channel`, `touchpoint`, `parent` (what the catalogue declares above the touchpoint), `product`, `attr.NAME`,
and pairs `a+b`, whose key is the JSON array of both keys. An event without a key in a dimension is left out of it.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from schemas.metrics import ALL, ATTRIBUTE, PAIR
from streams.core.canonical import Ints
from streams.core.columns import Coded, Columns

CHANNEL, TOUCHPOINT, PARENT, PRODUCT = "channel", "touchpoint", "parent", "product"


class Dimension(NamedTuple):
    """A dimension by its name in the catalogue, and the one or two simple ones of which it is made."""

    name: str
    simple: tuple[str, ...]

    @property
    def columns(self) -> frozenset[str]:
        """Return the columns that decide the key, beside the channel."""
        return frozenset(TOUCHPOINT if one == PARENT else one for one in self.simple) - {ALL, CHANNEL}


def dimension_of(name: str) -> Dimension:
    """Return the dimension of this name."""
    return Dimension(name, tuple(name.split(PAIR, 1)))


def column(name: str, columns: Columns) -> Coded:
    """Return a column that `Dimension.columns` names."""
    if name.startswith(ATTRIBUTE):
        return columns.attribute(name.removeprefix(ATTRIBUTE))
    return columns.product if name == PRODUCT else columns.touchpoint


def keyed(dimension: Dimension, at: Mapping[str, Coded], parents: Mapping[str, str]) -> Coded:
    """Return the keys of a dimension; `at`: the columns that decide it, and the channel."""
    parts = [_simple(name, at, parents) for name in dimension.simple]
    if len(parts) == 1:
        return parts[0]
    first, second = parts
    width = len(second.titles)
    pairs, code = np.unique(first.code * width + second.code, return_inverse=True)
    titles = [_pair(first.titles[pair // width], second.titles[pair % width]) for pair in pairs.tolist()]
    return Coded(titles, code.reshape(-1))


def _simple(name: str, at: Mapping[str, Coded], parents: Mapping[str, str]) -> Coded:
    if name == ALL:
        return Coded([ALL], _zeros(at[CHANNEL].code))
    if name != PARENT:
        return at[name]
    below = at[TOUCHPOINT]
    above = [None if one is None else parents.get(one) for one in below.titles]
    titles = list(dict.fromkeys(above))
    code = np.array([titles.index(one) for one in above], dtype=np.int64)
    return Coded(titles, code[below.code])


def _pair(first: str | None, second: str | None) -> str | None:
    return None if first is None or second is None else msgspec.json.encode((first, second)).decode()


def _zeros(like: Ints) -> Ints:
    return np.zeros_like(like)
