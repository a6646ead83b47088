"""Rules on the number of events, against a judge that takes every pane by itself with scipy's negative binomial."""

from collections.abc import Mapping
from functools import cache
from math import exp
from random import Random
from typing import Any

import pytest
from scipy import stats

from schemas.blocks import EMPTY, Row
from schemas.outputs import AlarmState
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS
from streams.core.engine import Engine
from streams.core.grid import up
from tests.streams.core.watching.worlds import (
    PANE,
    START,
    VOLUME,
    begun,
    engine_of,
    evidence,
    quiet_days,
    rows,
    rule,
    told,
)  # fmt: skip

FLAT = quiet_days(VOLUME, ["paris"], {1: 1440}, days=2)


@cache
def log_likelihood(seen: int, mu: float, size: float) -> float:
    """Return the log probability of a count: Poisson where the size is infinite."""
    if size == float("inf"):
        return float(stats.poisson.logpmf(seen, mu))
    return float(stats.nbinom.logpmf(seen, size, size / (size + mu)))


def naive(of: Rule, came: Mapping[int, int], last: int, keys: int, dispersion: float = 1.0) -> list[tuple[int, str]]:
    """Return (pane, state) of a flat rule without hold, every pane by itself, empty ones too."""
    mu = (of.expected_per_day or 0) * PANE / DAY_MS
    size = mu / (dispersion - 1) if dispersion > 1 else float("inf")
    w = of.budget_per_week * PANE / WEEK_MS / keys
    r, opposite, on, expected = [0.0] * len(of.sought), 0.0, False, 0.0
    nearest = max(of.sought) if of.kind is not RuleKind.COUNT_RISE else min(of.sought)
    out = []
    for pane in range(START + PANE, last + 1, PANE):
        base = log_likelihood(came.get(pane, 0), mu, size)
        logs = {factor: log_likelihood(came.get(pane, 0), mu * factor, size) - base for factor in of.sought}
        if on:
            expected += mu
            opposite = (
                (opposite + w) * float(stats.norm.pdf(0) / stats.norm.pdf(0)) * 2.718281828459045 ** -logs[nearest]
            )
            if opposite >= 1 and expected >= of.resolve_min_answers:
                out.append((pane, "resolved"))
                on, r = False, [0.0] * len(r)
        else:
            r = [(one + w / len(r)) * exp(logs[factor]) for one, factor in zip(r, of.sought, strict=True)]
            if sum(r) >= 1 and logs[nearest] > 0:
                out.append((pane, "open"))
                on, opposite, expected = True, 0.0, 0.0
    return out


def played(engine: Engine, came: Mapping[int, int], last: int) -> list[tuple[int, str]]:
    out = []
    for pane in sorted(came):
        out += told(engine, pane, rows(VOLUME, "paris", {1: came[pane]}, pane))
    out += told(engine, last)
    return [(one.pane, one.state.value) for one in out]


@pytest.mark.parametrize(
    ("kind", "changes", "rate"),
    [
        (RuleKind.COUNT_DROP, {"factors": (0.3, 0.6)}, 0.2),
        (RuleKind.COUNT_DROP, {}, 0.0),
        (RuleKind.COUNT_RISE, {"factors": (2.0, 4.0)}, 3.0),
        (RuleKind.SILENCE, {}, 0.0),
    ],
)
def test_alarms_come_in_the_panes_that_a_walk_over_every_pane_gives(
    kind: RuleKind, changes: dict[str, Any], rate: float
) -> None:
    """An event a minute for 6 hours, then `rate` a minute for 6 hours, then as before."""
    of = rule(kind, "volume", budget_per_week=20.0, cooldown_ms=0, flap_transitions=99, **changes)
    dice = Random(5)
    came: dict[int, int] = {}
    for minute in range(18 * 60):
        expected = rate if 6 * 60 <= minute < 12 * 60 else 1.0
        for _ in range(int(stats.poisson.ppf(dice.random(), expected)) if expected else 0):
            pane = START + minute * MINUTE_MS + PANE * dice.randint(1, 6)
            came[pane] = came.get(pane, 0) + 1
    last = START + 20 * HOUR_MS
    found = played(begun(engine_of(of), FLAT), came, last)
    assert found == naive(of, came, last, keys=1)
    assert [state for _, state in found][:2] == ["open", "resolved"]


