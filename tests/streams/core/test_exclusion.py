"""Sources left out and waited for again: nothing is lost, nothing counts twice, and all of it is a function of the log."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import Block
from schemas.exclusion import Body, Why, exclusion, inclusion
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output, Reading
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.judge import Judge
from tests.streams.core.test_judge import CATALOGUE, PANE, START, block, cells, command, fed, judge_of, sources

SOURCES = 3
SHOPS = ("paris", "lyon")
SEEDS = st.integers(0, 2**32)
KEYS = {("*", "*"), ("touchpoint", "paris"), ("touchpoint", "lyon")}
QUIET = 3 * DAY_MS // PANE
"""Panes after which every window that a test looks at is settled."""


class Answer(NamedTuple):
    """What a block counts: one answer of one shop in a minute."""

    minute: int
    key: str
    score: int


class Log(NamedTuple):
    """A log, and everything that its blocks count."""

    records: list[Block | Decision]
    answers: list[Answer]


def out_of(partition: int, why: Why = Why.SILENT, from_pane: int | None = None) -> Decision:
    at = None if from_pane is None else START + from_pane * PANE
    return exclusion(_body(partition, why), from_pane=at, author="judge", made_at=1)


def back(partition: int, why: Why = Why.SILENT) -> Decision:
    return inclusion(_body(partition, why), from_pane=None, author="judge", made_at=2)


def _body(partition: int, why: Why) -> Body:
    return Body(topic="feedback.card.v1", topic_id="T", partition=partition, why=why)


def log_of(seed: int) -> Log:
    """Return the blocks of three sources in any order across them, and decisions about sources anywhere between.

    Everything takes less than forty minutes, so that no window is older than its rung when the last count comes.
    """
    dice = random.Random(seed)
    queues: list[list[Block]] = []
    answers: list[Answer] = []
    for partition in range(SOURCES):
        at = dice.randint(1, 4)
        queue = [block(partition, 0, at)]
        for _ in range(dice.randint(2, 9)):
            quiet = dice.choice([0, 0, 1, 7, 20])
            if quiet:
                queue.append(block(partition, at + 1, at + quiet))
                at += quiet
            at += 1
            age = dice.choice([0, 0, 5])
            some = [(dice.choice(SHOPS), dice.choice([1, 1, 2, 3, 4, 5, 5])) for _ in range(dice.randint(0, 4))]
            queue.append(block(partition, at, at, cells(at, some, age)))
            minute = (START + at * PANE - 1) // MINUTE_MS - age
            answers += [Answer(minute, key, score) for key, score in some]
        queues.append(queue)
    last = max((queue[-1].to_pane - START) // PANE for queue in queues)
    records: list[Block | Decision] = [sources(SOURCES), command(DecisionKind.RENEW, 6)]
    ends = [(queue[-1].to_pane - START) // PANE for queue in queues]
    while any(queues):
        queue = queues[dice.randrange(SOURCES)]
        if queue:
            records.append(queue.pop(0))
        records += _aside(dice, records[-1])
    records += [block(partition, at + 1, last) for partition, at in enumerate(ends) if at < last]
    for partition in range(SOURCES):
        records += [back(partition, Why.OPERATOR), back(partition)]
    records += [block(partition, last + 1, last + QUIET) for partition in range(SOURCES)]
    return Log(records, answers)


def _aside(dice: random.Random, newest: Block | Decision) -> list[Block | Decision]:
    partition, why = dice.randrange(SOURCES), dice.choice(list(Why))
    what = dice.choice(["", "", "", "out", "back", "again", "renew"])
    if what == "out":
        return [out_of(partition, why, dice.choice([None, None, 3, 10, 40]))]
    if what == "back":
        return [back(partition, why)]
    if what == "again":
        return [newest]
    return [command(DecisionKind.RENEW)] if what == "renew" else []


def without(records: Sequence[Block | Decision]) -> list[Block | Decision]:
    """Return a log without decisions about sources."""
    about = {DecisionKind.EXCLUDE, DecisionKind.INCLUDE}
    return [one for one in records if isinstance(one, Block) or one.kind not in about]


def last_rows(out: Sequence[Output]) -> dict[tuple[str, str, str, int], dict[int, int]]:
    """Return (window, dimension, key, window_end) -> the bins of its last revision."""
    found: dict[tuple[str, str, str, int], Reading] = {}
    for one in out:
        if isinstance(one, Reading) and one.metric == "csat":
            at = (one.window, one.dimension, one.key, one.window_end)
            assert at not in found or found[at].revision < one.revision
            found[at] = one
    return {at: {int(bin_): count for bin_, count in one.bins.items() if count} for at, one in found.items()}


def value_at(
    rows: dict[tuple[str, str, str, int], dict[int, int]], at: tuple[str, str, str], end: int
) -> dict[int, int]:
    """Return what the rows say for an end: the nearest row at or before it (only changes have rows)."""
    ends = [one[3] for one in rows if one[:3] == at and one[3] <= end]
    return rows[*at, max(ends)] if ends else {}


def recounted(answers: Sequence[Answer], key: str, length_ms: int, end: int) -> dict[int, int]:
    inside = (
        one.score for one in answers
        if end - length_ms <= one.minute * MINUTE_MS < end and key in {"*", one.key}
    )  # fmt: skip
    return dict(Counter(inside))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_once_all_has_come_every_window_says_what_a_recount_says(seed: int) -> None:
    log = log_of(seed)
    judge = judge_of()
    rows = last_rows(fed(judge, log.records))
    assert set(judge.engine.dirty.values()) == {0}
    begin = START // HOUR_MS * HOUR_MS
    for dimension, key in KEYS:
        for window, length, step, span in (("1h", HOUR_MS, MINUTE_MS, 150), ("24h", DAY_MS, 15 * MINUTE_MS, 110)):
            for end in range(begin, begin + span * step, step):
                said = value_at(rows, (window, dimension, key), end)
                assert said == recounted(log.answers, key, length, end), (window, key, end)
    plain = judge_of()
    fed(plain, without(log.records))
    assert [one.to for one in judge.sources] == [one.to for one in plain.sources]
    assert judge.pane == plain.pane


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, cut=st.floats(0, 1))
def test_a_restored_judge_goes_on_as_if_nothing_had_happened(seed: int, cut: float) -> None:
    log = log_of(seed)
    whole = judge_of()
    expected = fed(whole, log.records)
    at = int(cut * len(log.records))
    first = judge_of()
    out = fed(first, log.records[:at])
    second = Judge.unpack(first.pack(), CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    assert second.pack() == first.pack()
    assert out + fed(second, log.records[at:]) == expected
    assert second.pack() == whole.pack()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_a_decision_about_a_source_and_a_block_may_stand_twice(seed: int) -> None:
    log = log_of(seed)
    twice = [
        copy for one in log.records
        for copy in ([one] if isinstance(one, Decision) and one.kind is DecisionKind.RENEW else [one, one])
    ]  # fmt: skip
    assert fed(judge_of(), twice) == fed(judge_of(), log.records)


def begun(*, ahead: int = 6) -> Judge:
    """Return a judge of two sources, of which the first is ahead of the second, which stands at pane 5."""
    judge = judge_of()
    fed(judge, [sources(2), block(0, 0, 5), block(1, 0, 5), block(0, 6, ahead)])
    assert judge.pane == START + 5 * PANE
    return judge


def test_the_judge_goes_on_without_a_source_and_counts_it_late_and_once() -> None:
    judge = begun(ahead=20)
    fed(judge, [out_of(1, from_pane=6)])
    assert judge.pane == START + 20 * PANE
    slowest = judge.slowest()
    assert slowest is not None
    assert slowest.partition == 0
    late = block(1, 6, 6, cells(6, [("paris", 5)] * 3))
    assert fed(judge, [late, late, block(1, 7, 20)]) == []
    out = fed(judge, [block(0, 21, 27)])
    shown = [one for one in out if isinstance(one, Reading) and (one.window, one.key) == ("1h", "paris")]
    assert shown[-1].bins == {"5": 3}
    assert shown[-1].as_of == START + 21 * PANE, "in the first pane that is judged after they came"
    fed(judge, [back(1)])
    fed(judge, [block(0, 28, 30)])
    assert judge.pane == START + 27 * PANE, "it is waited for again"
    fed(judge, [block(1, 21, 30)])
    assert judge.pane == START + 30 * PANE


def test_detectors_hear_what_came_late_once() -> None:
    log: list[Block | Decision] = [
        sources(2), block(0, 0, 5), block(1, 0, 5), block(0, 6, 6, cells(6, [("paris", 5)])), block(1, 6, 6),
        command(DecisionKind.RENEW), block(0, 7, 20), out_of(1, from_pane=7),
        block(1, 7, 7, cells(7, [("paris", 1)] * 9)), block(0, 21, 22),
    ]  # fmt: skip
    said = [one for one in fed(judge_of(), log) if isinstance(one, AlarmTransition)]
    assert [(one.pane, one.bad) for one in said] == [(START + 21 * PANE, 9)]


def test_a_source_that_never_began_does_not_keep_the_others_from_beginning() -> None:
    judge = judge_of()
    fed(judge, [sources(2), block(0, 0, 5), block(0, 6, 6, cells(6, [("paris", 5)]))])
    assert judge.pane is None
    assert fed(judge, [out_of(1)])
    assert judge.pane == START + 6 * PANE
    fed(
        judge, [block(1, 0, 3), block(1, 4, 4, cells(4, [("paris", 5)] * 2)), back(1), block(0, 7, 18), block(1, 5, 18)]
    )
    assert judge.pane == START + 18 * PANE


@pytest.mark.parametrize(
    "decision",
    [
        out_of(1, from_pane=5),
        out_of(7),
        back(1),
        back(1, Why.OPERATOR),
        exclusion(Body(topic="t", topic_id="U", partition=1, why=Why.OPERATOR), from_pane=None, author="a", made_at=0),
    ],
)
def test_what_no_longer_fits_changes_nothing_and_is_counted(decision: Decision) -> None:
    """It has passed the pane named; it is no source here; it is not left out."""
    judge = begun()
    assert fed(judge, [decision]) == []
    assert judge.engine.ignored == {str(decision.kind): 1}
    assert [one.left_out for one in judge.sources] == [None, None]


def test_the_last_source_is_never_left_out() -> None:
    """Time itself would stand still with it, and a judge of nothing would look well."""
    judge = begun()
    fed(judge, [out_of(1), out_of(0, Why.OPERATOR)])
    assert [one.left_out is None for one in judge.sources] == [True, False]


def test_what_an_operator_has_left_out_only_an_operator_brings_back() -> None:
    judge = begun(ahead=20)
    fed(judge, [out_of(1), out_of(1, Why.OPERATOR), out_of(1, Why.SPOILT), back(1)])
    assert _reasons(judge) == [None, Why.OPERATOR]
    fed(judge, [back(1, Why.OPERATOR)])
    assert _reasons(judge) == [None, Why.SILENT], "it is behind: the others do not wait until it has caught up"
    fed(judge, [block(0, 21, 30)])
    assert judge.pane == START + 30 * PANE
    fed(judge, [block(1, 6, 30), back(1)])
    assert _reasons(judge) == [None, None]


def test_a_later_pane_is_waited_for() -> None:
    judge = begun(ahead=20)
    fed(judge, [out_of(1, Why.OPERATOR, from_pane=10)])
    assert judge.pane == START + 5 * PANE
    fed(judge, [block(1, 6, 8)])
    assert judge.pane == START + 8 * PANE
    fed(judge, [block(1, 9, 9)])
    assert judge.pane == START + 20 * PANE


def _reasons(judge: Judge) -> list[Any]:
    return [None if one.left_out is None else one.left_out.why for one in judge.sources]
