"""The recount behind `barometer replay`: blocks of the log against blocks counted from the begin, by catalogue."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from deploy.recount import Recount
from schemas.blocks import EMPTY, Block, Cells, Row, Series, cells_of
from schemas.declared import Declared
from tests.streams.core.recall.conftest import log_of, run_of, tally_at
from tests.streams.core.test_tally_changes import EVERY, PAIRS, in_force, panes_in
from tests.streams.core.test_tally_changes import counted as counted_in_turn

OLD, NEW = "old", "new"
STEP = 10


def cells(metric: str, count: int = 1) -> Cells:
    return cells_of([Row(Series(metric, "*", "*", "card"), 1, 5, 1, count, 5 * count)])


def busy(name: str, pane: int, **fields: Any) -> Block:
    """Return the block of one pane with an event."""
    given: dict[str, Any] = {"events": 1, "cells": cells(name), **fields}
    return Block(
        topic="cards", topic_id="T", partition=0, from_pane=pane * STEP, to_pane=pane * STEP, pane_ms=STEP,
        arrived_ms=pane * STEP - 1, next_offset=pane, catalogue_hash=name, **given,
    )  # fmt: skip


def quiet(name: str, first: int, last: int) -> Block:
    """Return the block of panes without records; pane `last` + 1 has the record that closes it."""
    return Block(
        topic="cards", topic_id="T", partition=0, from_pane=first * STEP, to_pane=last * STEP, pane_ms=STEP,
        arrived_ms=first * STEP - STEP - 1, next_offset=last + 1, catalogue_hash=name, cells=EMPTY,
    )  # fmt: skip


def of_one_stretch(piece: Block) -> Block:
    """Return a piece of the quiet panes 5 to 10: what came before them, and the record that closes them, are the same."""
    return replace(piece, arrived_ms=5 * STEP - STEP - 1, next_offset=11)


def counted(name: str) -> list[Block]:
    """Return a count from the begin: events in the panes 3, 4, 11 and 12."""
    return [quiet(name, 0, 2), busy(name, 3), busy(name, 4), quiet(name, 5, 10), busy(name, 11), busy(name, 12)]


def compared(log: Sequence[Block], *recounted: Block) -> list[str]:
    """Return what is said of each block of a log."""
    blocks = recounted or (*counted(OLD), *counted(NEW))

    async def batches() -> AsyncIterator[list[Block]]:
        for to_pane in sorted({one.to_pane for one in blocks}):
            yield [one for one in blocks if one.to_pane == to_pane]

    return asyncio.run(said_of(log, batches(), [OLD, NEW]))


async def said_of(log: Sequence[Block], batches: AsyncIterator[list[Block]], hashes: list[str]) -> list[str]:
    recount = Recount(batches, hashes)
    return [(await recount.of(one))[1] for one in log]


def test_a_log_of_one_catalogue_or_of_two_in_turn_is_what_was_recounted() -> None:
    assert compared(counted(OLD)) == [""] * 6
    assert compared([*counted(OLD)[:3], *counted(NEW)[3:]]) == [""] * 6
    assert compared([*counted(OLD)[:4], *counted(NEW)[4:]]) == [""] * 6


def test_a_change_may_cut_a_stretch_without_events_in_two() -> None:
    cut = [of_one_stretch(quiet(OLD, 5, 7)), of_one_stretch(quiet(NEW, 8, 10))]
    assert compared([*counted(OLD)[:3], *cut, *counted(NEW)[4:]]) == [""] * 7


def test_a_stretch_that_is_cut_without_a_change_is_noticed() -> None:
    cut = [of_one_stretch(quiet(OLD, 5, 7)), of_one_stretch(quiet(OLD, 8, 10))]
    said = compared([*counted(OLD)[:3], *cut, *counted(OLD)[4:]])
    assert said[4] == "the block before it ends where none was to end"
    assert compared([*counted(OLD)[:4], counted(OLD)[5]])[4] == "the log leaves out 1 blocks before it"
    assert compared([*counted(OLD)[:4], counted(NEW)[5]])[4] == "the log leaves out 1 blocks before it"


def test_another_count_or_an_event_too_many_is_noticed_on_both_sides_of_a_change() -> None:
    for at, name in ((2, OLD), (4, NEW)):
        for wrong in (busy(name, 0, cells=cells(name, 2)), busy(name, 0, events=2)):
            log = [*counted(OLD)[:4], *counted(NEW)[4:]]
            log[at] = replace(log[at], cells=wrong.cells, events=wrong.events)
            said = compared(log)
            assert said[at] and not any(said[:at] + said[at + 1 :])


def test_a_block_counted_with_another_catalogue_than_it_says_is_noticed() -> None:
    log = counted(OLD)
    log[4] = replace(log[4], catalogue_hash=NEW)
    assert compared(log)[4] == "cells"
    log[4] = replace(log[4], catalogue_hash="third")
    assert compared(log)[4] == "counted with catalogue third, which nobody has declared"


def test_blocks_published_again_after_a_change_are_compared_too() -> None:
    log = [*counted(OLD)[:4], *counted(OLD)[2:4], *counted(NEW)[4:]]
    assert compared(log) == [""] * len(log)
    log = [*counted(OLD)[:5], *counted(NEW)[3:]]  # a stage that had not known of the change, and its successor
    assert compared(log) == [""] * len(log)


def test_a_pane_that_the_raw_topic_does_not_hold_is_noticed() -> None:
    assert compared([*counted(OLD), busy(OLD, 13)])[6] == "the raw topic does not close this pane"


@given(
    seed=st.integers(0, 2**32), where=st.integers(0, 10**6), pair=st.sampled_from(PAIRS), live=st.booleans(),
    size=st.sampled_from([1, 7, 40]), lost=st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=6, deadline=None)
def test_what_stage_1_counts_around_a_change_is_recounted_and_a_block_that_is_lost_is_noticed(
    seed: int, where: int, pair: tuple[str, str], live: bool, size: int, lost: int
) -> None:
    """The catalogues remember different things of customers, so they cut stretches without records in different places."""
    records, (first, second) = log_of(seed, size=40), (EVERY[name] for name in pair)
    panes = panes_in(records)
    known = in_force(Declared(0, first), Declared(panes[where % len(panes)], second))
    log = counted_in_turn(records, known, live=live)

    async def batches() -> AsyncIterator[list[Block]]:
        tallies = [tally_at(live=live, catalogue=one) for one in (first, second)]
        for at in range(0, len(records), size):
            run = run_of(records[at : at + size])
            yield [block for tally in tallies for block in tally.feed(run)]

    hashes = [first.hash, second.hash]
    assert [one for one in asyncio.run(said_of(log, batches(), hashes)) if one] == []
    held = [ix for ix, one in enumerate(log[:-1]) if one.events or len(one.cells)]
    if held:
        del log[held[lost % len(held)]]
        assert any(asyncio.run(said_of(log, batches(), hashes)))
