"""A backtest counts what stage 1 counts, with all that stage 1 remembers of customers, whatever the size of its chunks."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.backtest_counting import Counting
from deploy.native_lines import Arrival
from schemas.arrival import pane_of
from schemas.blocks import Cells
from schemas.event import Lane, from_record
from tests.streams.core.recall.conftest import CATALOGUE, PANE_MS, counted_events, log_of, run_of, tally_at


def chunks(arrivals: list[Arrival], cuts: list[int]) -> list[list[Arrival]]:
    """Return the events cut near `cuts`, but never within a pane."""
    panes = [pane_of(one.arrived_at, PANE_MS) for one in arrivals]
    between = [at for at in sorted(set(cuts)) if 0 < at < len(panes) and panes[at - 1] < panes[at]]
    return [arrivals[start:end] for start, end in itertools.pairwise([0, *between, len(arrivals)]) if start < end]


@pytest.mark.parametrize("live", [True, False])
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 80), max_size=4))
@settings(max_examples=4, deadline=None)
def test_cells_equal_those_of_the_blocks_pane_by_pane(seed: int, live: bool, cuts: list[int]) -> None:
    records = log_of(seed, size=50)
    blocks = tally_at(live=live).feed(run_of(records))
    expected = {block.to_pane: block.cells for block in blocks if len(block.cells)}
    lane = Lane.LIVE if live else Lane.HISTORY
    arrivals = [
        Arrival(event=from_record(one[1]), arrived_at=one[0], lane=lane) for one in counted_events(records, live=live)
    ]
    counting = Counting(CATALOGUE, pane_ms=PANE_MS, alarms_only=False)
    found: dict[int, Cells] = {}
    for chunk in chunks(arrivals, cuts):
        found |= counting.count(chunk)
    last = blocks[-1].to_pane if blocks else 0
    found |= counting.rest(last)
    assert {pane: cells for pane, cells in found.items() if pane <= last and len(cells)} == expected
