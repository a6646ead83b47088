"""Shares with a profile of weekday and hour: what the hours learn, and what an answer says in its hour."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from math import exp, log
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, betabinom

from schemas.blocks import Row, cells_of
from schemas.errors import ContractError
from schemas.outputs import AlarmState, DecisionKind
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS
from streams.core.baseline import Stretch
from streams.core.bins import Bins
from streams.core.detectors.beta_binomial import crowding, effective, spread_of
from streams.core.engine import Engine
from streams.core.intervals import wilson_upper
from streams.core.watching import hour_levels
from streams.core.watching.hourly_share import HourlyLevel, HourlyShare
from streams.core.watching.hours import HOURS, WEEK_HOURS, AnswerHours, in_hour
from streams.core.watching.watcher import By
from tests.streams.core.watching.worlds import (
    CSAT,
    PANE,
    RENEW,
    START,
    answers,
    catalogue,
    decision,
    engine_of,
    evidence,
    rule,
    told,
)

BUDGET = 2_000.0
W = BUDGET * PANE / WEEK_MS
DAYS = 28
"""Days within reach of a baseline: 35, less the lag of 7."""
NOON, EVENING = 12, 20
Share = Callable[[int, int], int]
"""(day since the epoch, hour) -> bad ones of 40 answers"""


def learned(**changes: Any) -> Rule:
    plain = {
        "baseline": BaselineKind.LEARNED, "p0": None, "budget_per_week": BUDGET, "name": "r", "profile": "weekday_hour",
        "day_effect": 0.0,
    }  # fmt: skip
    return rule(RuleKind.DROP, **(plain | changes))


def evenings(_: int, hour: int) -> int:
    return 16 if hour == EVENING else 4


def weekends(day: int, hour: int) -> int:
    return 20 if hour == EVENING and day % 7 in {2, 3} else 4


def past(bad: Share, days: int = DAYS, keys: Iterable[str] = ("paris",), n: int = 40) -> list[Row]:
    """Return 40 answers at noon and in the evening of each of so many days that teach, and of one before them."""
    newest = START // DAY_MS - 8
    return [
        row for day in range(newest - days, newest + 1) for hour in (NOON, EVENING) for key in keys
        for row in answers(key, n - bad(day, hour), bad(day, hour), day * DAY_MS + hour * HOUR_MS + 1, fresh=0)
    ]  # fmt: skip


def begun(engine: Engine, rows: Iterable[Row]) -> Engine:
    engine.advance(START, cells_of(rows))
    engine.decide(RENEW)
    return engine


def level(engine: Engine, key: str = "paris", stratum: str = "card", name: str = "r") -> HourlyLevel:
    watches = {at: held[0] for at, held in engine.freeze()["rules"][name]["watches"]}
    return msgspec.convert(watches[key][stratum], HourlyLevel)


def exact(n: int, bad: int, cells: int) -> float:
    """Return the upper bound of Clopper and Pearson, one of so many that miss 1 in 1,000 times together."""
    return float(beta.ppf(1 - 0.001 / cells, bad + 1, n - bad))


# --- what the hours teach --------------------------------------------------------------------------------------------


def test_each_run_of_hours_that_differs_has_an_exact_bound_of_its_own() -> None:
    found = level(begun(engine_of(learned()), past(evenings)))
    days = DAYS
    assert len(found.levels) == HOURS
    assert found.levels[NOON] == pytest.approx(exact(40 * days, 4 * days, 2), rel=1e-9)
    assert found.levels[EVENING] == pytest.approx(exact(40 * days, 16 * days, 2), rel=1e-9)
    assert found.p0 == wilson_upper(20 * DAYS, 80 * DAYS, 0.999), "the whole learns as ever"
    assert found.levels[NOON] < found.p0 < found.levels[EVENING]
    assert found.weights[EVENING] == pytest.approx(1.6, rel=0.01)
    assert found.found is None


def test_a_weekday_stands_apart_after_four_full_weeks_and_not_before() -> None:
    full = level(begun(engine_of(learned()), past(weekends)))
    assert len(full.levels) == WEEK_HOURS
    saturday, monday = 2 * HOURS + EVENING, 4 * HOURS + EVENING
    assert full.levels[saturday] == pytest.approx(exact(40 * 8, 20 * 8, 3), rel=1e-9)
    assert full.levels[monday] == pytest.approx(exact(40 * 20, 4 * 20, 3), rel=1e-9)
    assert full.levels[monday - 8] == pytest.approx(exact(40 * 28, 4 * 28, 3), rel=1e-9)
    fewer = level(begun(engine_of(learned()), past(weekends, 21)))
    assert len(fewer.levels) == HOURS, "three weeks: all weekdays share the level of their hour"
    bad = sum(weekends(START // DAY_MS - 8 - back, EVENING) for back in range(21))
    assert fewer.levels[EVENING] == pytest.approx(exact(40 * 21, bad, 2), rel=1e-9)
    few = level(begun(engine_of(learned()), past(evenings, 3)))
    assert few.levels == few.weights == ()
    assert few.p0 == wilson_upper(80, 320, 0.999)


def test_hours_that_do_not_differ_have_the_level_of_the_stratum() -> None:
    found = level(begun(engine_of(learned()), past(lambda *_: 4)))
    assert found.levels == ()
    assert found.p0 == wilson_upper(4 * 2 * DAYS, 80 * DAYS, 0.999)


def test_a_fall_of_a_share_learns_lower_bounds() -> None:
    wanted = msgspec.structs.replace(learned(), kind=RuleKind.RECOVERY, p1=(0.01,), p1_margin=0.001)
    found = level(begun(engine_of(wanted), past(evenings)))
    lower = float(beta.ppf(0.0005, 16 * DAYS, 24 * DAYS + 1))
    assert found.levels[EVENING] == pytest.approx(lower, rel=1e-9)
    assert found.levels[EVENING] < 0.4


def test_the_newest_level_is_flat_until_quiet_days_have_taught_the_hours() -> None:
    engine = begun(engine_of(learned()), past(evenings))
    assert level(engine).levels
    told(engine, START + PANE, answers("paris", 150, 150, START + PANE))
    engine.decide(decision(DecisionKind.REBASE, key="paris", rule="r"))
    assert level(engine).levels == ()


hours_of = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0, 1)).map(lambda one: (one[0], int(one[0] * one[1]))),
    min_size=HOURS, max_size=HOURS,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 30), st.sampled_from([0.0, 0.2, 0.5]), st.booleans())
def test_cells_hold_what_a_recount_of_their_hours_finds(seed: int, many: int, worse: float, weekends: bool) -> None:
    dice, first = Random(seed), 20_000
    days: dict[int, list[tuple[int, int]]] = {}
    for day in range(first, first + many):
        hours = []
        for hour in range(HOURS):
            p = 0.1 + worse * (hour >= 18 and (not weekends or day % 7 < 2))
            n = dice.choice([0, 3, 20])
            hours.append((n, sum(dice.random() < p for _ in range(n))))
        days[day * DAY_MS] = hours
    found = hour_levels.taught(days)
    assert len(found.of) in {0, HOURS, WEEK_HOURS}
    weekdays = {at: [day for day in days if day // DAY_MS % 7 == at] for at in range(7)}
    for cell, one in enumerate(found.cells):
        where = {at for at, of in enumerate(found.of) if of == cell}
        assert where
        hours_alone = {at % HOURS for at in where}
        here = {at // HOURS for at in where} if len(found.of) == WEEK_HOURS else set(range(7))
        if any(len(weekdays[at]) < 4 for at in here):
            here = set(range(7))  # the level of its hours, of which all days speak
        per_day = [
            tuple(sum(days[day][at][which] for at in hours_alone) for which in (0, 1))
            for weekday in here for day in weekdays[weekday]
        ]  # fmt: skip
        assert (one.n, one.bad) == (sum(n for n, _ in per_day), sum(bad for _, bad in per_day))
        assert one.crowd == pytest.approx(crowding(n for n, _ in per_day))
    if worse == 0.5 and not weekends and many > 10:
        assert found.cells


def plainly_apart(one: tuple[int, int], other: tuple[int, int]) -> float:
    both = (one[0] + other[0], one[1] + other[1])
    logs = [sum(x * log(x / n) for x in (bad, n - bad) if x) for n, bad in (one, other, both) if n]
    return 2 * (sum(logs[:-1]) - logs[-1]) if one[0] and other[0] else 0.0


@settings(max_examples=60, deadline=None)
@given(hours_of)
def test_runs_are_neighbours_and_what_is_left_differs_beyond_chance(sums: list[Any]) -> None:
    found = hour_levels.joined(sums, 15.0)
    assert sorted(at for run in found for at in run) == list(range(HOURS))
    for run in found:
        assert all((after - before) % HOURS == 1 for before, after in pairwise(run))
    held = [(sum(sums[at][0] for at in run), sum(sums[at][1] for at in run)) for run in found]
    if len(held) > 1:
        for one, other in zip(held, held[1:] + held[:1], strict=True):
            assert plainly_apart(one, other) > 15 - 1e-6


def test_midnight_is_no_border() -> None:
    sums = [(200, 60 if at >= 22 or at < 2 else 20) for at in range(HOURS)]
    assert sorted(map(sorted, hour_levels.joined(sums, 15.0))) == [[0, 1, 22, 23], list(range(2, 22))]


def test_of_hours_alike_few_are_taken_apart() -> None:
    dice, split = Random(5), 0
    for _ in range(150):
        places = [(200, sum(dice.random() < 0.1 for _ in range(200))) for _ in range(14)]
        split += len(hour_levels.joined(places, hour_levels.MORE_THAN_CHANCE)) > 1
    assert split <= 8


def test_full_days_leave_out_the_first_alarms_and_what_is_younger_than_the_lag() -> None:
    pane, hours = START, [(1, 0)] * HOURS
    days = {START - back * DAY_MS: hours for back in range(1, 20)}
    alarm = (START - 10 * DAY_MS + 5, START - 10 * DAY_MS + 6)
    found = hour_levels.full_days(days, Stretch(pane, 7 * DAY_MS, (alarm,)))
    assert sorted(found) == [START - back * DAY_MS for back in range(18, 7, -1) if back != 10]
    del days[START - 12 * DAY_MS]
    assert hour_levels.full_days(days, Stretch(pane, 7 * DAY_MS))[START - 12 * DAY_MS] == ((0, 0),) * HOURS


def test_hours_of_answers_forget_what_is_out_of_reach_and_come_back_from_a_snapshot() -> None:
    held = AnswerHours()
    held.add("paris", "card", START - 60 * DAY_MS + HOUR_MS, (3, 1), START - 60 * DAY_MS)
    held.add("paris", "card", START - 2 * HOUR_MS, (5, 2), START)
    held.add("paris", "card", START - HOUR_MS, (-2, -1), START)
    pairs = [(0, 0)] * HOURS
    pairs[22] = (5, 2)
    assert held.days("paris", "card") == {START - DAY_MS: pairs}, "what is taken back never leaves fewer than none"
    other = AnswerHours()
    other.thaw(msgspec.msgpack.decode(msgspec.msgpack.encode(held.freeze())))
    assert other.freeze() == held.freeze()
    assert other.days("paris", "card") == held.days("paris", "card")


# --- what answers say ------------------------------------------------------------------------------------------------


def ratio(p0: float, n: int, bad: int) -> float:
    p1 = max(0.25, p0 + 0.03)
    return bad * log(p1 / p0) + (n - bad) * log((1 - p1) / (1 - p0))


def test_an_answer_counts_in_the_hour_in_which_it_was_given() -> None:
    engine = begun(engine_of(learned()), past(evenings))
    found = level(engine)
    noon, evening = START + NOON * HOUR_MS, START + EVENING * HOUR_MS
    told(engine, noon + PANE, answers("paris", 30, 4, noon + PANE))
    at = evening + PANE
    both = answers("paris", 8, 5, at) + answers("paris", 3, 14, noon + 30 * MINUTE_MS)
    (alarm,) = told(engine, at, both)
    first = W * ((noon + PANE - START) / PANE) * exp(ratio(found.levels[NOON], 34, 4))
    said = ratio(found.levels[EVENING], 13, 5) + ratio(found.levels[NOON], 17, 14)
    assert alarm.state is AlarmState.OPEN
    assert alarm.statistic == pytest.approx((first + W * ((at - noon - PANE) / PANE)) * exp(said), rel=1e-9)
    card = evidence(alarm)["strata"]["card"]
    assert (card["n"], card["bad"]) == (30, 19)
    assert card["p0"] == alarm.p0 == pytest.approx((13 * found.levels[EVENING] + 17 * found.levels[NOON]) / 30)
    assert alarm.n == 30


def test_bad_evenings_are_no_news_with_the_profile_and_alarms_without_it() -> None:
    opened = {}
    for profile in ("none", "weekday_hour"):
        engine = begun(engine_of(learned(profile=profile)), past(evenings))
        found = []
        for day in range(5):
            for hour in (NOON, EVENING):
                pane = START + day * DAY_MS + hour * HOUR_MS + PANE
                found += told(engine, pane, answers("paris", 40 - evenings(0, hour), evenings(0, hour), pane))
        opened[profile] = sum(one.state is AlarmState.OPEN for one in found)
    assert opened == {"none": 5, "weekday_hour": 0}


def test_children_are_compared_by_hour_and_named_without_it() -> None:
    parent = learned(dimension="parent", strata="children")
    engine = begun(engine_of(parent), past(evenings, keys=("paris", "lille")))
    at = START + EVENING * HOUR_MS + PANE
    (alarm,) = told(engine, at, answers("paris", 0, 30, at) + answers("lille", 12, 1, at))
    assert [one["key"] for one in evidence(alarm)["contributors"]] == ["paris"]
    assert alarm.n == 43


def detector(rho: float = 0.05) -> tuple[HourlyShare, HourlyLevel]:
    kind = HourlyShare(learned(day_effect=rho), CSAT, Bins(CSAT))
    levels, weights = [0.06] * HOURS, [0.5] * HOURS
    levels[EVENING], weights[EVENING] = 0.24, 2.0
    return kind, HourlyLevel(
        0.12, (0.25,), 2000, 200, fixed=False, rho=rho, levels=tuple(levels), weights=tuple(weights)
    )  # fmt: skip


@pytest.mark.parametrize(
    "today", [{}, {NOON: (30.0, 1.0)}, {NOON: (30.0, 4.0), EVENING: (10.0, 3.0)}, {NOON: (6.0, 5.0)}]
)
def test_after_any_morning_the_ratio_of_an_evening_has_mean_1_at_its_level(
    today: dict[int, tuple[float, float]],
) -> None:
    kind, one = detector()
    size = (1 - one.rho) / one.rho
    said = {in_hour("card", hour): pair for hour, pair in today.items()}
    worse = sum(bad for _, bad in today.values())
    many = max(worse, sum(n * (0.25 if hour == NOON else 1.0) for hour, (n, _) in today.items()))
    law = betabinom(12, 0.24 * size + worse, 0.76 * size + many - worse)
    better = betabinom(12, 0.20 * size + worse, 0.80 * size + many - worse)
    means = [0.0, 0.0]
    for bad in range(13):
        seen = kind.seen_after(
            {"card": one}, {in_hour("card", EVENING): kind.bins.packed({5: 12 - bad, 1: bad})}, START, said
        )
        assert seen is not None
        for at, truth in enumerate((law, better)):
            means[at] += float(truth.pmf(bad)) * exp(seen.log_lr)
    assert means[0] == pytest.approx(1, abs=1e-9)
    assert means[1] < 1


def test_hours_of_one_pane_speak_one_after_the_other() -> None:
    kind, one = detector()
    pane = {
        in_hour("card", EVENING): kind.bins.packed({5: 3, 1: 4}),
        in_hour("card", 9): kind.bins.packed({5: 8, 1: 1}),
    }
    whole = kind.seen_after({"card": one}, pane, START, {})
    first, second = sorted(pane)
    begin = kind.seen_after({"card": one}, {first: pane[first]}, START, {})
    assert whole is not None
    assert begin is not None
    rest = kind.seen_after({"card": one}, {second: pane[second]}, START, begin.strata)
    assert rest is not None
    assert whole.log_lr == pytest.approx(begin.log_lr + rest.log_lr, rel=1e-12)


def test_a_day_effect_is_learned_around_the_profile() -> None:
    dice = Random(2)
    good_or_bad = {day: dice.choice([1, 9]) for day in range(START // DAY_MS - 60, START // DAY_MS)}

    def differ(day: int, hour: int) -> int:
        return good_or_bad[day] * (3 if weekends(day, hour) == 20 else 1)

    found = level(begun(engine_of(learned(day_effect="learned")), past(differ)))
    assert found.rho > 0.02
    kind = HourlyShare(learned(day_effect="learned"), CSAT, Bins(CSAT))
    newest, days = START // DAY_MS - 8, []
    for day in range(newest - 27, newest + 1):
        hours = [day % 7 * HOURS + hour for hour in (NOON, EVENING)]
        days.append((
            sum(40 * found.weight(at) for at in hours), sum(differ(day, hour) for hour in (NOON, EVENING))
        ))  # fmt: skip
    assert kind.by_day
    assert found.rho == pytest.approx(spread_of(days).rho)
    n, bad = effective(80 * DAYS, sum(bad for _, bad in days), found.rho, 80.0)
    assert found.p0 == pytest.approx(wilson_upper(bad, n, 0.999))


# --- a rule that gets a profile --------------------------------------------------------------------------------------


def test_a_rule_that_gets_a_profile_learns_it_from_the_lessons_of_the_past() -> None:
    rows = past(evenings)
    before = engine_of(learned(profile="none"))
    before.advance(START, cells_of(rows))
    changed = before.changed(catalogue(learned()), START + PANE, By("ann", ""))
    assert changed.cold == [(CSAT.identity, "touchpoint")]
    engine = changed.engine
    engine.teach(cells_of(rows))
    engine.decide(decision(DecisionKind.ARM, rule="r", definition_hash=learned().definition_hash))
    engine.decide(RENEW)
    assert level(engine) == level(begun(engine_of(learned()), rows))


def test_a_state_that_remembers_no_hours_is_refused_where_a_rule_reads_them() -> None:
    state = begun(engine_of(learned()), past(evenings)).freeze()
    del state["ears"][0][2]["answers"]
    with pytest.raises(ContractError, match="no hours of csat"):
        engine_of(learned()).thaw(state)


def test_without_a_profile_neither_state_nor_definition_says_anything_of_hours() -> None:
    plain = learned(profile="none")
    state = begun(engine_of(plain), past(evenings)).freeze()
    assert all(set(held) == {"cells", "hours"} for *_, held in state["ears"])
    assert len(state["rules"]["r"]["watches"][0][1][0]["card"]) == 8
    assert b"profile" not in msgspec.json.encode(plain)
