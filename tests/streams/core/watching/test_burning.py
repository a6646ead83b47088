"""Burn rates: an objective of 90 % can burn, two windows decide, and time alone ends the alarm."""

from random import Random

from schemas.blocks import EMPTY
from schemas.outputs import AlarmState, AlarmTransition, DecisionKind
from schemas.rules import RuleKind
from schemas.windows import HOUR_MS, MINUTE_MS
from streams.core.detectors.burn_rate import fires, tiers
from streams.core.engine import Engine
from tests.streams.core.watching.worlds import (
    PANE,
    START,
    answers,
    decision,
    engine_of,
    evidence,
    rule,
    told,
    transitions,
)  # fmt: skip

BURN = rule(RuleKind.BURN, flap_transitions=99, cooldown_ms=0)


def begun() -> Engine:
    engine = engine_of(BURN)
    engine.advance(START, EMPTY)
    return engine


def minutes(engine: Engine, first: int, last: int, good: int, bad: int) -> list[AlarmTransition]:
    out = []
    for minute in range(first, last):
        pane = START + PANE + minute * MINUTE_MS
        out += told(engine, pane, answers("paris", good, bad, pane))
    return out


def test_a_burning_objective_of_90_percent_opens_and_cools_down_by_itself() -> None:
    engine = begun()
    assert minutes(engine, 0, 60, 10, 0) == []
    (opened,) = minutes(engine, 60, 120, 2, 8)
    assert opened.state is AlarmState.OPEN
    assert opened.statistic is not None
    assert opened.statistic > 1
    assert set(evidence(opened)["strata"]) <= {"60min", "360min", "4320min"}
    (resolved,) = told(engine, START + 120 * MINUTE_MS + 12 * HOUR_MS)
    assert resolved.state is AlarmState.RESOLVED
    assert START + 120 * MINUTE_MS < resolved.pane < START + 120 * MINUTE_MS + 7 * HOUR_MS


def test_two_bad_answers_of_three_wake_nobody() -> None:
    engine = begun()
    assert told(engine, START + PANE, answers("paris", 1, 2, START + PANE)) == []


def test_it_opens_in_the_pane_in_which_a_recount_of_both_windows_fires() -> None:
    """The windows counted anew at every pane, in steps of 1/60 of the long one, for all tiers."""
    dice, came = Random(3), dict[int, tuple[int, int]]()
    for at in range(1, 900):
        pane = START + at * PANE
        share = 0.7 if 300 < at < 600 else 0.05
        if dice.random() < 0.3:
            bad = sum(dice.random() < share for _ in range(3))
            came[pane] = (3 - bad, bad)
    engine, found = begun(), list[tuple[int, str]]()
    for pane, (good, bad) in came.items():
        found += [(one.pane, one.state.value) for one in told(engine, pane, answers("paris", good, bad, pane))]
    first = next(pane for pane in came if burns(came, pane))
    assert found[0] == (first, "open")


def burns(came: dict[int, tuple[int, int]], now: int) -> bool:
    def window(grain: int, steps: int) -> tuple[int, int]:
        step = (now - PANE) // grain
        inside = [pair for pane, pair in came.items() if pane <= now and step - steps < (pane - PANE) // grain]
        return sum(good + bad for good, bad in inside), sum(bad for _, bad in inside)

    return any(
        window(tier.long_ms // 60, 60)[1] >= 4
        and fires(tier, 0.9, window(tier.long_ms // 60, 60), window(tier.long_ms // 60, 5), confidence=0.999)
        for tier in tiers(0.9)
    )


def test_a_burn_that_was_resolved_by_hand_comes_back_with_the_next_bad_answers() -> None:
    engine = begun()
    (opened,) = minutes(engine, 0, 30, 2, 8)[:1]
    (ended,) = transitions(engine.decide(decision(DecisionKind.RESOLVE, alarm_id=opened.alarm_id)))
    assert ended.state is AlarmState.RESOLVED
    (again,) = minutes(engine, 30, 31, 2, 8)
    assert again.state is AlarmState.OPEN


def test_it_spends_no_budget_of_false_alarms() -> None:
    engine = begun()
    minutes(engine, 0, 10, 5, 5)
    assert engine.spent == {"burn": 0.0}
    assert [one.key for one in engine.armed] == ["paris"]
