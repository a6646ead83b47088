"""Count a source partition again from its raw records, with their stored times of arrival, and compare with the log's blocks."""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable

import msgspec

from schemas.blocks import Block

REMEMBERED = 1_000
"""Blocks of a source and catalogue that are kept for comparison with those published again after a restart of stage 1."""


class Recount:
    """The recounted blocks of one source partition, by catalogue, drawn as far as the log asks for them.

    Each catalogue is recounted from the begin, so a change may cut a stretch without events in two that is one here.
    """

    def __init__(self, batches: AsyncIterator[list[Block]], hashes: Iterable[str]) -> None:
        """`batches`: what each read of the raw topic closes, the blocks of each catalogue in order; `hashes`: of all catalogues."""
        self._batches = batches
        self._coming: dict[str, deque[Block]] = {one: deque() for one in hashes}
        self._known: dict[str, OrderedDict[int, Block]] = {one: OrderedDict() for one in self._coming}
        self._to = -1
        """The last pane of the log's blocks so far, of any catalogue."""
        self._hash = ""
        """The catalogue of the block that ended there."""
        self.next_offset = 0
        """The first offset that the log's blocks so far leave out."""
        self._cut = False
        """Whether that block ended where only a change of the catalogue may end one."""

    def seen(self, stored: Block) -> bool:
        """Return whether this block of the log is one published again."""
        return stored.to_pane <= self._to

    async def of(self, stored: Block) -> tuple[Block | None, str]:
        """Return what is recounted for the panes of `stored`, and how they differ ("" if they are equal).

        It is counted with the catalogue that `stored` names, which may be another one than that of the block before.
        """
        name, before = stored.catalogue_hash, self._to
        if name not in self._coming:
            return None, f"counted with catalogue {name}, which nobody has declared"
        while stored.to_pane not in self._known[name] and (
            not self._coming[name] or self._coming[name][-1].to_pane < stored.to_pane
        ):
            batch = await anext(self._batches, None)
            if batch is None:
                return None, "the raw topic does not close this pane"
            for block in batch:
                self._coming[block.catalogue_hash].append(block)
        skipped = self._draw(stored.to_pane, name, before)
        found = self._around(stored)
        if found is None:
            return None, "no such pane in the recount"
        again, changed, cut = self.seen(stored), name != self._hash, self._cut
        if not again:
            self.next_offset = stored.next_offset
            self._to, self._hash, self._cut = stored.to_pane, name, found.to_pane != stored.to_pane
        if cut and not changed and not again:
            return found, "the block before it ends where none was to end"
        if skipped:
            return found, f"the log leaves out {skipped} blocks before it"
        piece = found
        if not (found.events or len(found.cells)) and (changed or again or stored.from_pane == found.from_pane):
            piece = msgspec.structs.replace(found, from_pane=stored.from_pane, to_pane=stored.to_pane)
        return piece, differences(stored, piece)

    def _draw(self, to_pane: int, name: str, before: int) -> int:
        """Remember what is recounted up to a pane; return how many blocks of a catalogue lie between the log's last one and it."""
        skipped = 0
        for one, coming in self._coming.items():
            known = self._known[one]
            while coming and coming[0].to_pane <= to_pane:
                block = coming.popleft()
                known[block.to_pane] = block
                if len(known) > REMEMBERED:
                    known.popitem(last=False)
                skipped += one == name and before < block.to_pane < to_pane
        return skipped

    def _around(self, stored: Block) -> Block | None:
        """Return the recounted block that ends where `stored` does, else the one in whose panes it lies."""
        known, coming = self._known[stored.catalogue_hash], self._coming[stored.catalogue_hash]
        found = known.get(stored.to_pane)
        if found is None:
            found = next((one for to_pane, one in known.items() if to_pane > stored.to_pane), None)
        if found is None:
            found = coming[0] if coming else None
        return found if found is not None and found.from_pane <= stored.to_pane else None


def differences(stored: Block, found: Block) -> str:
    """Return the names of the fields in which two blocks differ, with both values; "" if they are equal."""
    out = []
    for name in Block.__struct_fields__:
        one, other = getattr(stored, name), getattr(found, name)
        if one != other:
            out.append("cells" if name == "cells" else f"{name} {one} != {other}")
    return ", ".join(out)
