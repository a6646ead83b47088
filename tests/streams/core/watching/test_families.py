"""Parents and children: one budget, one episode, and a change of mix that fires nothing."""

from random import Random
from typing import Any

import pytest

from schemas.blocks import Row
from schemas.outputs import AlarmTransition
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS
from streams.core.engine import Engine
from tests.streams.core.watching.worlds import (
    CSAT,
    PANE,
    RENEW,
    START,
    VOLUME,
    answers,
    begun,
    engine_of,
    evidence,
    quiet_days,
    rows,
    rule,
    told,
)  # fmt: skip


def parent(**changes: Any) -> Rule:
    plain = {"name": "north", "dimension": "parent", "strata": "children", "baseline": BaselineKind.LEARNED, "p0": None}
    return rule(RuleKind.DROP, **(plain | changes))


def child(**changes: Any) -> Rule:
    return rule(RuleKind.DROP, **({"baseline": BaselineKind.LEARNED, "p0": None} | changes))


SHOPS = {"paris": 0.05, "lille": 0.40}
"""Two shops below one parent with very different bad shares."""


def past(days: int = 20) -> list[Row]:
    own = [
        row for shop, bad in SHOPS.items()
        for row in quiet_days(CSAT, [shop], {5: round(500 * (1 - bad)), 1: round(500 * bad)}, days)
    ]  # fmt: skip
    whole = [row._replace(series=row.series._replace(dimension="parent", key="north")) for row in own]
    return own + whole


def months(engine: Engine, dice: Random, *, lille: float, hours: int) -> list[AlarmTransition]:
    """Feed an answer a minute, a share of them from Lille, each shop as good as ever."""
    out = []
    for minute in range(hours * 60):
        pane = START + PANE + minute * MINUTE_MS
        shop = "lille" if dice.random() < lille else "paris"
        bad = int(dice.random() < SHOPS[shop])
        row = answers(shop, 1 - bad, bad, pane)
        out += told(
            engine,
            pane,
            [*row, *(one._replace(series=one.series._replace(dimension="parent", key="north")) for one in row)],
        )
    return out


def test_a_change_of_mix_fires_a_pooled_rule_and_no_parent() -> None:
    """Nothing changes in either shop; the shop with many bad answers gets 90 instead of 50 of 100 answers."""
    pooled = rule(
        RuleKind.DROP, name="pooled", dimension="parent", baseline=BaselineKind.LEARNED, p0=None, budget_per_week=20.0
    )
    fired = {"north": 0, "pooled": 0}
    runs, hours = 6, 10
    for seed in range(runs):
        engine = begun(engine_of(parent(budget_per_week=20.0), pooled), past())
        for one in months(engine, Random(seed), lille=0.9, hours=hours):
            fired[one.rule] += one.state == "open"
    budget = 20.0 * runs * hours * HOUR_MS / WEEK_MS
    assert fired["pooled"] >= runs
    assert fired["north"] <= 1.1 * budget


def test_a_parent_finds_a_small_drop_of_all_children_before_any_child() -> None:
    engine = begun(engine_of(parent(p1=(0.1,)), child(p1=(0.1,), learn_min=200)), past())
    dice = Random(1)
    said: list[AlarmTransition] = []
    for minute in range(6000):
        pane = START + PANE + minute * MINUTE_MS
        shop = dice.choice(list(SHOPS))
        bad = int(dice.random() < min(1, SHOPS[shop] + 0.09))
        said += told(engine, pane, answers(shop, 1 - bad, bad, pane))
        if said:
            break
    assert said[0].rule == "north"
    assert {one["key"] for one in evidence(said[0])["contributors"]} <= set(SHOPS)
    assert said[0].key == "north"


