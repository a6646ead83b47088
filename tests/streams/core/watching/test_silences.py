"""What becomes of an alarm that outlives its silence: one more step, in the pane in which the silence ends, told to people."""

import msgspec
import pytest

from schemas.catalogue import Catalogue
from schemas.outputs import AlarmState, AlarmTransition, DecisionKind
from schemas.rules import RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.engine import Engine
from streams.core.lifecycle import SILENCE_OVER
from tests.streams.core.watching.worlds import (
    CSAT,
    PANE,
    START,
    answers,
    begun,
    catalogue,
    decision,
    engine_of,
    evidence,
    quiet_days,
    rule,
    told,
    transitions,
)  # fmt: skip

PAST = quiet_days(CSAT, ["paris", "lille"], {5: 90, 1: 10})
UNTIL = START + HOUR_MS
"""End of the silences, unless told otherwise: no pane between two others."""


def silenced(until: int = UNTIL, key: str = "", **changes: object) -> Engine:
    """Return an engine in which the drop rule is silent from the beginning."""
    of = begun(engine_of(rule(RuleKind.DROP, **changes)), PAST)
    silence(of, until, key)
    return of


def silence(of: Engine, until: int, key: str = "") -> None:
    assert of.decide(decision(DecisionKind.SILENCE, rule="drop", key=key, until=until)) == []


def opened(of: Engine, key: str = "paris", at: int = PANE) -> AlarmTransition:
    (one,) = told(of, START + at, answers(key, 0, 20, START + at))
    return one


def known(one: AlarmTransition) -> dict[str, object]:
    """Return what a step says beside its place in the alarm's life."""
    plain = msgspec.to_builtins(one)
    own = {"transition_id", "sequence", "pane", "note", "evidence", "seq"}
    return {name: value for name, value in plain.items() if name not in own}


def test_an_open_alarm_says_in_the_pane_of_the_end_that_its_silence_is_over() -> None:
    of = silenced(UNTIL - 1)
    one = opened(of)
    assert told(of, UNTIL - PANE) == []
    (step,) = told(of, UNTIL + DAY_MS)
    assert (step.pane, step.sequence, step.state, step.note) == (UNTIL, 2, AlarmState.OPEN, SILENCE_OVER)
    assert known(step) == known(one)
    assert evidence(step) == {name: fact for name, fact in evidence(one).items() if name != "silenced_until"}
    assert of.open_alarms == [step]
    assert told(of, UNTIL + 2 * DAY_MS) == []


def test_answers_in_the_pane_of_the_end_change_nothing() -> None:
    of = silenced()
    opened(of)
    (step,) = told(of, UNTIL, answers("lille", 3, 0, UNTIL))
    assert (step.pane, step.key, step.note) == (UNTIL, "paris", SILENCE_OVER)


def test_what_ends_or_opens_with_the_silence_is_told_once() -> None:
    of = silenced()
    opened(of)
    said = told(of, UNTIL, [*answers("paris", 80, 0, UNTIL), *answers("lille", 0, 20, UNTIL)])
    assert [(one.key, one.state.value, one.note) for one in said] == [("lille", "open", ""), ("paris", "resolved", "")]
    assert all("silenced_until" not in evidence(one) for one in said)
    assert told(of, UNTIL + DAY_MS) == []


@pytest.mark.parametrize("resolved", [True, False])
def test_an_alarm_that_is_acknowledged_or_over_stays_quiet(resolved: bool) -> None:
    of = silenced()
    kind = DecisionKind.RESOLVE if resolved else DecisionKind.ACK
    of.decide(decision(kind, alarm_id=opened(of).alarm_id))
    assert told(of, UNTIL + DAY_MS) == []


def test_an_alarm_that_is_still_held_back_waits_and_opens_aloud() -> None:
    of = silenced(hold_ms=2 * HOUR_MS)
    assert opened(of).state is AlarmState.PENDING
    (one,) = told(of, START + DAY_MS)
    assert (one.state, one.pane) == (AlarmState.OPEN, START + PANE + 2 * HOUR_MS)
    assert "silenced_until" not in evidence(one)


def test_a_flapping_alarm_goes_on_flapping_aloud() -> None:
    of = silenced(flap_transitions=2, flap_window_ms=DAY_MS)
    opened(of)
    (flaps,) = told(of, START + 2 * PANE, answers("paris", 80, 0, START + 2 * PANE))
    assert flaps.state is AlarmState.FLAPPING
    (step,) = told(of, UNTIL + HOUR_MS)
    assert (step.state, step.pane, evidence(step)["steps"]) == (AlarmState.FLAPPING, UNTIL, 2)


