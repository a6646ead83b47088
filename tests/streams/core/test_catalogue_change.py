"""A catalogue that changes in the middle of a log: what stays goes on to the bit, what is new is as if it had always been."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY, Block, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.declared import LESSON, SEED, declaration
from schemas.errors import ContractError
from schemas.metrics import Metric
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind, Output, Reading, Status
from schemas.rules import BaselineKind, Rule, RuleKind
from streams.core.judge import Judge

PANE = 10_000
START = 20_000 * 86_400_000
LATER = START + 3 * 86_400_000
PANES = 240
CHANGE = 100
PACKAGED = load()
CSAT = PACKAGED.named("csat")
NPS = PACKAGED.named("nps")
STRICT = msgspec.structs.replace(CSAT, name="csat_strict", box=(5,))
FIXED = Rule(
    name="fall", owner="ops", kind=RuleKind.DROP, severity="page", metric="csat", baseline=BaselineKind.FIXED, p0=0.1,
    p1=(0.4,), budget_per_week=500.0,
)  # fmt: skip
GOING = msgspec.structs.replace(FIXED, name="going", p1=(0.5,))
COMING = msgspec.structs.replace(
    FIXED, name="coming", dimension="*", baseline=BaselineKind.LEARNED, p0=None, learn_min=50, learn_lag_ms=86_400_000
)
BEFORE = Catalogue(metric=[CSAT, NPS], alarm=[FIXED, GOING])
AFTER = Catalogue(metric=[CSAT, STRICT], alarm=[FIXED, COMING])

Answers = Sequence[tuple[int, str, int]]
"""(pane, touchpoint, score)"""


def judge_of(catalogue: Catalogue) -> Judge:
    return Judge(catalogue, pane_ms=PANE, provisional_step_ms=60_000)


def at(pane: int) -> int:
    return START + pane * PANE


def cells(answers: Answers, metrics: Iterable[Metric], *, fresh: int = 1) -> Cells:
    """Return the cells of answers, each given in the minute in which it came."""
    rows = [
        Row(Series(metric.identity, dimension, key, "card"), (at(pane) - 1) // 60_000, score, fresh, 1, score)
        for pane, touchpoint, score in answers
        for metric in metrics
        for dimension, key in (("*", "*"), ("touchpoint", touchpoint))
        if metric.name != "nps"
    ]
    return cells_of(rows)


def sources(catalogue: Catalogue) -> Decision:
    body = {"sources": [["cards", "T", 0], ["cards", "T", 1]], "pane_ms": PANE, "catalogue_hash": catalogue.hash}
    return Decision(decision_id="s", kind=DecisionKind.SOURCES, author="judge", made_at=0, body=body)


def command(kind: DecisionKind, pane: int | None = None, **body: Any) -> Decision:
    return Decision(
        decision_id="c", kind=kind, from_pane=None if pane is None else at(pane), author="ann", note="as agreed",
        made_at=0, body=body,
    )  # fmt: skip


def arm(rule: Rule, pane: int) -> Decision:
    return command(DecisionKind.ARM, pane, rule=rule.name, definition_hash=rule.definition_hash, backtest={})


def blocks(answers: Answers, partition: int, first: int, last: int, catalogue: Catalogue) -> list[Block]:
    """Return the blocks of the panes [first, last] of a partition, which takes every other answer."""
    out = []
    for pane in range(first, last + 1):
        mine = [one for ix, one in enumerate(answers) if one[0] == pane and ix % 2 == partition]
        out.append(
            Block(
                topic="cards", topic_id="T", partition=partition, from_pane=0 if pane == 0 else at(pane),
                to_pane=at(pane), pane_ms=PANE, arrived_ms=0, next_offset=0, catalogue_hash=catalogue.hash,
                cells=cells(mine, catalogue.metric),
            )
        )  # fmt: skip
    return out


def planted(topic: str, answers: Answers, metric: Metric, number: int = 0) -> Block:
    return Block(
        topic=topic, topic_id=AFTER.hash, partition=number, from_pane=at(CHANGE), to_pane=at(CHANGE), pane_ms=PANE,
        arrived_ms=at(CHANGE), next_offset=0, catalogue_hash=AFTER.hash, cells=cells(answers, [metric], fresh=0),
    )  # fmt: skip


def steady(catalogue: Catalogue, answers: Answers) -> list[Block | Decision]:
    """Return a log counted with one catalogue from its begin."""
    log: list[Block | Decision] = [sources(catalogue)]
    log += [arm(rule, 40) for rule in catalogue.alarm if rule.baseline is BaselineKind.FIXED]
    both = zip(blocks(answers, 0, 0, PANES, catalogue), blocks(answers, 1, 0, PANES, catalogue), strict=True)
    log += [one for pair in both for one in pair]
    return log


def changing(answers: Answers, switches: Sequence[int], seeded_at: int, *, seed: bool = True) -> list[Block | Decision]:
    """Return a log whose partitions count with AFTER from `switches` on, with the seed before pane `seeded_at`."""
    log: list[Block | Decision] = [sources(BEFORE), arm(FIXED, 40), arm(GOING, 40)]
    log.append(
        declaration(
            AFTER, from_pane=at(CHANGE), replaces=BEFORE.hash, author="ann", note="as agreed", made_at=0, seed=seed
        )
    )
    parts = [
        blocks(answers, partition, 0, switch - 1, BEFORE) + blocks(answers, partition, switch, PANES, AFTER)
        for partition, switch in enumerate(switches)
    ]
    for pane, pair in enumerate(zip(*parts, strict=True)):
        if pane == seeded_at and seed:
            past = [one for ix, one in enumerate(answers) if one[0] < switches[ix % 2]]
            log += [planted(SEED, past[:20], STRICT, 0), planted(SEED, past[20:], STRICT, 1)]
            log.append(planted(LESSON, [one for one in answers if one[0] < CHANGE], CSAT))
            log.append(command(DecisionKind.SEEDED, catalogue_hash=AFTER.hash, events=len(past)))
        log += pair
    return log


def said(judge: Judge, log: Iterable[Block | Decision]) -> list[Output]:
    return [output for entry in log for output in judge.feed(entry)]


def bare(output: Output) -> Output:
    changes: dict[str, Any] = {"seq": 0}
    if isinstance(output, Reading):
        changes["catalogue_hash"] = ""
    return msgspec.structs.replace(output, **changes)


def final_of(outputs: Iterable[Output], metric: Metric) -> dict[tuple[str, str, str], dict[int, tuple[Any, ...]]]:
    """Return series and window -> end -> bins and value of the last row, for ends that are final."""
    rows: dict[tuple[str, str, str], dict[int, tuple[Any, ...]]] = {}
    for one in outputs:
        if isinstance(one, Reading) and one.metric_version == metric.identity and one.status != Status.PROVISIONAL:
            rows.setdefault((one.dimension, one.key, one.window), {})[one.window_end] = (one.bins, one.value, one.lo)
    return rows


def known(ends: dict[int, tuple[Any, ...]], end: int) -> tuple[Any, ...]:
    """Return what is known at an end: its row, else that of the nearest earlier end; ({}, None, None) without any."""
    before = [one for one in ends if one <= end]
    return ends[max(before)] if before else ({}, None, None)


def tail(catalogue: Catalogue) -> list[Block]:
    """Return three quiet days after the panes of the log."""
    return [
        Block(
            topic="cards", topic_id="T", partition=partition, from_pane=at(PANES + 1), to_pane=LATER, pane_ms=PANE,
            arrived_ms=0, next_offset=0, catalogue_hash=catalogue.hash, cells=EMPTY,
        )
        for partition in range(2)
    ]  # fmt: skip


worlds = st.lists(
    st.tuples(st.integers(1, PANES), st.sampled_from(["lyon", "paris"]), st.sampled_from([1, 2, 4, 5, 5])),
    min_size=5, max_size=60,
)  # fmt: skip


@settings(deadline=None, max_examples=12)
@given(worlds, st.tuples(st.integers(CHANGE, CHANGE + 9), st.integers(CHANGE, CHANGE + 9)), st.integers(1, 100))
def test_series_and_rules_that_stay_say_the_same_to_the_bit(
    answers: list[tuple[int, str, int]], switches: tuple[int, int], wait: int
) -> None:
    expected = [bare(one) for one in said(judge_of(BEFORE), steady(BEFORE, answers))]
    found = [bare(one) for one in said(judge_of(BEFORE), changing(answers, switches, CHANGE + 9 + wait))]
    stays = lambda one: one.metric == "csat" and (isinstance(one, Reading) or one.rule == "fall")  # noqa: E731
    assert [one for one in found if stays(one)] == [one for one in expected if stays(one)]
    assert {one.catalogue_hash for one in found if isinstance(one, Reading)} <= {""}


@settings(deadline=None, max_examples=12)
@given(worlds, st.tuples(st.integers(CHANGE, CHANGE + 9), st.integers(CHANGE, CHANGE + 9)), st.integers(1, 100))
def test_a_new_series_ends_as_if_it_had_been_counted_from_the_begin(
    answers: list[tuple[int, str, int]], switches: tuple[int, int], wait: int
) -> None:
    expected = final_of(said(judge_of(AFTER), steady(AFTER, answers) + tail(AFTER)), STRICT)
    log = changing(answers, switches, CHANGE + 9 + wait) + tail(AFTER)
    found = final_of(said(judge_of(BEFORE), log), STRICT)
    assert found.keys() == expected.keys()
    for series, ends in expected.items():
        for end in ends.keys() | found[series].keys():
            assert known(found[series], end) == known(ends, end), (series, end)


def test_a_new_series_says_nothing_before_its_past_has_come() -> None:
    answers = [(pane, "paris", 5) for pane in range(1, PANES, 3)]
    outputs = said(judge_of(BEFORE), changing(answers, (CHANGE, CHANGE), CHANGE + 100))
    first = next(one for one in outputs if isinstance(one, Reading) and one.metric == "csat_strict")
    assert first.as_of == at(CHANGE + 100)


def test_without_a_seed_a_new_series_begins_empty_at_the_pane_of_the_change() -> None:
    answers = [(pane, "paris", 5) for pane in range(1, PANES, 3)]
    outputs = said(judge_of(BEFORE), changing(answers, (CHANGE, CHANGE), 0, seed=False))
    strict = [one for one in outputs if isinstance(one, Reading) and one.metric == "csat_strict"]
    assert strict[0].as_of >= at(CHANGE)
    total = sum(1 for one in answers if one[0] >= CHANGE)
    assert max(one.n for one in strict) == total


def test_an_alarm_of_a_rule_that_ends_is_resolved_by_who_changed_the_catalogue() -> None:
    answers = [(pane, "paris", 1) for pane in range(1, PANES, 2)]
    outputs = said(judge_of(BEFORE), changing(answers, (CHANGE, CHANGE), CHANGE + 20))
    going = [one for one in outputs if isinstance(one, AlarmTransition) and one.rule == "going"]
    assert [one.state for one in going] == [AlarmState.OPEN, AlarmState.RESOLVED]
    assert (going[-1].actor, going[-1].note, going[-1].pane) == ("ann", "as agreed", at(CHANGE))


def test_a_rule_that_begins_is_unarmed_and_learns_from_the_past_of_its_series() -> None:
    answers = [(pane, "paris", 5 if pane % 9 else 1) for pane in range(1, PANES)]
    judge = judge_of(BEFORE)
    said(judge, changing(answers, (CHANGE, CHANGE), CHANGE + 20))
    assert not [one for one in judge.engine.armed if one.rule == "coming"]
    assert any(one.rule == "coming" and one.reason.startswith("not armed") for one in judge.engine.unarmed)
    # two days later the days of the answers, those before the change included, are old enough to teach
    said(judge, [*tail(AFTER), arm(COMING, 0)])
    (armed,) = [one for one in judge.engine.armed if one.rule == "coming"]
    assert sum(level.learned_from for level in armed.strata.values()) == len(answers)


@settings(deadline=None, max_examples=8)
@given(worlds, st.integers(0, 2 * PANES))
def test_a_judge_thawed_anywhere_goes_on_as_it_would_have(answers: list[tuple[int, str, int]], stop: int) -> None:
    log = changing(answers, (CHANGE, CHANGE + 3), CHANGE + 60)
    whole = judge_of(BEFORE)
    expected = said(whole, log)
    judge = judge_of(BEFORE)
    found = said(judge, log[:stop])
    judge = Judge.unpack(judge.pack(), judge.engine.catalogue, pane_ms=PANE, provisional_step_ms=60_000)
    found += said(judge, log[stop:])
    assert found == expected
    assert judge.pack() == whole.pack()


def test_a_block_of_a_catalogue_that_nobody_declared_stops_the_judge() -> None:
    judge = judge_of(BEFORE)
    judge.feed(sources(BEFORE))
    with pytest.raises(ContractError, match="catalogue"):
        judge.feed(blocks([], 0, 0, 0, AFTER)[0])


def test_a_seed_that_nobody_waits_for_changes_nothing() -> None:
    judge = judge_of(BEFORE)
    said(judge, steady(BEFORE, [(5, "paris", 5)]))
    before = judge.pack()
    judge.feed(declaration(AFTER, from_pane=at(2 * PANES), replaces=BEFORE.hash, author="ann", made_at=0))
    assert judge.feed(planted(SEED, [(5, "paris", 5)], STRICT)) == []
    assert judge.engine.series
    assert judge.pack() != before  # the change waits in the state
