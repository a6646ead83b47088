"""The ledger's lines: however the log is cut into batches, they say the same, and what a naive count says."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from schemas.ledger import SINK, TALLY, Line
from schemas.topics import LIVE
from schemas.windows import HOUR_MS
from sinks.ledger_blocks import block_line
from sinks.ledger_lines import WORD, Numbered, Open, advanced, counted
from sinks.rows import Place

PLACE = Place("feedback.card.v1", "card-id", 2, 0, 0)
ROW, REPEAT, BAD, TICK = range(4)


class One(NamedTuple):
    offset: int
    arrived: int
    kind: int


@st.composite
def logs(draw: st.DrawFn) -> list[One]:
    steps = st.tuples(
        st.integers(1, 3), st.integers(0, 2 * HOUR_MS // 3), st.sampled_from([ROW, ROW, REPEAT, BAD, TICK])
    )
    offset, arrived, out = 10, 5 * HOUR_MS, []
    for step, later, kind in draw(st.lists(steps, max_size=40)):
        offset, arrived = offset + step, arrived + later
        out.append(One(offset, arrived, kind))
    return out


def taken(some: list[One]):
    at = [
        [i for i, one in enumerate(some) if one.kind in kinds] for kinds in ({ROW, REPEAT, BAD}, {ROW, REPEAT}, {ROW})
    ]
    return counted(PLACE, [one.offset for one in some], [one.arrived for one in some], Numbered(*at))


def lines_of(log: list[One], cuts: list[int]) -> tuple[list[tuple[Line, Place]], Open]:
    line, closed = Open(10), []
    ends = sorted({min(cut, len(log)) for cut in cuts} | {len(log)})
    for start, end in zip([0, *ends], ends, strict=False):
        more, line = advanced(line, taken(log[start:end]))
        closed += more
    return closed, line


@given(logs(), st.lists(st.integers(0, 40)))
def test_lines_do_not_depend_on_how_the_log_is_cut(log: list[One], cuts: list[int]) -> None:
    assert lines_of(log, cuts) == lines_of(log, [])


@given(logs())
def test_lines_say_what_a_naive_count_says_and_leave_no_offset_out(log: list[One]) -> None:
    closed, line = lines_of(log, [7, 20])
    hours = sorted({one.arrived // HOUR_MS * HOUR_MS for one in log})
    assert [one.hour for one, _ in closed] == hours[:-1]
    begins = 10
    for one, place in closed:
        assert (one.first_offset, one.next_offset, one.writer) == (begins, place.offset, SINK)
        begins = one.next_offset
        mine = [record for record in log if record.arrived // HOUR_MS * HOUR_MS == one.hour]
        kinds = [record.kind for record in mine]
        assert (one.events, one.repeats, one.undecodable, one.ticks) == tuple(
            kinds.count(kind) for kind in (ROW, REPEAT, BAD, TICK)
        )
        assert one.next_offset - one.first_offset == len(mine) + one.holes
        assert one.squares == sum(record.offset**2 for record in mine if record.kind in {ROW, BAD}) % WORD
    assert line.first == begins


def _block(next_offset: int, to_pane: int, **counts: int) -> dict[str, object]:
    return {
        "topic": next(iter(LIVE.values())).name, "topic_id": "t", "partition": 1, "to_pane": to_pane, "next_offset": next_offset,
        "events": 0, "repeats": 0, "undecodable": 0, "ticks": 0, **counts,
    }  # fmt: skip


def test_blocks_published_again_and_blocks_without_offsets_make_no_line() -> None:
    ends: dict[tuple[str, int], int] = {}
    blocks = [
        _block(3, HOUR_MS), _block(8, HOUR_MS + 1000, events=4, ticks=1), _block(8, 2 * HOUR_MS),
        _block(8, HOUR_MS + 1000, events=4, ticks=1), _block(20, 2 * HOUR_MS, events=10),
    ]  # fmt: skip
    lines = [block_line(one, ends) for one in blocks]
    assert [None if one is None else (one.first_offset, one.next_offset, one.hour, one.holes, one.writer) for one in lines] == [
        None, (3, 8, HOUR_MS, 0, TALLY), None, None, (8, 20, HOUR_MS, 2, TALLY),
    ]  # fmt: skip
