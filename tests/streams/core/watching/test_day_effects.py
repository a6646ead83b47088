"""Good and bad days: what a rule on shares learns of them, and what a day has said before a pane."""

from math import exp
from typing import Any

import pytest

from schemas.blocks import Row
from schemas.outputs import AlarmState, AlarmTransition, DecisionKind
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, WEEK_MS
from streams.core.bins import Bins
from streams.core.detectors.beta_binomial import crowding, effective, log_ratio, pooled, spread_of
from streams.core.engine import Engine
from streams.core.intervals import wilson_upper
from streams.core.watching.bad_share import BadShare
from tests.streams.core.watching.worlds import (
    CSAT,
    NPS,
    PANE,
    RENEW,
    START,
    answers,
    begun,
    decision,
    engine_of,
    evidence,
    quiet_days,
    rule,
    told,
)

W = 2_000.0 * PANE / WEEK_MS
UNEQUAL = [3, 22, 5, 9, 17, 2, 11, 6, 19, 4, 8, 13]


def learned(kind: RuleKind = RuleKind.DROP, metric: str = "csat", **changes: Any) -> Rule:
    plain = {"baseline": BaselineKind.LEARNED, "p0": None, "budget_per_week": 2_000.0, "name": "r"}
    return rule(kind, metric, **(plain | changes))


def fixed(**changes: Any) -> Rule:
    return rule(RuleKind.DROP, **({"name": "r", "budget_per_week": 2_000.0} | changes))


