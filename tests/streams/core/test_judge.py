"""The judge over a log: vector rule, sources, decisions, restart from its packed state."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY, Block, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.errors import ContractError
from schemas.metrics import OVERFLOW_KEY
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind, Output, Reading
from schemas.rules import BaselineKind
from streams.core.engine import Engine
from streams.core.judge import Judge

PANE = 10_000
START = 20_000 * 86_400_000
PACKAGED = load()
CATALOGUE = msgspec.structs.replace(
    PACKAGED,
    alarm=[
        msgspec.structs.replace(PACKAGED.alarm[0], baseline=BaselineKind.FIXED, p0=0.1, budget_per_week=500.0),
        PACKAGED.alarm[1],
    ],
)
CSAT, NPS = CATALOGUE.named("csat").identity, CATALOGUE.named("nps").identity


def judge_of(catalogue: Catalogue = CATALOGUE) -> Judge:
    return Judge(catalogue, pane_ms=PANE, provisional_step_ms=60_000, armed=True)


def block(partition: int, from_pane: int, to_pane: int, cells: Cells = EMPTY, **changes: Any) -> Block:
    """Return a block of panes counted from START; a first block (from_pane 0) is from the beginning of time."""
    plain: dict[str, Any] = {
        "topic": "feedback.card.v1", "topic_id": "T", "partition": partition,
        "from_pane": START + from_pane * PANE if from_pane else 0, "to_pane": START + to_pane * PANE, "pane_ms": PANE,
        "arrived_ms": 0, "next_offset": 0, "catalogue_hash": CATALOGUE.hash, "cells": cells,
    }  # fmt: skip
    return Block(**(plain | changes))


def sources(partitions: int) -> Decision:
    listed = [["feedback.card.v1", "T", partition] for partition in range(partitions)]
    return Decision(
        decision_id="s", kind=DecisionKind.SOURCES, author="judge", made_at=0,
        body={"sources": listed, "pane_ms": PANE, "catalogue_hash": CATALOGUE.hash},
    )  # fmt: skip


def command(kind: DecisionKind, from_pane: int | None = None, **body: Any) -> Decision:
    at = None if from_pane is None else START + from_pane * PANE
    return Decision(decision_id="c", kind=kind, from_pane=at, author="me", made_at=0, body=body)


def cells(pane: int, answers: list[tuple[str, int]], age_min: int = 0, fresh: int = 1) -> Cells:
    """Return cells of (key, csat score) that came in a pane."""
    minute = (START + pane * PANE - 1) // 60_000 - age_min
    named = [(Series(CSAT, *at, "card"), score) for key, score in answers for at in (("*", "*"), ("touchpoint", key))]
    return cells_of(Row(series, minute, score, fresh, 1, score) for series, score in named)


one_pane = st.lists(st.tuples(st.sampled_from(["paris", "lyon"]), st.sampled_from([1, 1, 2, 3, 4, 5, 5])), max_size=4)


@st.composite
def logs(draw: st.DrawFn) -> list[Block | Decision]:
    """Draw a log of three partitions: runs and panes with counts, repeated blocks, commands."""
    log: list[Block | Decision] = [sources(3)]
    reached = [draw(st.integers(1, 4)) for _ in range(3)]
    log += [block(partition, 0, at) for partition, at in enumerate(reached)]
    log.append(command(DecisionKind.RENEW, 6))
    for _ in range(draw(st.integers(5, 30))):
        partition = draw(st.integers(0, 2))
        following = reached[partition] + 1
        quiet = draw(st.sampled_from([0, 0, 0, 1, 7, 400]))
        if quiet:
            log.append(block(partition, following, following + quiet - 1))
            following += quiet
        held = cells(following, draw(one_pane), draw(st.sampled_from([0, 0, 0, 30, 90, 3000])))
        log.append(block(partition, following, following, held))
        reached[partition] = following
        extra = draw(st.sampled_from(["", "", "", "again", "renew", "late renew"]))
        if extra == "again":
            log.append(log[-1])
        elif extra:
            log.append(command(DecisionKind.RENEW, following + 5 if extra == "late renew" else None))
    top = max(reached)
    log += [block(partition, at + 1, top) for partition, at in enumerate(reached) if at < top]
    return log


def fed(judge: Judge, log: list[Block | Decision]) -> list[Output]:
    return [output for record in log for output in judge.feed(record)]


@settings(max_examples=40, deadline=None)
@given(log=logs(), cut=st.floats(0, 1))
def test_a_restored_judge_goes_on_as_if_nothing_had_happened(log: list[Block | Decision], cut: float) -> None:
    whole = judge_of()
    expected = fed(whole, log)
    at = int(cut * len(log))
    first = judge_of()
    out = fed(first, log[:at])
    second = Judge.unpack(first.pack(), CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    assert second.pack() == first.pack()
    out += fed(second, log[at:])
    assert out == expected
    assert second.pack() == whole.pack()
    assert [one.seq for one in out] == list(range(1, len(out) + 1))


@settings(max_examples=30, deadline=None)
@given(log=logs(), rng=st.randoms(use_true_random=False))
def test_the_order_of_blocks_across_sources_does_not_matter(log: list[Block | Decision], rng: Any) -> None:
    """Without commands: those take effect where they stand in the log."""
    blocks = [one for one in log if isinstance(one, Block)]
    expected, shuffled = judge_of(), judge_of()
    queues = [[one for one in blocks if one.partition == partition] for partition in range(3)]
    mixed: list[Block | Decision] = [sources(3), command(DecisionKind.RENEW, 6)]
    while any(queues):
        mixed.append(rng.choice([queue for queue in queues if queue]).pop(0))
    assert fed(shuffled, mixed) == fed(expected, [sources(3), command(DecisionKind.RENEW, 6), *blocks])


@settings(max_examples=30, deadline=None)
@given(log=logs())
def test_every_block_twice_gives_the_same(log: list[Block | Decision]) -> None:
    twice = [copy for one in log for copy in ([one, one] if isinstance(one, Block) else [one])]
    assert fed(judge_of(), twice) == fed(judge_of(), log)


def test_judging_begins_at_the_largest_first_pane_and_leaves_no_count_out() -> None:
    judge = judge_of()
    early = cells(2, [("paris", 5)])
    assert fed(judge, [sources(2), block(0, 0, 1), block(0, 2, 2, early), block(1, 0, 5)]) == []
    out = fed(judge, [block(0, 3, 7)])
    assert judge.pane == START + 5 * PANE
    assert out
    assert {one.as_of for one in out if isinstance(one, Reading)} == {START + 5 * PANE}
    slowest = judge.slowest()
    assert slowest is not None
    assert (slowest.partition, slowest.to) == (1, START + 5 * PANE)


def test_blocks_before_the_sources_record_wait_for_it() -> None:
    judge = judge_of()
    assert fed(judge, [block(0, 0, 5), block(0, 6, 6, cells(6, [("paris", 4)]))]) == []
    assert fed(judge, [sources(1)])
    assert judge.pane == START + 6 * PANE


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (block(0, 7, 7), "blocks_lost"),
        (block(0, 6, 6, pane_ms=1000), "other_definition"),
        (block(0, 6, 6, catalogue_hash="x"), "other_definition"),
        (block(0, 6, 6, topic_id="U"), "unknown_source"),
        (msgspec.structs.replace(block(0, 6, 6), to_pane=START + 6 * PANE + 1), "bad_pane"),
        (sources(2), "other_sources"),
        (block(0, 6, 6, cells_of([Row(Series("csat@00000000", "*", "*", "card"), 1, 1, 1, 1, 1)])), "unknown_metric"),
        (block(0, 6, 6, cells_of([Row(Series(CSAT, "*", "*", "card"), 1, 6, 1, 1, 1)])), "bad_cell"),
    ],
)
def test_a_log_that_contradicts_stops_the_judge(wrong: Block | Decision, reason: str) -> None:
    judge = judge_of()
    fed(judge, [sources(1), block(0, 0, 5)])
    with pytest.raises(ContractError) as error:
        judge.feed(wrong)
    assert error.value.reason == reason


def test_state_of_another_catalogue_is_refused() -> None:
    packed = judge_of().pack()
    with pytest.raises(ContractError):
        Judge.unpack(packed, PACKAGED, pane_ms=PANE, provisional_step_ms=60_000)
    with pytest.raises(ContractError):
        Judge.unpack(packed, CATALOGUE, pane_ms=1_000, provisional_step_ms=60_000)


def test_a_first_block_that_does_not_begin_at_zero_means_lost_blocks() -> None:
    with pytest.raises(ContractError):
        fed(judge_of(), [sources(1), block(0, 5, 5)])


def test_a_command_takes_effect_before_its_pane() -> None:
    judge = judge_of()
    fed(judge, [sources(1), block(0, 0, 5), block(0, 6, 6, cells(6, [("paris", 5)] * 3))])
    fed(judge, [command(DecisionKind.RENEW, 10)])
    assert judge.engine.armed == []
    fed(judge, [block(0, 7, 8)])
    assert judge.engine.armed == []
    fed(judge, [block(0, 9, 9)])
    assert [one.key for one in judge.engine.armed] == ["paris"]


def test_a_command_inside_a_quiet_run_is_applied_in_its_place() -> None:
    """The weight that quiet panes add begins with the renewal, not with the end of the run that holds it."""
    first = block(0, 6, 6, cells(6, [("paris", 5)]))
    log: list[Block | Decision] = [sources(1), block(0, 0, 5), first, command(DecisionKind.RENEW, 10)]
    bad = block(0, 1001, 1001, cells(1001, [("paris", 1)] * 9))
    at_once, by_pane = judge_of(), judge_of()
    expected = fed(by_pane, [*log, *(block(0, at, at) for at in range(7, 1001)), bad])
    assert fed(at_once, [*log, block(0, 7, 1000), bad]) == expected
    assert by_pane.engine.pack() == at_once.engine.pack()
    assert [one.state for one in expected if isinstance(one, AlarmTransition)] == [AlarmState.OPEN]


def test_an_alarm_resolves_by_command_with_its_author() -> None:
    judge = judge_of()
    fed(judge, [sources(1), block(0, 0, 5), block(0, 6, 6, cells(6, [("paris", 5)])), command(DecisionKind.RENEW)])
    fed(judge, [block(0, 7, 7, cells(7, [("paris", 1)] * 20))])
    (opened,) = judge.engine.open_alarms
    said = fed(judge, [command(DecisionKind.RESOLVE, alarm_id=opened.alarm_id)])
    assert [(one.state, one.actor, one.pane) for one in said if isinstance(one, AlarmTransition)] == [
        (AlarmState.RESOLVED, "me", START + 8 * PANE)
    ]


def test_keys_beyond_the_bound_share_the_overflow_key() -> None:
    csat = msgspec.structs.replace(CATALOGUE.named("csat"), max_keys=2)
    bounded = msgspec.structs.replace(CATALOGUE, metric=[csat], alarm=[])
    engine = Engine(bounded, pane_ms=PANE, provisional_step_ms=60_000)
    series = [Series(csat.identity, "touchpoint", key, "card") for key in ("c", "b", "a", "d")]
    minute = START // 60_000 - 1
    engine.advance(START, cells_of([Row(series[0], minute, 5, 1, 1, 5)]))
    out = engine.advance(START + PANE, cells_of([Row(one, minute, 5, 1, 2, 10) for one in series]))
    assert {one.key for one in out} == {"c", "a", OVERFLOW_KEY}
    assert engine.overflow == 4
    again = Engine.unpack(engine.pack(), bounded, pane_ms=PANE, provisional_step_ms=60_000)
    assert again.overflow == 4
