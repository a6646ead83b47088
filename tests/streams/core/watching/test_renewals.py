"""Renewals on a grid: one that stands twice changes nothing, a running statistic is kept to the bit, a new shop is watched."""

import random
from typing import Any

import msgspec
import pytest

from schemas.outputs import Decision
from schemas.rules import BaselineKind, RuleKind
from schemas.windows import DAY_MS, HOUR_MS
from streams.core.engine import Engine
from streams.renewals import renewal
from tests.streams.core.watching.worlds import CSAT, PANE, START, answers, begun, engine_of, quiet_days, rule, told

LEARNED = {"baseline": BaselineKind.LEARNED, "p0": None}
PAST = quiet_days(CSAT, ["paris", "lille"], {5: 90, 1: 10})


def at(boundary: int) -> Decision:
    """Return the renewal of a boundary."""
    return renewal(boundary, author="judge", made_at=0)


def without_count(of: Engine) -> Any:
    """Return the state without the count of decisions that changed nothing."""
    return {name: part for name, part in msgspec.msgpack.decode(of.pack()).items() if name != "ignored"}


def watched(**changes: Any) -> Engine:
    return begun(engine_of(rule(RuleKind.DROP, **(LEARNED | changes))), PAST)


def walk(of: Engine, first: int, last: int, seed: int) -> None:
    """Feed answers in the panes (first, last], some of them empty."""
    dice = random.Random(seed)
    for pane in range(first + PANE, last + 1, PANE):
        said = [row for key in ("paris", "lille") for row in answers(key, dice.randrange(4), dice.random() < 0.3, pane)]
        told(of, pane, said if dice.random() < 0.4 else ())


def statistics(of: Engine) -> dict[str, Any]:
    """Return key -> statistic, evidence and phase of the one rule, as they are stored."""
    (state,) = of.freeze()["rules"].values()
    return {key: held[2:] for key, held in state["watches"]}


@pytest.mark.parametrize("late", [0, 7 * PANE, HOUR_MS - PANE])
def test_a_renewal_that_stands_twice_in_the_log_changes_nothing(late: int) -> None:
    """Written again by a judge that does not know of the first, at whatever pane the second is read."""
    boundary = START + HOUR_MS
    once, twice = watched(), watched()
    for of in (once, twice):
        walk(of, START, boundary - PANE, seed=1)
        of.decide(at(boundary))
        walk(of, boundary - PANE, boundary - PANE + late, seed=2)
    before = twice.pack()
    assert twice.decide(at(boundary)) == []
    assert twice.ignored == {"renew": 1}
    assert without_count(twice) == without_count(once)
    for of in (once, twice):
        walk(of, boundary - PANE + late, boundary + DAY_MS // 4, seed=3)
    assert without_count(twice) == without_count(once)
    assert before != twice.pack()


def test_the_newest_renewal_is_remembered_across_a_restart() -> None:
    of = watched()
    back = engine_of(rule(RuleKind.DROP, **LEARNED))
    back.thaw(msgspec.msgpack.decode(of.pack(), strict=False))
    back.decide(at(START + PANE))
    assert back.ignored == {"renew": 1}


def test_a_renewal_that_comes_late_is_made_when_it_comes() -> None:
    of = watched()
    told(of, START + HOUR_MS, quiet_days(CSAT, ["nice"], {5: 90, 1: 10}))
    assert {one.key for one in of.armed} == {"paris", "lille"}
    of.decide(at(START + HOUR_MS // 2))
    assert {one.key for one in of.armed} == {"paris", "lille", "nice"}


@pytest.mark.parametrize("kind", [RuleKind.DROP, RuleKind.RISE])
def test_running_statistics_of_keys_that_stay_are_the_same_to_the_bit(kind: RuleKind) -> None:
    """The last pane was judged with evidence, so that nothing quiet is left to add; baselines and shares do not move."""
    of = begun(engine_of(rule(kind, **LEARNED)), PAST)
    walk(of, START, START + HOUR_MS - 2 * PANE, seed=5)
    told(of, START + HOUR_MS - PANE, [*answers("paris", 3, 1, START), *answers("lille", 2, 0, START)])
    before, levels = statistics(of), of.armed
    assert max(held[0]["r"][0] for held in before.values()) > 0
    of.decide(at(START + HOUR_MS))
    assert statistics(of) == before
    assert of.armed == levels


def test_quiet_panes_are_added_up_no_differently_by_a_renewal_between_them() -> None:
    """To a rounding of the last bit: two sums instead of one."""
    of, without = watched(), watched()
    for one in (of, without):
        walk(one, START, START + HOUR_MS // 2, seed=6)
    told(of, START + HOUR_MS - PANE)
    of.decide(at(START + HOUR_MS))
    for one in (of, without):
        told(one, START + 2 * HOUR_MS, [*answers("paris", 1, 1, START), *answers("lille", 1, 0, START)])
    for key, held in statistics(of).items():
        assert held[0]["r"] == pytest.approx(statistics(without)[key][0]["r"], rel=1e-14)
