"""The life of an alarm: held back, opened, acknowledged, resolved, back within the cool-down, flapping, silenced."""

from typing import Any

import pytest

from schemas.outputs import AlarmState, AlarmTransition, DecisionKind
from schemas.rules import RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.engine import Engine
from tests.streams.core.watching.worlds import (
    CSAT,
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
    transitions,
)  # fmt: skip

PAST = quiet_days(CSAT, ["paris"], {5: 90, 1: 10})
BAD, GOOD = (0, 14), (80, 0)


def engine(**changes: Any) -> Engine:
    return begun(engine_of(rule(RuleKind.DROP, **changes)), PAST)


def say(of: Engine, at: int, said: tuple[int, int]) -> list[AlarmTransition]:
    """Give good and bad answers in the pane `at` ms after the start."""
    return told(of, START + at, answers("paris", *said, START + at))


def states(said: list[AlarmTransition]) -> list[str]:
    return [one.state.value for one in said]


def test_an_alarm_that_is_held_back_opens_when_the_statistic_has_stayed_up() -> None:
    of = engine(hold_ms=10 * MINUTE_MS)
    (pending,) = say(of, PANE, BAD)
    assert pending.state is AlarmState.PENDING
    assert of.open_alarms == []
    assert told(of, START + 10 * MINUTE_MS) == []
    (opened,) = told(of, START + HOUR_MS)
    assert (opened.state, opened.pane, opened.sequence) == (AlarmState.OPEN, START + PANE + 10 * MINUTE_MS, 2)
    assert (opened.alarm_id, opened.first_pane) == (pending.alarm_id, pending.pane)
    assert (opened.n, opened.bad) == (14, 14)
    assert of.open_alarms == [opened]


def test_an_alarm_that_does_not_hold_is_withdrawn_and_the_next_one_is_another() -> None:
    of = engine(hold_ms=10 * MINUTE_MS)
    (pending,) = say(of, PANE, BAD)
    (withdrawn,) = say(of, 2 * PANE, GOOD)
    assert (withdrawn.state, withdrawn.note) == (AlarmState.RESOLVED, "withdrawn")
    assert told(of, START + HOUR_MS) == []
    (again,) = say(of, 2 * HOUR_MS, BAD)
    assert again.state is AlarmState.PENDING
    assert again.alarm_id != pending.alarm_id


def test_an_alarm_that_comes_back_within_the_cool_down_is_the_same_episode() -> None:
    of = engine(cooldown_ms=HOUR_MS, flap_transitions=99)
    (opened,) = say(of, PANE, BAD)
    (resolved,) = say(of, 2 * PANE, GOOD)
    (again,) = say(of, HOUR_MS, BAD)
    assert (again.alarm_id, again.sequence, again.state) == (opened.alarm_id, 3, AlarmState.OPEN)
    assert evidence(again)["reopened"] == 1
    assert again.first_pane == opened.pane
    say(of, HOUR_MS + PANE, GOOD)
    (other,) = say(of, 3 * HOUR_MS, BAD)
    assert other.alarm_id != opened.alarm_id
    assert other.sequence == 1
    assert "reopened" not in evidence(other)
    assert resolved.sequence == 2


def test_a_flapping_alarm_is_held_open_until_it_is_calm() -> None:
    of = engine(flap_transitions=4, flap_window_ms=HOUR_MS)
    said = [one for at, what in enumerate([BAD, GOOD, BAD, GOOD, BAD, GOOD], 1) for one in say(of, at * PANE, what)]
    assert states(said) == ["open", "resolved", "open", "flapping"]
    assert evidence(said[-1])["steps"] == 4
    assert states(of.open_alarms) == ["flapping"]
    assert told(of, START + HOUR_MS) == []
    (calm,) = told(of, START + 2 * HOUR_MS)
    assert (calm.state, calm.pane) == (AlarmState.RESOLVED, START + 6 * PANE + HOUR_MS)
    assert calm.alarm_id == said[0].alarm_id
    assert of.open_alarms == []


def test_a_flapping_alarm_that_calms_down_bad_is_open() -> None:
    of = engine(flap_transitions=3, flap_window_ms=HOUR_MS)
    said = [one for at, what in enumerate([BAD, GOOD, BAD], 1) for one in say(of, at * PANE, what)]
    assert states(said) == ["open", "resolved", "flapping"]
    assert states(told(of, START + 2 * HOUR_MS)) == ["open"]