def test_silence_opens_in_a_quiet_stretch_at_the_right_pane_however_far_one_jumps() -> None:
    of = rule(RuleKind.SILENCE, "volume")
    last = START + DAY_MS
    expected = naive(of, {}, last, keys=1)
    jump, walk = begun(engine_of(of), FLAT), begun(engine_of(of), FLAT)
    (opened,) = told(jump, last)
    assert [(opened.pane, opened.state.value)] == expected
    walked = [one for pane in range(START + PANE, last + 1, PANE) for one in told(walk, pane)]
    assert walked == [opened]
    assert jump.pack() == walk.pack()
    assert opened.change_pane == START + PANE
    seen = evidence(opened)["strata"]["*"]
    assert seen["seen"] == 0
    assert seen["expected"] == pytest.approx((opened.pane - START) / DAY_MS * 1440)


def test_a_channel_that_was_never_heard_is_not_missed() -> None:
    assert told(begun(engine_of(rule(RuleKind.SILENCE, "volume")), []), START + 9 * DAY_MS) == []


def test_the_evidence_of_a_rise_ends_with_the_rise() -> None:
    """Quiet panes speak against a rise and may end one, as soon as there was exposure enough."""
    of = rule(RuleKind.COUNT_RISE, "volume", resolve_min_answers=30)
    engine = begun(engine_of(of), FLAT)
    (opened,) = told(engine, START + PANE, rows(VOLUME, "paris", {1: 60}, START + PANE))
    assert (opened.state, opened.n, opened.direction) == (AlarmState.OPEN, 60, "up")
    (resolved,) = told(engine, START + DAY_MS)
    assert resolved.state is AlarmState.RESOLVED
    assert resolved.pane >= opened.pane + 30 * MINUTE_MS


