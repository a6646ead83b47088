"""Final readings of the engine equal the recount, and every way to spoil them is noticed."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from deploy.demo.generate import RealTime, real_time
from deploy.demo.shops import shops_of
from schemas import catalogue as catalogues
from schemas.blocks import Cells
from schemas.catalogue import Catalogue
from streams.core.merging import merged
from tests.end_to_end.engine import cells_by_pane, envelopes, judged, thinned
from tests.oracle import detector
from tests.oracle.comparison import differences
from tests.oracle.recount import Counts, Series, first_only, recount

CATALOGUE = catalogues.load()
PANE_MS = 10_000
MINUTE = 60_000
ByPane = dict[int, Cells]


@pytest.fixture(scope="module")
def month() -> RealTime:
    return real_time(shops_of(CATALOGUE), 4)


@pytest.fixture(scope="module")
def events(month: RealTime) -> list[Any]:
    return first_only(thinned(month, 40))


@pytest.fixture(scope="module")
def few(month: RealTime) -> list[Any]:
    return first_only(thinned(month, 160))


@pytest.fixture(scope="module")
def truth(events: list[Any]) -> dict[tuple[Series, str], Counts]:
    return recount(events, pane_ms=PANE_MS)


def late_row(pane: int, held: Cells, ix: int) -> bool:
    """Return whether a counted answer came minutes late, but not too late for any window of a day."""
    age = pane - int(held.minute[ix]) * MINUTE
    return 6 * MINUTE < age < 100 * MINUTE


def kept(held: Cells, chosen: Any) -> Cells:
    names = ("series_ix", "minute", "bin", "fresh", "count", "sum")
    return Cells(held.series, {name: getattr(held, name)[chosen] for name in names})


def dropped_late_cell(cells: ByPane) -> ByPane:
    pane, ix = next(
        (pane, ix) for pane, held in sorted(cells.items()) for ix in range(len(held)) if late_row(pane, held, ix)
    )
    held = cells[pane]
    return {**cells, pane: kept(held, np.arange(len(held)) != ix)}


def doubled_block(cells: ByPane) -> ByPane:
    pane = sorted(cells)[len(cells) // 2]
    return {**cells, pane: merged([cells[pane], cells[pane]])}


def skipped_pane(cells: ByPane) -> ByPane:
    pane = sorted(cells)[len(cells) // 2]
    return {one: held for one, held in cells.items() if one != pane}


def end_inclusive(cells: ByPane) -> ByPane:
    """Count every answer a minute earlier: then the windows are (E - W, E] instead of [E - W, E)."""
    return {
        pane: merged(
            [Cells(held.series, {
                "series_ix": held.series_ix, "minute": held.minute - 1, "bin": held.bin, "fresh": held.fresh,
                "count": held.count, "sum": held.sum,
            })]
        )
        for pane, held in cells.items()
    }  # fmt: skip


def wrong_box(packaged: Catalogue) -> Catalogue:
    return msgspec.structs.replace(
        packaged,
        metric=[msgspec.structs.replace(one, box=(3, 4, 5)) if one.name == "csat" else one for one in packaged.metric],
    )


def test_final_readings_equal_the_recount_over_all_windows(
    month: RealTime, events: list[Any], truth: dict[tuple[Series, str], Counts]
) -> None:
    until = month.end + 2 * 86_400_000
    cells = cells_by_pane(events, CATALOGUE, pane_ms=PANE_MS)
    readings, _ = judged(cells, CATALOGUE, pane_ms=PANE_MS, until=until)
    finals = [one for one in readings if one["status"] != "provisional"]
    assert {one["window"] for one in finals} == {"1h", "24h", "7d", "28d"} and len(finals) > 10_000
    assert any(one["status"] == "revised" for one in finals)
    assert differences(readings, truth, until=until) == []


@pytest.mark.long
@pytest.mark.parametrize("spoil", [dropped_late_cell, doubled_block, skipped_pane, end_inclusive])
def test_spoilt_counts_are_noticed(month: RealTime, few: list[Any], spoil: Callable[[ByPane], ByPane]) -> None:
    spoilt = spoil(cells_by_pane(few, CATALOGUE, pane_ms=PANE_MS))
    readings, _ = judged(spoilt, CATALOGUE, pane_ms=PANE_MS, until=month.end)
    assert differences(readings, recount(few, pane_ms=PANE_MS), until=month.end) != []


@pytest.mark.long
def test_a_wrong_box_is_noticed(month: RealTime, few: list[Any]) -> None:
    wrong = wrong_box(CATALOGUE)
    readings, _ = judged(cells_by_pane(few, wrong, pane_ms=PANE_MS), wrong, pane_ms=PANE_MS, until=month.end)
    assert differences(readings, recount(few, pane_ms=PANE_MS), until=month.end) != []


def test_transitions_equal_the_naive_detector(month: RealTime) -> None:
    events = first_only(envelopes(month.events))
    cells = cells_by_pane(events, CATALOGUE, pane_ms=PANE_MS, alarms_only=True)
    _, transitions = judged(
        cells, CATALOGUE, pane_ms=PANE_MS, until=month.end, decisions=[month.renewal], alarms_only=True
    )
    assert month.renewal.from_pane is not None
    naive = detector.transitions(events, renewed=month.renewal.from_pane, pane_ms=PANE_MS)
    assert [(one.pane, one.key, str(one.state)) for one in transitions] == naive
    assert (month.injected_shop, "open") in {(key, state) for _, key, state in naive}
