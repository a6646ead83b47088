"""The drop alarm: its promise, its baselines, its life."""

import random

import msgspec
import pytest

from schemas.blocks import EMPTY, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind
from schemas.rules import BaselineKind, Rule
from schemas.windows import DAY_MS, WEEK_MS
from streams.core.detectors.likelihood import Bernoulli
from streams.core.detectors.weighted import Ratio, Weighted, weight
from streams.core.engine import Engine
from streams.core.intervals import wilson_upper

PANE = 10_000
START = 20_000 * DAY_MS


def with_rule(**changes: object) -> Catalogue:
    packaged = load()
    rule = msgspec.structs.replace(packaged.alarm[0], **changes)
    return msgspec.structs.replace(packaged, alarm=[rule, *packaged.alarm[1:]])


FIXED = with_rule(baseline=BaselineKind.FIXED, p0=0.1)
LEARNED = with_rule(p1=(0.25,))


def engine_of(catalogue: Catalogue) -> Engine:
    return Engine(catalogue, pane_ms=PANE, provisional_step_ms=60_000, alarms_only=True, armed=True)


def answers(key: str, good: int, bad: int, at: int, *, fresh: int = 1, stratum: str = "card") -> list[Row]:
    series = Series(LEARNED.named("csat").identity, "touchpoint", key, stratum)
    return [Row(series, at // 60_000, 5, fresh, good, 5 * good), Row(series, at // 60_000, 1, fresh, bad, bad)]


def decision(kind: DecisionKind, **body: object) -> Decision:
    return Decision(decision_id="d", kind=kind, author="test", made_at=0, body=body)


RENEW = decision(DecisionKind.RENEW)


def armed(catalogue: Catalogue, keys: list[str], *, days: int = 20, bad: int = 10) -> Engine:
    """Return an engine with `days` days of 100 answers a key before START, renewed so that START is the first pane after."""
    engine = engine_of(catalogue)
    rows = [
        row
        for day in range(1, days + 1)
        for key in keys
        for row in answers(key, 100 - bad, bad, START - day * DAY_MS, fresh=0)
    ]
    engine.advance(START - PANE, cells_of(rows))
    engine.decide(RENEW)
    return engine


def one_by_one(
    engine: Engine, key: str, rng: random.Random, share: float, count: int, first: int
) -> list[AlarmTransition]:
    """Feed single answers, one in six panes."""
    out: list[AlarmTransition] = []
    for index in range(count):
        bad = int(rng.random() < share)
        pane = first + index * 6 * PANE
        out += [one for one in engine.advance(pane, single(key, bad, pane)) if isinstance(one, AlarmTransition)]
    return out


def single(key: str, bad: int, pane: int) -> Cells:
    return cells_of(answers(key, 1 - bad, bad, pane - 1))


def test_false_alarms_lie_between_a_third_and_the_whole_of_the_budget() -> None:
    """40 keys with the true share as baseline and a budget that makes 200 alarms: neither more than promised nor asleep."""
    rng = random.Random(20_261_122)
    rule = FIXED.alarm[0]
    keys, panes_a_week = 40, WEEK_MS // PANE
    budget, weeks, alarms = 50.0, 4, 0
    w = weight(budget, PANE, 1 / keys)
    ratio = Bernoulli(0.1, rule.p1[0])
    for _ in range(keys):
        statistic, pane = Weighted((1.0,), 0), 0
        while True:
            pane += 1 + int(rng.expovariate(1 / 40))
            if pane > weeks * panes_a_week:
                break
            log_lr = ratio.log_ratio(1, int(rng.random() < 0.1))
            if statistic.update(pane * PANE, PANE, w, [Ratio(log_lr)]) >= 1 and log_lr > 0:
                alarms += 1
                statistic.restart(pane * PANE)
    assert 0.3 <= alarms / (budget * weeks) <= 1.0


def test_a_drop_is_found_told_once_and_resolved_by_recovery() -> None:
    rng = random.Random(7)
    engine = armed(LEARNED, ["paris", "lyon"])
    said = one_by_one(engine, "paris", rng, 0.1, 100, START)
    assert said == []
    dropped = engine.pane
    assert dropped is not None
    said = one_by_one(engine, "paris", rng, 0.6, 100, dropped + PANE)
    assert [(one.state, one.key, one.sequence) for one in said] == [(AlarmState.OPEN, "paris", 1)]
    opening = said[0]
    assert opening.change_pane is not None
    assert dropped - 12 * 60_000 <= opening.change_pane <= opening.pane
    assert opening.statistic is not None
    assert opening.statistic >= 1
    assert opening.bad / opening.n > 0.3
    assert engine.open_alarms == [opening]
    now = engine.pane
    assert now is not None
    said = one_by_one(engine, "paris", rng, 0.05, 200, now + PANE)
    assert [(one.state, one.alarm_id, one.sequence) for one in said] == [(AlarmState.RESOLVED, opening.alarm_id, 2)]
    assert said[0].n >= 30
    assert engine.open_alarms == []


def test_no_alarm_resolves_before_thirty_answers() -> None:
    """A weight that alone lifts the opposite statistic over 1: only the count holds the resolution back."""
    engine = armed(with_rule(budget_per_week=1e6), ["paris"])
    engine.advance(START, cells_of(answers("paris", 0, 30, START - 1)))
    assert len(engine.open_alarms) == 1
    assert engine.advance(START + PANE, cells_of(answers("paris", 29, 0, START))) == []
    assert len(engine.advance(START + 2 * PANE, cells_of(answers("paris", 1, 0, START)))) == 1


def test_a_quiet_run_is_one_multiplication() -> None:
    at_once, in_two = Weighted((1.0,), 0, [0.3]), Weighted((1.0,), 0, [0.3])
    at_once.settle(70 * PANE, PANE, 0.001)
    assert at_once.r == [0.3 + 0.001 * 70]
    in_two.update(70 * PANE, PANE, 0.001, [Ratio(0.25)])
    at_once = Weighted((1.0,), 0, [0.3])
    at_once.update(70 * PANE, PANE, 0.001, [Ratio(0.25)])
    assert at_once.r == in_two.r


def test_evidence_multiplies_what_its_own_pane_has_added_too() -> None:
    statistic = Weighted((1.0,), 0, [0.5])
    assert statistic.update(3 * PANE, PANE, 0.25, [Ratio(Bernoulli(0.2, 0.5).log_ratio(2, 1))]) == pytest.approx(
        1.25 * 2.5 * 0.625
    )


def test_a_renewal_settles_the_old_weight_first() -> None:
    """One key alone for 1,000 panes, then two: R holds 1,000 old weights and one new one when the evidence comes."""
    engine = armed(LEARNED, ["paris"])
    old = engine.armed[0].weight
    rows = [row for day in range(8, 21) for row in answers("lyon", 90, 10, START - day * DAY_MS, fresh=0)]
    engine.advance(START + 999 * PANE, cells_of(rows))
    engine.decide(RENEW)
    shares = {one.key: one.strata["card"] for one in engine.armed}["paris"]
    (opened,) = engine.advance(START + 1000 * PANE, cells_of(answers("paris", 0, 20, START)))
    assert isinstance(opened, AlarmTransition)
    ratio = (shares.p1 / shares.p0) ** 20
    assert opened.statistic == pytest.approx((1000 * old + old / 2) * ratio)


def test_splitting_a_quiet_run_changes_nothing_to_the_bit() -> None:
    whole, split = armed(LEARNED, ["paris"]), armed(LEARNED, ["paris"])
    for pane in range(START, START + 100 * PANE, PANE):
        split.advance(pane, EMPTY)
    last = START + 100 * PANE
    for engine in (whole, split):
        engine.advance(last, cells_of(answers("paris", 3, 2, last)))
    assert whole.pack() == split.pack()


def test_old_and_admitted_answers_move_no_detector() -> None:
    engine = armed(LEARNED, ["paris"])
    assert engine.advance(START, cells_of(answers("paris", 0, 50, START - 1, fresh=0))) == []


def test_an_alarm_wants_evidence_for_the_drop() -> None:
    """Quiet panes alone may carry R over 1; the good answer that meets it there is no alarm."""
    engine = armed(with_rule(budget_per_week=1e6), ["paris"])
    assert engine.advance(START + WEEK_MS, single("paris", 0, START + WEEK_MS)) == []
    assert len(engine.advance(START + WEEK_MS + PANE, single("paris", 1, START + WEEK_MS))) == 1


def test_the_baseline_is_the_upper_bound_over_days_older_than_the_lag() -> None:
    engine = armed(LEARNED, ["paris"], days=20, bad=8)
    days = 20 - 8 + 1
    assert [one.strata["card"].p0 for one in engine.armed] == [wilson_upper(8 * days, 100 * days, 0.999)]


@pytest.mark.parametrize(("days", "keys"), [(8, 0), (9, 1), (10, 1)])
def test_too_few_answers_leave_a_key_unarmed_and_say_so(days: int, keys: int) -> None:
    """Days that ended 7 days ago are old enough; 200 answers are wanted."""
    engine = armed(LEARNED, ["paris"], days=days)
    assert len(engine.armed) == keys
    assert len(engine.unarmed) == 1 - keys


def test_days_with_an_alarm_teach_nothing() -> None:
    engine = armed(LEARNED, ["paris"])
    engine.advance(START + PANE, cells_of(answers("paris", 0, 100, START)))
    alarm = engine.open_alarms[0].alarm_id
    learned = engine.armed
    engine.advance(START + DAY_MS, cells_of(answers("paris", 0, 100, START + DAY_MS // 2)))
    engine.decide(RENEW)
    assert engine.armed == learned
    engine.decide(decision(DecisionKind.RESOLVE, alarm_id=alarm))
    engine.advance(START + 12 * DAY_MS, EMPTY)
    engine.decide(RENEW)
    p0 = {one.key: one.strata["card"].p0 for one in engine.armed}["paris"]
    assert p0 == pytest.approx(wilson_upper(200, 2000, 0.999), abs=1e-12)


def test_shares_are_equal_and_fixed_at_the_renewal() -> None:
    engine = armed(LEARNED, ["a", "b", "c", "d"])
    assert {one.weight for one in engine.armed} == {weight(LEARNED.alarm[0].budget_per_week, PANE, 1 / 4)}
    engine.advance(START, cells_of(answers("new", 10, 0, START)))
    assert len(engine.armed) == 4
    assert [one.reason for one in engine.unarmed] == ["no renewal since its first answers"]


def test_strata_are_judged_by_their_own_baselines() -> None:
    """A mix that moves to a channel with many bad answers, each channel unchanged, is no evidence for a drop."""
    engine = engine_of(LEARNED)
    rows = []
    for day in range(1, 21):
        rows += answers("paris", 95, 5, START - day * DAY_MS, fresh=0)
        rows += answers("paris", 60, 40, START - day * DAY_MS, fresh=0, stratum="call")
    engine.advance(START - PANE, cells_of(rows))
    engine.decide(RENEW)
    assert engine.advance(START, cells_of(answers("paris", 60, 40, START, stratum="call"))) == []


def test_a_dispute_is_adopted_once_silently_and_resolved_by_command_only() -> None:
    engine = engine_of(LEARNED)
    engine.advance(START, EMPTY)
    first = AlarmTransition(
        transition_id="t", alarm_id="a", sequence=1, rule="dispute", definition_hash="h", metric="dispute", dimension="touchpoint",
        key="paris", direction="up", severity="page", state=AlarmState.OPEN, pane=START, first_pane=START, event_id="e",
    )  # fmt: skip
    adopt = decision(DecisionKind.ADOPT, **msgspec.to_builtins(first))
    assert engine.decide(adopt) == []
    assert engine.decide(adopt) == []
    assert engine.open_alarms == [first]
    said = engine.decide(decision(DecisionKind.RESOLVE, alarm_id="a"))
    assert [(one.state, one.sequence, one.actor) for one in said if isinstance(one, AlarmTransition)] == [
        (AlarmState.RESOLVED, 2, "test")
    ]
    engine.decide(adopt)
    assert engine.open_alarms == []


def test_resolving_what_is_not_open_is_ignored_and_counted() -> None:
    engine = engine_of(LEARNED)
    assert engine.decide(decision(DecisionKind.RESOLVE, alarm_id="nobody")) == []
    assert engine.ignored == {DecisionKind.RESOLVE: 1}


def test_a_rule_that_leaves_no_room_arms_nobody() -> None:
    rule: Rule = LEARNED.alarm[0]
    engine = armed(with_rule(p1_margin=0.9), ["paris"])
    assert engine.armed == []
    assert rule.name == engine.unarmed[0].rule
