"""Where each source partition begins to count with a new catalogue: the first block of it that the judge takes."""

from collections.abc import Mapping
from typing import NamedTuple, Self

from schemas.arrival import pane_of
from schemas.codec import Kind, decode_as, kind_of
from schemas.declared import SEEDS, Catalogues
from schemas.errors import UndecodableError
from sinks.seed_cells import Cut

Source = tuple[str, int]
"""(topic id, partition)"""


class Counted(NamedTuple):
    """What a block says of its place; panes in ms."""

    source: Source
    from_pane: int
    to_pane: int
    next_offset: int
    catalogue_hash: str

    @classmethod
    def of(cls, value: bytes | None) -> Self | None:
        """Return what a record of the tallies log says; None for a decision, a seed, and what the sink puts aside as no block."""
        try:
            if value is None or kind_of(value) is not Kind.BLOCK:
                return None
            record = decode_as(Kind.BLOCK, value)
        except UndecodableError:
            return None
        if record["topic"] in SEEDS:
            return None
        source = (record["topic_id"], record["partition"])
        return cls(source, record["from_pane"], record["to_pane"], record["next_offset"], record["catalogue_hash"])


class Switches:
    """The switch of every source at the change of pane `pane`; feed it every block that ends with that pane or later.

    `cuts`: source -> its cut; `ends`: source -> an offset, before which lies all that arrived before the cut.
    """

    def __init__(self, sources: Mapping[Source, str], pane: int, pane_ms: int) -> None:
        self._sources, self._pane, self._pane_ms = sources, pane, pane_ms
        self._to: dict[Source, int] = {}
        self.cuts: dict[Source, Cut] = {}
        self.ends: dict[Source, int] = {}

    @property
    def missing(self) -> list[Source]:
        """Return the sources that have not switched, in order of their topics."""
        return sorted(self._sources.keys() - self.cuts.keys(), key=lambda one: (self._sources[one], one[1]))

    def take(self, block: Counted, catalogues: Catalogues) -> None:
        """Take the next block of the log; `catalogues`: all that were declared before it was published.

        A block at or below an earlier one of its source was published again, and is no switch: the judge skips it.
        """
        source = block.source
        if source not in self._sources or source in self.cuts or block.to_pane <= self._to.get(source, -1):
            return
        self._to[source] = block.to_pane
        if any(
            one.catalogue.hash == block.catalogue_hash
            and self._pane <= pane_of(one.from_pane - 1, self._pane_ms) <= block.to_pane
            for one in catalogues
        ):
            closed = max(0, block.from_pane - self._pane_ms)
            self.cuts[source] = Cut(self._sources[source], *source, closed)
            self.ends[source] = block.next_offset
