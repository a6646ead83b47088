"""When the judge writes that it goes on without a source: by what it has seen itself, never by a clock that jumped."""

import pytest

from schemas.exclusion import Why
from schemas.outputs import Decision, DecisionKind
from streams.exclusions import AGAIN_MS, Exclusions
from tests.streams.core.test_exclusion import back, out_of
from tests.streams.core.test_judge import PANE, START, block, fed, judge_of, sources

AFTER_MS = 60_000


class World:
    """A judge of two sources, and who watches it once a second."""

    def __init__(self, after_ms: int = AFTER_MS) -> None:
        self.judge = judge_of()
        self.watch = Exclusions(after_ms, PANE)
        self.now_ms = 1_000_000
        self.backlog: int | None = 0
        fed(self.judge, [sources(2), block(0, 0, 5), block(1, 0, 5)])

    def looks(self, seconds: int, step_ms: int = 1_000) -> list[Decision]:
        """Look so long without a word being written; return what was due first."""
        for _ in range(seconds):
            self.now_ms += step_ms
            due = self.watch.due(self.judge, self.backlog, self.now_ms)
            if due:
                return due
        return []

    def write(self, decisions: list[Decision]) -> None:
        """Write decisions; they come back from the log at once."""
        self.watch.written(decisions)
        fed(self.judge, list(decisions))


@pytest.fixture
def world() -> World:
    return World()


def test_a_source_that_stands_still_while_another_goes_ahead_is_left_out_and_comes_back(world: World) -> None:
    fed(world.judge, [block(0, 6, 20)])
    began = world.now_ms
    (decision,) = due = world.looks(100)
    assert AFTER_MS <= world.now_ms - began <= AFTER_MS + 2_000
    assert (decision.kind, decision.from_pane) == (DecisionKind.EXCLUDE, START + 6 * PANE)
    assert (decision.body["partition"], decision.body["why"]) == (1, "silent")
    world.write(due)
    assert world.judge.pane == START + 20 * PANE
    assert world.looks(100) == []
    fed(world.judge, [block(1, 6, 15), block(0, 21, 22)])
    assert world.looks(100) == [], "it moves, but is not there yet"
    fed(world.judge, [block(1, 16, 21)])
    (decision,) = due = world.looks(20)
    assert decision.kind is DecisionKind.INCLUDE
    world.write(due)
    assert [one.left_out for one in world.judge.sources] == [None, None]
    assert world.looks(100) == []


def test_a_source_that_moves_is_waited_for_however_far_it_is_behind(world: World) -> None:
    fed(world.judge, [block(0, 6, 2_000)])
    for pane in range(6, 12):
        assert world.looks(50) == []
        fed(world.judge, [block(1, pane, pane)])


def test_nobody_is_left_out_where_all_stand_still(world: World) -> None:
    fed(world.judge, [block(0, 6, 10)])
    assert world.looks(1_000) == [], "the other one is ahead by less than a minute"


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_clock_that_jumps_or_a_process_that_was_stopped_makes_no_source_silent(world: World, jump_ms: int) -> None:
    fed(world.judge, [block(0, 6, 20)])
    assert world.looks(30) == []
    world.now_ms += jump_ms
    assert world.looks(25) == []


def test_while_blocks_may_wait_unread_nothing_is_known_of_a_source(world: World) -> None:
    fed(world.judge, [block(0, 6, 20)])
    for backlog in (5_000, None):
        world.backlog = backlog
        assert world.looks(200) == []
    world.backlog = 0
    assert world.looks(55) == []


def test_a_source_that_still_stands_is_not_taken_back_where_others_stand_just_before_it() -> None:
    world = World()
    fed(world.judge, [out_of(1, from_pane=6), block(0, 6, 6)])
    assert world.judge.pane == START + 6 * PANE
    assert world.looks(200) == []
    fed(world.judge, [block(1, 6, 6)])
    assert [one.kind for one in world.looks(5)] == [DecisionKind.INCLUDE]


def test_without_a_time_the_judge_always_waits_but_brings_back_what_has_caught_up() -> None:
    world = World(after_ms=0)
    fed(world.judge, [block(0, 6, 2_000)])
    assert world.looks(1_000) == []
    fed(world.judge, [out_of(1), block(1, 6, 2_000)])
    assert [one.kind for one in world.looks(20)] == [DecisionKind.INCLUDE]


@pytest.mark.parametrize("why", [Why.OPERATOR, Why.SPOILT])
def test_what_others_have_left_out_stays_so(world: World, why: Why) -> None:
    fed(world.judge, [out_of(1, why), block(0, 6, 20), block(1, 6, 20)])
    assert world.looks(200) == []
    fed(world.judge, [back(1, Why.OPERATOR)])
    assert [one.left_out for one in world.judge.sources] == [None, None]


def test_what_changed_nothing_is_written_again_but_not_at_once(world: World) -> None:
    fed(world.judge, [block(0, 6, 20)])
    due = world.looks(100)
    world.watch.written(due)
    began = world.now_ms
    assert world.looks(100) != []
    assert world.now_ms - began >= AGAIN_MS