def test_steps_far_apart_are_no_flapping() -> None:
    of = engine(flap_transitions=3, flap_window_ms=HOUR_MS, cooldown_ms=0)
    said = [one for at, what in enumerate([BAD, GOOD] * 3, 1) for one in say(of, at * HOUR_MS, what)]
    assert states(said) == ["open", "resolved"] * 3


def test_acknowledgement_and_notes_change_nothing_that_is_detected() -> None:
    of, other = engine(), engine()
    (opened,) = say(of, PANE, BAD)
    say(other, PANE, BAD)
    (acked,) = transitions(of.decide(decision(DecisionKind.ACK, "on it", alarm_id=opened.alarm_id)))
    assert (acked.state, acked.actor, acked.note, acked.sequence) == (AlarmState.ACKNOWLEDGED, "ann", "on it", 2)
    assert evidence(acked) == evidence(opened)
    (noted,) = transitions(of.decide(decision(DecisionKind.NOTE, "called them", alarm_id=opened.alarm_id)))
    assert (noted.state, noted.note) == (AlarmState.ACKNOWLEDGED, "called them")
    assert of.open_alarms == [noted]
    (resolved,), (same,) = say(of, 2 * PANE, GOOD), say(other, 2 * PANE, GOOD)
    assert (resolved.pane, resolved.statistic, resolved.n) == (same.pane, same.statistic, same.n)
    assert (resolved.note, resolved.actor) == ("", "judge")
    (again,) = say(of, HOUR_MS, BAD)
    assert again.state is AlarmState.OPEN


@pytest.mark.parametrize("kind", [DecisionKind.ACK, DecisionKind.NOTE, DecisionKind.RESOLVE])
def test_what_names_no_open_alarm_is_ignored_and_counted(kind: DecisionKind) -> None:
    of = engine()
    assert of.decide(decision(kind, alarm_id="nobody")) == []
    assert of.ignored == {kind: 1}


def test_a_silence_is_told_with_every_step_and_the_detectors_go_on() -> None:
    of, until = engine(cooldown_ms=0), START + HOUR_MS
    of.decide(decision(DecisionKind.SILENCE, rule="drop", key="", until=until))
    (opened,) = say(of, PANE, BAD)
    assert evidence(opened)["silenced_until"] == until
    (resolved,) = say(of, 2 * PANE, GOOD)
    assert evidence(resolved)["silenced_until"] == until
    (later,) = say(of, 2 * HOUR_MS, BAD)
    assert "silenced_until" not in evidence(later)


def test_a_silence_of_one_key_or_rule_concerns_no_other() -> None:
    of = engine()
    of.decide(decision(DecisionKind.SILENCE, rule="drop", key="lille", until=START + HOUR_MS))
    of.decide(decision(DecisionKind.SILENCE, rule="unknown", key="", until=START + HOUR_MS))
    assert of.ignored == {"silence": 1}
    (opened,) = say(of, PANE, BAD)
    assert "silenced_until" not in evidence(opened)


def test_a_command_ends_a_flapping_or_pending_alarm_too() -> None:
    flapping = engine(flap_transitions=3)
    said = [one for at, what in enumerate([BAD, GOOD, BAD], 1) for one in say(flapping, at * PANE, what)]
    (ended,) = transitions(flapping.decide(decision(DecisionKind.RESOLVE, "enough", alarm_id=said[-1].alarm_id)))
    assert (ended.state, ended.note) == (AlarmState.RESOLVED, "enough")
    assert told(flapping, START + 2 * DAY_MS) == []
    pending = engine(hold_ms=HOUR_MS)
    (waiting,) = say(pending, PANE, BAD)
    (ended,) = transitions(pending.decide(decision(DecisionKind.RESOLVE, alarm_id=waiting.alarm_id)))
    assert ended.state is AlarmState.RESOLVED
    assert told(pending, START + 2 * DAY_MS) == []


def test_a_renewal_keeps_the_baseline_of_an_open_alarm_and_ends_nothing() -> None:
    of = engine()
    (opened,) = say(of, PANE, BAD)
    of.decide(RENEW)
    assert of.open_alarms == [opened]
    assert states(say(of, 3 * PANE, GOOD)) == ["resolved"]


def test_the_evidence_says_what_was_seen_and_against_what() -> None:
    (opened,) = say(engine(), PANE, (1, 14))
    assert evidence(opened) == {
        "strata": {"card": {"n": 15, "bad": 14, "p0": 0.1, "p1": 0.25}},
        "threshold": 1.0,
    }
    assert (opened.n, opened.bad, opened.p0, opened.p1) == (15, 14, pytest.approx(0.1), pytest.approx(0.25))