def spread_over_hours(days: int, by_hour: Mapping[int, int], *, weekend: int = 1) -> list[Row]:
    """Return events of `by_hour`, on days 5 and 6 of a week of days since the epoch divided by `weekend`."""
    out = []
    for back in range(1, days + 1):
        day = START - back * DAY_MS
        less = weekend if day // DAY_MS % 7 in {5, 6} else 1
        for hour, count in by_hour.items():
            out += rows(VOLUME, "paris", {1: count // less}, day + hour * HOUR_MS + HOUR_MS // 2, fresh=0)
    return out


LEARNED = rule(
    RuleKind.COUNT_DROP, "volume", baseline=BaselineKind.LEARNED, expected_per_day=None, profile="weekday_hour",
    factors=(0.3,), learn_lag_ms=0,
)  # fmt: skip


def test_a_profile_of_weekday_and_hour_wants_four_full_weeks() -> None:
    """With 3 weeks the days of a week share the hours of the day; with 5 the weekend has its own, lower cells."""
    by_hour = dict.fromkeys(range(8, 20), 400)
    few = begun(engine_of(LEARNED), spread_over_hours(21, by_hour, weekend=4))
    many = begun(engine_of(LEARNED), spread_over_hours(36, by_hour, weekend=4))
    (shallow,), (deep,) = (list(one._rules["count_drop"]._state.watches.values()) for one in (few, many))  # type: ignore[attr-defined]
    rates = {"few": shallow.baseline["*"].profile, "many": deep.baseline["*"].profile}
    noon = {name: [one.rate(day * 24 + 12) for day in range(7)] for name, one in rates.items()}
    assert len(set(noon["few"])) == 1
    assert noon["many"][5] < noon["many"][4] / 3
    assert all(one.rate(3) == 0 for one in rates.values())
    assert rates["many"].dispersion == 1.0
    assert rates["few"].dispersion > 20
    assert noon["many"][4] == pytest.approx(400, rel=0.2)
    assert noon["many"][4] < 400


def test_a_closed_night_is_no_silence() -> None:
    past = spread_over_hours(36, dict.fromkeys(range(8, 20), 100))
    engine = begun(engine_of(LEARNED), past)
    assert told(engine, START + 8 * HOUR_MS) == []
    (opened,) = told(engine, START + 12 * HOUR_MS)
    assert START + 8 * HOUR_MS < opened.pane < START + 9 * HOUR_MS


def test_too_few_events_teach_no_profile() -> None:
    engine = begun(engine_of(LEARNED), spread_over_hours(36, {12: 5}))
    assert engine.armed == []
    assert "wanted" in engine.unarmed[0].reason


def test_exposure_that_comes_by_another_channel_is_expected_from_the_last_week() -> None:
    """Complaints per order: with twice the orders in the last week twice the complaints are nothing new."""
    from tests.streams.core.watching.worlds import RATE

    of = rule(RuleKind.RISE, "per_order", baseline=BaselineKind.LEARNED, p0=None, p1=(0.3,), learn_lag_ms=8 * DAY_MS)

    def days(first: int, last: int, orders: int) -> list[Row]:
        return [
            row
            for hour in range(24 * first, 24 * last)
            for row in rows(RATE, "paris", {0: orders, 1: orders // 10}, START - hour * HOUR_MS, fresh=0)
        ]

    old = days(9, 30, 100)

    def complaints(orders: int, count: int) -> int:
        new = days(0, 9, orders)
        engine = begun(engine_of(of), [*old, *new])
        panes = [START + up(at * 6 * HOUR_MS // (6 * count), PANE) for at in range(1, 6 * count + 1)]
        return sum(len(told(engine, pane, rows(RATE, "paris", {1: 1}, pane))) for pane in panes)

    assert complaints(100, 12) == complaints(200, 20) == 0
    assert complaints(100, 30) > 0
    assert complaints(300, 30) == 0


def test_quiet_panes_are_judged_with_the_engine_alone() -> None:
    engine = begun(engine_of(rule(RuleKind.SILENCE, "volume")), FLAT)
    assert engine.advance(START + PANE, EMPTY) == []


def test_false_alarms_on_counts_stay_within_the_budget() -> None:
    """Poisson events at the declared rate, against a large budget: neither more than promised nor asleep."""
    dice, budget = Random(11), 2000.0
    life: dict[str, Any] = {
        "budget_per_week": budget,
        "cooldown_ms": 0,
        "flap_transitions": 10**6,
        "resolve_min_answers": 1,
    }
    of = [
        rule(RuleKind.COUNT_DROP, "volume", factors=(0.3, 0.6), expected_per_day=8640.0, **life),
        rule(RuleKind.COUNT_RISE, "volume", factors=(1.5, 3.0), expected_per_day=8640.0, **life),
        rule(
            RuleKind.COUNT_RISE,
            "volume",
            name="averaged",
            factors=(2.0,),
            expected_per_day=8640.0,
            grouping="averaged",
            **life,
        ),
    ]
    engine, panes = begun(engine_of(*of), FLAT), 2500
    opened = dict.fromkeys([one.name for one in of], 0)
    for at in range(1, panes + 1):
        pane, count = START + at * PANE, int(stats.poisson.ppf(dice.random(), 1.0))
        for one in told(engine, pane, rows(VOLUME, "paris", {1: count}, pane)):
            opened[one.rule] += one.state is AlarmState.OPEN
    given = budget * panes * PANE / WEEK_MS
    assert all(0.05 <= count / given <= 1.15 for count in opened.values()), (opened, given)
