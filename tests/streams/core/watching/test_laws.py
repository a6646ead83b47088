"""What must hold for all rules at once: no split, restart or order of keys changes a single bit."""

from collections.abc import Sequence
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import EMPTY, Row, cells_of
from schemas.outputs import AlarmTransition, Decision, DecisionKind
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.engine import Engine
from tests.streams.core.watching.worlds import (
    COMPLAINTS,
    CSAT,
    NPS,
    PANE,
    RATE,
    START,
    VOLUME,
    answers,
    begun,
    catalogue,
    decision,
    engine_of,
    quiet_days,
    rows,
    rule,
    transitions,
)  # fmt: skip

LIFE: dict[str, Any] = {
    "budget_per_week": 5_000.0, "cooldown_ms": HOUR_MS, "flap_transitions": 3, "flap_window_ms": 2 * HOUR_MS,
    "resolve_min_answers": 5,
}  # fmt: skip
RULES: list[Rule] = [
    rule(RuleKind.DROP, **LIFE, p1=(0.2, 0.5), grouping="averaged"),
    rule(RuleKind.DROP, name="held", **LIFE, hold_ms=3 * MINUTE_MS, shares="rate"),
    rule(RuleKind.RECOVERY, **LIFE, p1=(0.03,)),
    rule(RuleKind.SCORE, "nps", **LIFE, p1=(0.3,), grouping="averaged"),
    rule(RuleKind.RISE, "complaint_rate", **LIFE),
    rule(RuleKind.COUNT_DROP, "volume", **LIFE, factors=(0.3, 0.6)),
    rule(RuleKind.COUNT_RISE, "volume", **LIFE, factors=(1.5, 3.0), hold_ms=5 * MINUTE_MS, grouping="averaged"),
    rule(RuleKind.SILENCE, "volume", **LIFE, hold_ms=30 * MINUTE_MS),
    rule(RuleKind.RISE, "per_order", name="rate_rise", **LIFE),
    rule(RuleKind.BURN, **{**LIFE, "budget_per_week": 1.0}),
    rule(RuleKind.DROP, name="north", dimension="parent", strata="children", **LIFE),
    rule(RuleKind.SILENCE, "volume", name="north_silent", dimension="parent", strata="children", **LIFE),
    rule(RuleKind.DROP, name="days", **LIFE, p1=(0.2, 0.5), day_effect=0.02),
    rule(RuleKind.RISE, "complaint_rate", name="learned_days", baseline=BaselineKind.LEARNED, **{**LIFE, "p0": None}),
    rule(RuleKind.DROP, name="hours", profile="weekday_hour", baseline=BaselineKind.LEARNED, **{**LIFE, "p0": None}),
    rule(
        RuleKind.DROP,
        name="north_hours",
        profile="weekday_hour",
        baseline=BaselineKind.LEARNED,
        dimension="parent",
        strata="children",
        day_effect=0.0,
        **{**LIFE, "p0": None},
    ),
]
KEYS = ["paris", "lille", "nice"]


def past() -> list[Row]:
    return [
        *quiet_days(CSAT, KEYS, {5: 90, 1: 10}),
        *(
            row
            for day in range(8, 21)
            for key in KEYS
            for row in answers(key, 30, 3 * (day % 7), START - day * DAY_MS + 2 * HOUR_MS, fresh=0)
        ),
        *quiet_days(NPS, KEYS, {10: 60, 8: 30, 2: 10}),
        *quiet_days(COMPLAINTS, KEYS, {0: 90, 1: 10}),
        *quiet_days(COMPLAINTS, KEYS, {1: 12}, days=12),
        *quiet_days(VOLUME, KEYS, {1: 1440}),
        *quiet_days(RATE, KEYS, {0: 500, 1: 50}),
    ]


BEGUN = begun(engine_of(*RULES), past()).pack()


def engine() -> Engine:
    out = engine_of(*RULES)
    out.thaw(msgspec.msgpack.decode(BEGUN, strict=False))
    return out


Entry = tuple[int, list[Row] | Decision]