def days_of(key: str, bad: list[int], n: int = 100, **where: Any) -> list[Row]:
    """Return days older than the lag, the last of `bad` the newest."""
    return [
        row for back, of in enumerate(reversed(bad)) for row in
        answers(key, n - of, of, START - (7 + back) * DAY_MS - DAY_MS // 2, fresh=0, **where)
    ]  # fmt: skip


def level(engine: Engine, key: str = "paris", stratum: str = "card") -> Any:
    return {one.key: one for one in engine.armed}[key].strata[stratum]


def test_a_day_effect_is_learned_from_days_that_differ_and_widens_the_bound() -> None:
    found = level(begun(engine_of(learned()), days_of("paris", UNEQUAL)))
    spread = spread_of((100, bad) for bad in UNEQUAL)
    assert found.rho == spread.rho > 0.01
    n, bad = effective(1200, sum(UNEQUAL), found.rho, crowding([100] * 12))
    assert found.p0 == wilson_upper(bad, n, 0.999) > wilson_upper(sum(UNEQUAL), 1200, 0.999) + 0.02
    assert found.learned_from == 1200


def test_a_fall_of_a_share_learns_its_lower_bound_with_the_same_day_effect() -> None:
    rise = level(begun(engine_of(learned()), days_of("paris", UNEQUAL)))
    fall = level(begun(engine_of(learned(RuleKind.RECOVERY, p1=(0.01,), p1_margin=0.001)), days_of("paris", UNEQUAL)))
    assert fall.rho == rise.rho
    assert fall.p0 < sum(UNEQUAL) / 1200 < rise.p0


def test_where_days_are_alike_or_shall_count_as_alike_all_is_as_without_a_day_effect() -> None:
    alike, none, declared = (
        level(begun(engine_of(one), days_of("paris", bad)))
        for one, bad in (
            (learned(), [10] * 12), (learned(day_effect=0.0), UNEQUAL), (learned(day_effect=0.02), [10] * 12),
        )
    )  # fmt: skip
    assert (alike.rho, alike.p0) == (0, wilson_upper(120, 1200, 0.999))
    assert (none.rho, none.p0) == (0, wilson_upper(sum(UNEQUAL), 1200, 0.999))
    assert declared.rho == 0.02
    assert declared.p0 == wilson_upper(*reversed(effective(1200, 120, 0.02, 100.0)), 0.999)
    assert level(begun(engine_of(fixed()), days_of("paris", UNEQUAL))).rho == 0
    assert level(begun(engine_of(fixed(day_effect=0.03)), days_of("paris", UNEQUAL)))[:] == (0.1, 0.25, 0, 0.03)


def test_few_days_take_the_day_effect_of_their_key_and_else_of_all_keys() -> None:
    past = [
        *days_of("paris", UNEQUAL), *days_of("lille", [10] * 12), *days_of("lille", [30, 60, 90], 300, stratum="web"),
        *days_of("nice", [10, 12, 14, 10], 90),
    ]  # fmt: skip
    engine = begun(engine_of(learned()), past)
    own, other = spread_of((100, bad) for bad in UNEQUAL), spread_of([(100, 10)] * 12)
    web, nice = (
        spread_of([(300, bad) for bad in (30, 60, 90)]),
        spread_of([(90, bad) for bad in (10, 12, 14, 10)]),
    )
    assert not web.enough
    assert level(engine).rho == own.rho
    assert level(engine, "lille").rho == 0
    assert level(engine, "lille", "web").rho == pooled([other, web]).rho > 0
    assert level(engine, "nice").rho == pooled([own, other, web, nice]).rho > 0
    alone = begun(engine_of(learned()), days_of("nice", [10, 30, 14, 10], 90))
    assert level(alone, "nice").rho == 0, "four days are not enough to know"


def test_children_keep_day_effects_of_their_own() -> None:
    engine = begun(
        engine_of(learned(dimension="parent", strata="children")),
        [*days_of("paris", UNEQUAL), *days_of("lille", [10] * 12)],
    )
    (north,) = engine.armed
    assert [one.rho > 0 for _, one in sorted(north.strata.items())] == [False, True]


def statistic(*steps: tuple[int, tuple[int, int], tuple[int, int]], p0: float = 0.1, rho: float = 0.05) -> float:
    """Return R after (panes passed, (n, bad) of the day before, (n, bad) of the pane)."""
    r = 0.0
    for panes, before, pair in steps:
        r = (r + W * panes) * exp(log_ratio(p0, max(0.25, p0 + 0.03), rho, before, pair))
    return r


def opened(engine: Engine, key: str, good: int, bad: int, pane: int) -> AlarmTransition:
    (found,) = told(engine, pane, answers(key, good, bad, pane))
    assert found.state is AlarmState.OPEN
    return found


def test_a_pane_counts_after_what_its_day_has_said_and_midnight_begins_anew() -> None:
    engine = begun(engine_of(fixed(day_effect=0.05)), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    told(engine, START + PANE, answers("paris", 12, 3, START + PANE))
    same = opened(engine, "paris", 2, 10, START + 3 * PANE)
    assert same.statistic == pytest.approx(statistic((1, (0, 0), (15, 3)), (2, (15, 3), (12, 10))), rel=1e-12)
    assert evidence(same)["strata"]["card"]["rho"] == 0.05
    engine = begun(engine_of(fixed(day_effect=0.05)), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    last = START + DAY_MS
    told(engine, last - PANE, answers("paris", 15, 0, last - PANE))
    told(engine, last, answers("paris", 4, 0, last))  # the pane that ends the day belongs to it
    other = opened(engine, "paris", 2, 10, last + PANE)
    panes = DAY_MS // PANE
    expected = statistic((panes - 1, (0, 0), (15, 0)), (1, (15, 0), (4, 0)), (1, (0, 0), (12, 10)))
    assert other.statistic == pytest.approx(expected, rel=1e-12)


def test_a_renewal_in_the_middle_of_a_day_goes_on_from_its_counts_with_the_new_figures() -> None:
    engine = begun(engine_of(learned(learn_lag_ms=0)), days_of("paris", UNEQUAL))
    first = level(engine)
    told(engine, START + PANE, answers("paris", 12, 3, START + PANE))
    told(engine, START + 2 * PANE, days_of("paris", [2], 30))  # found late
    engine.decide(RENEW)
    told(engine, START + 3 * PANE)
    second = level(engine)
    assert second.rho != first.rho
    assert second.p0 != first.p0
    found = opened(engine, "paris", 0, 90, START + 4 * PANE)
    r = statistic((1, (0, 0), (15, 3)), p0=first.p0, rho=first.rho)
    p1 = max(0.25, second.p0 + 0.03)
    expected = (r + 3 * W) * exp(log_ratio(second.p0, p1, second.rho, (15, 3), (90, 90)))
    assert found.statistic == pytest.approx(expected, rel=1e-12)


def test_an_alarm_and_its_end_by_command_leave_the_day_as_it_is() -> None:
    engine = begun(engine_of(fixed(day_effect=0.05)), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    first = opened(engine, "paris", 2, 18, START + PANE)
    engine.decide(decision(DecisionKind.RESOLVE, alarm_id=first.alarm_id))
    told(engine, START + 2 * PANE)
    found = opened(engine, "paris", 0, 90, START + 3 * PANE)
    # the command works before the next pane that is judged: its budget counts, that of the alarm's pane does not
    assert found.statistic == pytest.approx(statistic((2, (20, 18), (90, 90))), rel=1e-12)


def test_a_pane_with_a_day_effect_is_grouped_whatever_the_rule_says() -> None:
    kind = BadShare(fixed(day_effect=0.05, grouping="averaged"), CSAT, Bins(CSAT))
    share = kind.declared(0.1, {}, 0)
    assert not isinstance(share, str)
    strata = {"card": Bins(CSAT).packed({5: 4, 1: 5})}
    seen = kind.seen({"card": share}, strata, START)
    assert seen is not None
    assert [one.inside for one in seen.ratios] == [None]
    plain = BadShare(fixed(grouping="averaged"), CSAT, Bins(CSAT))
    alike = plain.declared(0.1, {}, 0)
    assert not isinstance(alike, str)
    said = plain.seen({"card": alike}, strata, START)
    assert said is not None
    assert said.ratios[0].inside is not None


def test_where_a_day_effect_leaves_no_room_the_key_is_not_watched_and_says_why() -> None:
    engine = begun(engine_of(learned(day_effect=0.5, p1_margin=0.5)), days_of("paris", [40, 60] * 6))
    assert engine.armed == []
    assert "leaves no room" in engine.unarmed[0].reason


def test_a_new_level_is_accepted_with_the_day_effect_of_the_other_keys() -> None:
    past = [*days_of("paris", UNEQUAL), *days_of("lille", [10] * 12)]
    engine = begun(engine_of(learned()), past)
    told(engine, START + PANE, answers("lille", 100, 150, START + PANE))
    engine.decide(decision(DecisionKind.REBASE, rule="r", key="lille"))
    told(engine, START + 2 * PANE)
    own, here = spread_of((100, bad) for bad in UNEQUAL), spread_of([(250, 150)])
    assert level(engine, "lille").rho == pooled([own, here]).rho > 0


def test_rules_on_scores_know_no_day_effect() -> None:
    found = begun(engine_of(learned(RuleKind.SCORE, "nps", p1=(0.4,))), [
        row for day in range(12) for row in
        quiet_days(NPS, ["paris"], {10: 60 + 3 * (day % 2) * 10, 2: 40 - 3 * (day % 2) * 10}, days=9 + day)[-2:]
    ])  # fmt: skip
    assert level(found).rho == 0
