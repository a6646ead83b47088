"""Which boundary of the grid a judge renews at, against a naive count of panes."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.outputs import DecisionKind
from schemas.windows import HOUR_MS, MINUTE_MS
from streams.renewals import CAUGHT_UP, Renewals, renewal

PANE = 10_000
BEGIN = 497_000 * HOUR_MS


def written(panes: list[int], every_ms: int = HOUR_MS) -> list[tuple[int, int]]:
    """Return (pane judged, boundary written) of a judge that has caught up at each of these panes."""
    of, out = Renewals(every_ms, PANE), []
    for pane in panes:
        boundary = of.due(pane, 0)
        if boundary is not None:
            of.written(boundary)
            out.append((pane, boundary))
    return out


def test_each_boundary_is_written_once_when_the_pane_before_it_is_judged() -> None:
    walk = list(range(BEGIN + MINUTE_MS, BEGIN + 3 * HOUR_MS, PANE))
    hours = [(BEGIN + hour * HOUR_MS - PANE, BEGIN + hour * HOUR_MS) for hour in (1, 2, 3)]
    assert written(walk) == [(BEGIN + MINUTE_MS, BEGIN), *hours]


@given(
    every=st.sampled_from([MINUTE_MS, 5 * MINUTE_MS, HOUR_MS]),
    steps=st.lists(st.integers(1, 2_000), min_size=1, max_size=40),
)
def test_after_any_jump_the_newest_boundary_stands_and_none_twice(every: int, steps: list[int]) -> None:
    panes = [BEGIN + PANE * sum(steps[: end + 1]) for end in range(len(steps))]
    said = written(panes, every)
    boundaries = [boundary for _, boundary in said]
    assert boundaries == sorted(set(boundaries))
    reached = 0
    for pane in panes:
        newest = max(at for at in range(pane - every + PANE, pane + PANE + 1, PANE) if at % every == 0)
        assert (newest > reached) == ((pane, newest) in said)
        reached = newest


def test_nothing_is_written_before_the_first_pane_nor_while_the_log_is_read() -> None:
    of = Renewals(HOUR_MS, PANE)
    assert of.due(None, 0) is None
    assert of.due(BEGIN, None) is None
    assert of.due(BEGIN, CAUGHT_UP + 1) is None
    assert of.due(BEGIN, CAUGHT_UP) == BEGIN


def test_no_grid_is_no_renewal() -> None:
    assert Renewals(0, PANE).due(BEGIN, 0) is None


def test_the_same_boundary_is_the_same_decision_whoever_writes_it() -> None:
    one, other = renewal(BEGIN, author="judge", made_at=1), renewal(BEGIN, author="backtest", made_at=2)
    assert one.decision_id == other.decision_id != renewal(BEGIN + HOUR_MS, author="judge", made_at=1).decision_id
    assert (one.kind, one.from_pane, one.author, one.body) == (DecisionKind.RENEW, BEGIN, "judge", {})