def log_of(dice: Random) -> list[Entry]:
    """Return panes with counts, and commands before panes, over some hours."""
    out: list[Entry] = []
    pane = START
    for _ in range(dice.randint(1, 14)):
        pane += PANE * dice.choice([1, 1, 2, 7, 40, 359, 360, 1000])
        here: list[Row] = []
        for key in dice.sample(KEYS, dice.randint(1, 3)):
            kind = dice.choice(["good", "bad", "flood", "complaints"])
            if kind == "flood":
                here += rows(VOLUME, key, {1: dice.randint(1, 30)}, pane)
            elif kind == "complaints":
                here += rows(COMPLAINTS, key, {0: 2, 1: 4}, pane) + rows(RATE, key, {0: 1, 1: 4}, pane)
            else:
                good, bad = (dice.randint(3, 25), 0) if kind == "good" else (1, dice.randint(2, 9))
                here += answers(key, good, bad, pane) + rows(NPS, key, {10: good, 3: bad}, pane)
        out.append((pane, here))
        if dice.random() < 0.3:
            said, one = (
                dice.choice(["renew", "rebase", "disarm", "arm", "resolve", "ack", "note", "silence"]),
                dice.choice(RULES),
            )
            key = dice.choice([*KEYS, "north"])
            body: dict[str, Any] = {"rule": one.name, "key": key, "until": pane + HOUR_MS}
            if said == "arm":
                body["definition_hash"] = one.definition_hash
            out.append((pane, decision(DecisionKind(said), **body)))
    return out


def played(engine: Engine, log: list[Entry], *, walk: bool = False, stop: int | None = None) -> list[AlarmTransition]:
    """Feed a log; with `walk` judge quiet panes one by one, with `stop` restore the engine from bytes after that entry."""
    out: list[AlarmTransition] = []
    for index, (pane, what) in enumerate(log):
        if isinstance(what, Decision):
            body = dict(what.body)
            if what.kind in {DecisionKind.RESOLVE, DecisionKind.ACK}:
                alarms = engine.open_alarms
                body["alarm_id"] = alarms[0].alarm_id if alarms else "none"
            out += transitions(engine.decide(msgspec.structs.replace(what, body=body)))
        else:
            while walk and engine.pane is not None and engine.pane < pane - PANE:
                out += transitions(engine.advance(engine.pane + PANE, EMPTY))
            out += transitions(engine.advance(pane, cells_of(what)))
        if index == stop:
            packed = engine.pack()
            engine.thaw(msgspec.msgpack.decode(packed, strict=False))
            other = Engine.unpack(packed, catalogue(*RULES), pane_ms=PANE, provisional_step_ms=60_000)
            assert other.pack() == packed
            other._alarms_only = True
            engine = other
    out += transitions(engine.advance(log[-1][0] + 2_000 * PANE, EMPTY))
    out += transitions(engine.advance(log[-1][0] + 20_000 * PANE, EMPTY))
    final.append(engine.pack())
    return out


final: list[bytes] = []
dices = st.integers(0, 10_000).map(Random)


@settings(max_examples=15, deadline=None)
@given(dice=dices)
def test_quiet_panes_one_by_one_or_in_one_jump_give_the_same_bits(dice: Random) -> None:
    log = log_of(dice)
    assert played(engine(), log) == played(engine(), log, walk=True)
    assert final[-1] == final[-2]


@settings(max_examples=15, deadline=None)
@given(dice=dices)
def test_an_engine_restored_anywhere_goes_on_as_if_nothing_had_happened(dice: Random) -> None:
    log = log_of(dice)
    assert played(engine(), log) == played(engine(), log, stop=dice.randrange(len(log)))
    assert final[-1] == final[-2]


def test_the_logs_of_the_laws_reach_every_state_and_rule() -> None:
    """A law about alarms that never come would hold for nothing."""
    seen = {(one.rule, one.state.value) for seed in range(25) for one in played(engine(), log_of(Random(seed)))}
    assert {state for _, state in seen} == {"pending", "open", "acknowledged", "flapping", "resolved"}
    assert {name for name, _ in seen} == {one.name for one in RULES}


@settings(max_examples=8, deadline=None)
@given(dice=dices)
def test_what_the_keys_are_called_does_not_matter(dice: Random) -> None:
    """Keys are judged one by one: with other names, in another order, each has the same alarms."""
    log = [entry for entry in log_of(dice) if not isinstance(entry[1], Decision)]
    names = {"paris": "z", "lille": "m", "nice": "a"}

    def renamed(said: list[Row]) -> list[Row]:
        return [row._replace(series=row.series._replace(key=names[row.series.key])) for row in said]

    flat = [one for one in RULES if one.strata != "children"]
    first, second = begun(engine_of(*flat), past()), begun(engine_of(*flat), renamed(past()))
    other = [(pane, renamed(said)) for pane, said in log if not isinstance(said, Decision)]

    def of(engine_: Engine, entries: Sequence[Entry]) -> set[tuple[Any, ...]]:
        back = {new: old for old, new in names.items()}
        return {
            (
                one.rule,
                back.get(one.key, one.key),
                one.pane,
                one.state,
                one.sequence,
                one.statistic,
                one.n,
                one.change_pane,
            )
            for one in played(engine_, list(entries))
        }

    assert of(first, log) == of(second, other)
