"""Window settlement against a recount of everything in every pane."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.outputs import Output, Reading
from schemas.windows import WINDOWS
from streams.core.engine import Engine
from tests.streams.core.naive import Came, Naive, Said

SCALES = {
    "1h": (60_000, 60_000),
    "24h": (300_000, 900_000),
    "7d": (3_600_000, 3_600_000),
    "28d": (21_600_000, 43_200_000),
}
"""Window -> pane length and provisional step: few enough panes for a recount of each."""
START = 20_000 * 86_400_000 + 6 * 3_600_000


def catalogue_of(*windows: str) -> Catalogue:
    packaged = load()
    csat = msgspec.structs.replace(packaged.named("csat"), windows=windows)
    return msgspec.structs.replace(packaged, metric=[csat], alarm=[])


def cells(catalogue: Catalogue, came: list[Came]) -> Cells:
    series = Series(catalogue.metric[0].identity, "*", "*", "card")
    return cells_of(Row(series, one.occurred // 60_000, one.bin, 1, 1, one.bin) for one in came)


def run(
    catalogue: Catalogue, pane_ms: int, step_ms: int, came: list[Came], last: int, *, every_pane: bool
) -> list[Output]:
    engine = Engine(catalogue, pane_ms=pane_ms, provisional_step_ms=step_ms)
    out: list[Output] = []
    panes = range(START, last + 1, pane_ms) if every_pane else sorted({one.pane for one in came} | {last})
    for pane in panes:
        now = [one for one in came if one.pane == pane]
        out += engine.advance(pane, cells(catalogue, now) if now else EMPTY)
    return out


def said(outputs: list[Output]) -> list[Said]:
    out = []
    for one in outputs:
        assert isinstance(one, Reading)
        bins = {int(bin_): count for bin_, count in one.bins.items()}
        out.append(Said(one.as_of, one.window_end, one.status.value, one.revision, bins))
    return out


def arrivals(window: str) -> st.SearchStrategy[list[Came]]:
    pane_ms, _ = SCALES[window]
    reach = WINDOWS[window].span_ms + 3 * WINDOWS[window].bucket_ms
    edges = [0, WINDOWS[window].lateness_ms, WINDOWS[window].length_ms, WINDOWS[window].span_ms]
    ages = st.one_of(
        st.integers(-pane_ms // 2, 3 * pane_ms), st.integers(0, reach), st.integers(0, reach // 10),
        st.sampled_from(edges), st.sampled_from(edges).map(lambda age: age + WINDOWS[window].bucket_ms),
    )  # fmt: skip
    one = st.builds(
        lambda pane, age, bin_: Came(START + pane * pane_ms, START + pane * pane_ms - age, bin_),
        st.integers(0, 40), ages, st.integers(1, 5),
    )  # fmt: skip
    return st.lists(one, min_size=1, max_size=12)


@pytest.mark.parametrize("window", list(SCALES))
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_rows_equal_a_recount_of_every_pane(window: str, data: st.DataObject) -> None:
    """Late, very late, early and future answers: the same rows, in the same panes, as recounting everything each time."""
    pane_ms, step_ms = SCALES[window]
    came = data.draw(arrivals(window))
    catalogue = catalogue_of(window)
    last = START + 130 * pane_ms
    lateness = catalogue.metric[0].lateness(window)
    naive = Naive(window=WINDOWS[window], pane_ms=pane_ms, provisional_ms=step_ms, lateness_ms=lateness)
    assert said(run(catalogue, pane_ms, step_ms, came, last, every_pane=True)) == naive.readings(came, START, last)


@settings(max_examples=30, deadline=None)
@given(came=arrivals("1h"))
def test_quiet_runs_give_the_same_rows_as_pane_by_pane(came: list[Came]) -> None:
    catalogue = catalogue_of("1h", "24h", "7d", "28d")
    last = START + 40 * 60_000 + 3 * 86_400_000
    at_once = run(catalogue, 60_000, 60_000, came, last, every_pane=False)
    assert run(catalogue, 60_000, 60_000, came, last, every_pane=True) == at_once


@settings(max_examples=40, deadline=None)
@given(came=arrivals("1h"))
def test_the_value_of_an_end_without_a_row_is_that_of_the_nearest_earlier_row(came: list[Came]) -> None:
    """The promise that sparse rows rest on, for answers that come while their windows can be recounted."""
    came = [one for one in came if one.pane - one.occurred < 3_000_000]
    catalogue, last = catalogue_of("1h"), START + 200 * 60_000
    rows: dict[int, dict[int, int]] = {}
    for one in said(run(catalogue, 60_000, 60_000, came, last, every_pane=False)):
        rows[one.end] = one.bins
    naive = Naive(window=WINDOWS["1h"], pane_ms=60_000, provisional_ms=60_000, lateness_ms=300_000)
    for end in naive.ends(START - 3_600_000, last - 300_000):
        seen = [at for at in rows if at <= end]
        assert (rows[max(seen)] if seen else {}) == naive.bins(came, last, end)


def test_a_count_too_late_for_its_rung_marks_windows_dirty_and_writes_no_row() -> None:
    catalogue = catalogue_of("1h")
    engine = Engine(catalogue, pane_ms=60_000, provisional_step_ms=60_000)
    assert engine.advance(START, cells(catalogue, [Came(START, START - 5 * 3_600_000, 4)])) == []
    assert engine.dirty == {"1h": 60, "24h": 0, "7d": 0, "28d": 0}
    assert engine.series == 0


def test_a_dirty_end_counts_once_a_pane_however_many_counts_meet_it() -> None:
    """Two answers ten minutes apart: 70 ends hold one of them or both."""
    engine = Engine(catalogue_of("1h"), pane_ms=60_000, provisional_step_ms=60_000)
    came = [Came(START, START - 5 * 3_600_000 + late, 4) for late in (0, 600_000)]
    engine.advance(START, cells(catalogue_of("1h"), came))
    assert engine.dirty["1h"] == 70


def test_a_window_that_runs_empty_says_no_data_once() -> None:
    catalogue = catalogue_of("1h")
    rows = said(run(catalogue, 60_000, 60_000, [Came(START, START - 1, 5)], START + 10 * 3_600_000, every_pane=False))
    assert [(one.end - START, one.status, one.bins) for one in rows] == [
        (0, "provisional", {5: 1}),
        (0, "final", {5: 1}),
        (3_600_000, "provisional", {}),
        (3_600_000, "final", {}),
    ]


def test_state_of_a_silent_series_is_forgotten() -> None:
    catalogue = load()
    engine = Engine(catalogue, pane_ms=10_000, provisional_step_ms=60_000)
    identity = catalogue.named("csat").identity
    engine.advance(START, cells_of([Row(Series(identity, "*", "*", "card"), START // 60_000 - 1, 4, 1, 1, 4)]))
    assert engine.series == 1
    engine.advance(START + 60 * 86_400_000, EMPTY)
    assert engine.series == 0


def test_a_score_is_withheld_while_too_few_of_those_asked_have_answered() -> None:
    packaged = load()
    response = msgspec.structs.replace(packaged.named("response_rate"), windows=("1h",))
    csat = msgspec.structs.replace(
        packaged.named("csat"), windows=("1h",), response_metric="response_rate", response_rate_min=0.5
    )
    catalogue = msgspec.structs.replace(packaged, metric=[csat, response], alarm=[])
    engine = Engine(catalogue, pane_ms=60_000, provisional_step_ms=60_000)

    def pane(number: int, *, scores: int, asked: int, answered: int) -> Reading:
        minute = START // 60_000 + number
        counts = ((csat.identity, 5, scores), (response.identity, 0, asked), (response.identity, 1, answered))
        rows = [Row(Series(metric, "*", "*", "card"), minute, bin_, 1, n, n * bin_) for metric, bin_, n in counts if n]
        said = engine.advance(START + (number + 1) * 60_000, cells_of(rows))
        return next(one for one in said if isinstance(one, Reading) and one.metric == "csat")

    few = pane(0, scores=4, asked=10, answered=4)
    assert (few.quality, few.value, few.lo, few.n) == ("withheld", None, None, 4)
    enough = pane(1, scores=1, asked=0, answered=1)
    assert (enough.quality, enough.value, enough.n) == ("low_n", 1.0, 5)