def test_a_silence_that_is_lifted_or_cut_short_ends_then() -> None:
    lifted, cut = silenced(), silenced()
    opened(lifted), opened(cut)
    silence(lifted, START + 1)
    (step,) = told(lifted, START + DAY_MS)
    assert (step.pane, step.note) == (START + 2 * PANE, SILENCE_OVER)
    silence(cut, START + MINUTE_MS)
    (step,) = told(cut, START + DAY_MS)
    assert step.pane == START + MINUTE_MS


def test_a_silence_that_is_made_longer_ends_once_and_later() -> None:
    of = silenced()
    opened(of)
    silence(of, UNTIL + HOUR_MS)
    (step,) = told(of, UNTIL + DAY_MS)
    assert step.pane == UNTIL + HOUR_MS


def test_a_silence_that_nobody_asked_for_is_not_lifted() -> None:
    of = begun(engine_of(rule(RuleKind.DROP)), PAST)
    opened(of)
    silence(of, START)
    assert told(of, START + DAY_MS) == []


def test_an_alarm_under_two_silences_waits_for_the_later_one_and_others_do_not() -> None:
    of = silenced()
    silence(of, UNTIL + HOUR_MS, "paris")
    opened(of), opened(of, "lille", 2 * PANE)
    said = told(of, UNTIL + DAY_MS)
    assert [(one.key, one.pane) for one in said] == [("lille", UNTIL), ("paris", UNTIL + HOUR_MS)]


def test_a_note_after_the_lift_no_longer_says_silenced() -> None:
    of = silenced()
    one = opened(of)
    silence(of, START)
    (note,) = transitions(of.decide(decision(DecisionKind.NOTE, "looking", alarm_id=one.alarm_id)))
    assert "silenced_until" not in evidence(note)


def immediate() -> tuple[Catalogue, AlarmTransition]:
    """Return a catalogue with a dispute rule and an alarm that stage 1 has raised."""
    dispute = rule(RuleKind.DISPUTE, metric="", name="dispute", baseline=None, p0=None)
    alarm = AlarmTransition(
        transition_id="t", alarm_id="a" * 32, sequence=1, rule="dispute", definition_hash=dispute.definition_hash, metric="",
        dimension="touchpoint", key="nice", direction="", severity="page", state=AlarmState.OPEN, pane=START + PANE,
        first_pane=START + PANE, event_id="e1",
    )  # fmt: skip
    return catalogue(dispute, rule(RuleKind.DROP)), alarm


def test_an_alarm_that_was_raised_at_once_is_told_again_too() -> None:
    definitions, alarm = immediate()
    of = Engine(definitions, pane_ms=PANE, provisional_step_ms=60_000, alarms_only=True)
    told(of, START)
    of.decide(decision(DecisionKind.SILENCE, rule="dispute", key="nice", until=UNTIL))
    told(of, START + PANE)
    of.decide(decision(DecisionKind.ADOPT, **msgspec.to_builtins(alarm)))
    (step,) = told(of, UNTIL + DAY_MS)
    assert (step.alarm_id, step.sequence, step.state, step.pane) == (alarm.alarm_id, 2, AlarmState.OPEN, UNTIL)
    assert (step.event_id, step.note) == ("e1", SILENCE_OVER)


@pytest.mark.parametrize("every", [PANE, 10 * MINUTE_MS, HOUR_MS, DAY_MS])
def test_a_walk_a_jump_and_a_judge_that_is_put_away_say_the_same(every: int) -> None:
    def run(step: int, *, away: bool) -> tuple[list[AlarmTransition], bytes]:
        of = silenced(UNTIL - 3)
        silence(of, UNTIL + 90_001, "lille")
        said = [opened(of), opened(of, "lille", 2 * PANE)]
        for pane in range(START + 2 * PANE + step, UNTIL + HOUR_MS, step):
            if away:
                of = Engine.unpack(of.pack(), catalogue(rule(RuleKind.DROP)), pane_ms=PANE, provisional_step_ms=60_000)
            said += told(of, pane)
        said += told(of, UNTIL + HOUR_MS)
        return said, of.pack()

    assert run(every, away=every > PANE) == run(2 * HOUR_MS, away=False)
