"""Count a source partition again from its raw records, with their stored times of arrival, and compare with the log's blocks."""

from collections import OrderedDict
from collections.abc import AsyncIterator

from schemas.blocks import Block

REMEMBERED = 1_000
"""Blocks of a source that are kept for comparison with those published again after a restart of stage 1."""


class Recount:
    """The recounted blocks of one source partition, drawn as far as the log asks for them."""

    def __init__(self, blocks: AsyncIterator[Block]) -> None:
        self._blocks = blocks
        self._known: OrderedDict[int, Block] = OrderedDict()
        self._reached = -1

    def seen(self, stored: Block) -> bool:
        """Return whether this block of the log is one published again."""
        return stored.to_pane in self._known

    async def of(self, stored: Block) -> tuple[Block | None, str]:
        """Return the recounted block that ends where `stored` does, and how they differ ("" if they are equal)."""
        skipped = 0
        while self._reached < stored.to_pane:
            block = await anext(self._blocks, None)
            if block is None:
                return None, "the raw topic does not close this pane"
            self._reached = block.to_pane
            self._known[block.to_pane] = block
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            skipped += block.to_pane < stored.to_pane
        found = self._known.get(stored.to_pane)
        if found is None:
            return None, "no such pane in the recount"
        if skipped:
            return found, f"the log leaves out {skipped} blocks before it"
        return found, differences(stored, found)


def differences(stored: Block, found: Block) -> str:
    """Return the names of the fields in which two blocks differ, with both values; "" if they are equal."""
    out = []
    for name in Block.__struct_fields__:
        one, other = getattr(stored, name), getattr(found, name)
        if one != other:
            out.append("cells" if name == "cells" else f"{name} {one} != {other}")
    return ", ".join(out)