def test_children_are_contributors_of_the_parents_episode() -> None:
    """Lille falls first; then the parent opens and lists it; the alarm of Paris names the parent's."""
    engine = begun(engine_of(child(p1=(0.8,)), parent(p1=(0.8,), budget_per_week=1e-3)), past())
    (lille,) = told(engine, START + PANE, answers("lille", 0, 25, START + PANE))
    assert (lille.rule, lille.key, "episode" in evidence(lille)) == ("drop", "lille", False)
    (north,) = told(engine, START + 2 * PANE, answers("lille", 0, 25, START + 2 * PANE))
    assert north.rule == "north"
    (first, *_) = evidence(north)["contributors"]
    assert (first["key"], first["alarm_id"], first["bad"]) == ("lille", lille.alarm_id, 50)
    (paris,) = told(engine, START + 3 * PANE, answers("paris", 0, 25, START + 3 * PANE))
    assert evidence(paris)["episode"] == north.alarm_id


def test_days_of_a_childs_alarm_teach_its_parent_nothing() -> None:
    engine = begun(engine_of(child(p1=(0.8,)), parent(p1=(0.8,), budget_per_week=1e-12)), past())
    before = {one.rule: one.strata for one in engine.armed if one.key in {"north", "lille"}}
    told(engine, START + PANE, answers("lille", 0, 40, START + PANE))
    told(engine, START + 10 * DAY_MS, answers("nice", 1, 0, START + 10 * DAY_MS))
    engine.decide(RENEW)
    after = {one.rule: one.strata for one in engine.armed if one.key in {"north", "lille"}}
    assert before["drop"]["card"].p0 == after["drop"]["card"].p0
    name = '["lille","card"]'
    assert after["north"][name].p0 < 0.5
    assert after["north"][name].p0 == pytest.approx(before["north"][name].p0, abs=0.02)


def test_children_that_fall_silent_together_are_noticed_by_their_parent() -> None:
    of = rule(RuleKind.SILENCE, "volume", dimension="parent", strata="children", expected_per_day=100.0)
    alone = rule(RuleKind.SILENCE, "volume", name="alone", expected_per_day=100.0)
    engine = begun(engine_of(of, alone), quiet_days(VOLUME, ["paris", "lille"], {1: 100}, days=2))
    said = told(engine, START + DAY_MS)
    assert [one.rule for one in said] == ["silence", "alone", "alone"]
    assert said[1].pane > said[0].pane
    assert {evidence(one)["episode"] for one in said[1:]} == {said[0].alarm_id}


@pytest.mark.parametrize("shares", ["equal", "rate"])
def test_the_shares_of_all_keys_sum_to_the_budget_whatever_appears_or_vanishes(shares: str) -> None:
    engine = begun(engine_of(rule(RuleKind.DROP, shares=shares)), [
        *quiet_days(CSAT, ["paris"], {5: 900, 1: 100}), *quiet_days(CSAT, ["lille"], {5: 90, 1: 10}),
    ])  # fmt: skip
    per_pane = PANE / WEEK_MS
    for new in ("nice", "lyon", "brest"):
        weights = {one.key: one.weight for one in engine.armed}
        assert sum(weights.values()) == pytest.approx(per_pane, rel=1e-12)
        if shares == "rate":
            assert weights["paris"] == pytest.approx(10 * weights["lille"])
        else:
            assert len(set(weights.values())) == 1
        now = engine.pane
        assert now is not None
        told(engine, now + DAY_MS, answers(new, 9, 1, now + DAY_MS, fresh=0))
        engine.decide(RENEW)
    assert len(engine.armed) == 5


def test_the_spent_budget_is_a_function_of_panes_alone() -> None:
    engine = begun(engine_of(rule(RuleKind.DROP)), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    told(engine, START + 1000 * PANE, answers("paris", 1, 9, START))
    assert engine.spent["drop"] == 1.0 * PANE / WEEK_MS * 1000
    engine.decide(RENEW)
    told(engine, START + WEEK_MS, rows(CSAT, "lille", {5: 1}, START + WEEK_MS))
    assert engine.spent["drop"] == pytest.approx(1.0, rel=1e-12)
