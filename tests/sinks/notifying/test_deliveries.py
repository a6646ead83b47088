"""What is told: each transition once, in order; old ones in one digest; the same records always under the same id."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from schemas.windows import HOUR_MS
from sinks.notifying.deliveries import Change, Entry, Notice, Place, Told, Withdrawals, cut_at, next_cut
from sinks.notifying.transition import Transition
from tests.sinks.notifying.conftest import T0, step

A: Place = ("alarms", 0)
B: Place = ("immediate", 0)
ALARM, OTHER = "a" * 32, "b" * 32


def entries(*steps: Transition | None, first: int = 0) -> list[Entry]:
    return [Entry(first + 2 * at, one) for at, one in enumerate(steps)]


def drain(queues: dict[Place, list[Entry]], told: Told, now_ms: int) -> list[Notice]:
    """Tell until nothing is left, as a receiver that accepts everything; each cut is passed exactly."""
    out = []
    while cut := next_cut(queues, told, now_ms):
        assert cut.ends
        for place, end in cut.ends.items():
            kept = [one for one in queues[place] if one.offset >= end]
            assert len(kept) < len(queues[place])
            queues[place] = kept
        if cut.notice is not None:
            told.tell(cut.notice)
            out.append(cut.notice)
    assert not any(queues.values())
    return out


def ids(notices: Sequence[Notice]) -> list[list[str]]:
    return [[one.transition_id for one in notice.transitions] for notice in notices]


def test_new_steps_are_told_one_by_one_across_topics_in_order_of_time() -> None:
    first, second, third = step(pane=T0), step(OTHER, pane=T0 + 1), step(ALARM, 2, "resolved", T0 + 2)
    notices = drain({A: entries(first, third), B: entries(second)}, Told(), T0 + 10)
    assert ids(notices) == [[first.transition_id], [second.transition_id], [third.transition_id]]
    assert [one.level for one in notices] == ["page", "page", "info"]
    assert [one.id for one in notices] == [first.transition_id, second.transition_id, third.transition_id]
    assert [one.reply_to for one in notices] == [None, None, first.transition_id]


def test_a_pending_step_and_a_repeat_are_never_told() -> None:
    one = step(sequence=2)
    told = Told()
    notices = drain({A: entries(step(state="pending"), one, None, one), B: entries(one)}, told, T0)
    assert ids(notices) == [[one.transition_id]]
    assert notices[0].reply_to is None
    assert drain({A: entries(one)}, told, T0) == []


def test_what_is_older_than_an_hour_is_one_digest_that_calls_nobody_and_the_rest_is_told_as_ever() -> None:
    now = T0 + 3 * HOUR_MS
    old = [step(f"{i:032x}", pane=T0 + i) for i in range(40)]
    fresh = step(OTHER, pane=now - HOUR_MS)
    notices = drain({A: entries(*old[::2], fresh), B: entries(*old[1::2])}, Told(), now)
    assert ids(notices) == [[one.transition_id for one in old], [fresh.transition_id]]
    assert [(one.digest, one.level) for one in notices] == [(True, "info"), (False, "page")]


def test_only_opening_calls_and_an_unknown_state_or_severity_is_information() -> None:
    levels = {}
    for state in ("open", "reopened", "acknowledged", "flapping", "silenced", "resolved", "transcended"):
        (notice,) = drain({A: entries(step(state=state))}, Told(), T0)
        levels[state] = notice.level
    assert {state for state, level in levels.items() if level == "page"} == {"open", "reopened"}
    assert set(levels.values()) == {"page", "info"}
    (notice,) = drain({A: entries(step(severity="catastrophe"))}, Told(), T0)
    assert notice.level == "info"


def test_an_alarm_first_told_in_a_digest_stays_information_until_it_opens_again() -> None:
    told, now = Told(), T0 + 2 * HOUR_MS
    (digest,) = drain({A: entries(step())}, told, now)
    assert [(one.known, one.late) for one in digest.changes] == [(False, True)]
    (seen,) = drain({A: entries(step(ALARM, 2, "acknowledged", now))}, told, now)
    assert (seen.changes[0].known, seen.changes[0].late) == (True, True)
    assert [alarm.late for alarm in told.standing()] == [True]
    (over,) = drain({A: entries(step(ALARM, 3, "resolved", now))}, told, now)
    assert (over.changes[0].late, told.standing()) == (True, [])
    (again,) = drain({A: entries(step(ALARM, 4, "open", now))}, told, now)
    assert (again.level, again.changes[0].late) == ("page", False)
    assert [alarm.late for alarm in told.standing()] == [False]


def test_an_alarm_that_was_told_in_time_keeps_its_severity_through_a_digest() -> None:
    told = Told()
    drain({A: entries(step())}, told, T0)
    (digest,) = drain({A: entries(step(ALARM, 2, "acknowledged", T0 + 1))}, told, T0 + 2 * HOUR_MS)
    assert digest.digest
    assert digest.changes == (Change(digest.transitions[0], known=True, late=False),)


def levels(*steps: Transition, told: Told | None = None, now_ms: int = T0) -> list[str]:
    return [one.level for one in drain({A: entries(*steps)}, told or Told(), now_ms)]


def test_a_note_on_an_alarm_that_was_told_calls_nobody_and_says_that_nothing_changed() -> None:
    steps = [step(), step(sequence=2), step(sequence=3, state="acknowledged"), step(sequence=4, state="acknowledged")]
    notices = drain({A: entries(*steps)}, Told(), T0)
    assert [(one.level, one.still) for one in notices] == [
        ("page", False), ("info", True), ("info", False), ("info", True),
    ]  # fmt: skip


def test_an_alarm_calls_again_when_it_comes_back_and_when_its_flapping_ends() -> None:
    states = ["open", "resolved", "open", "flapping", "open", "reopened"]
    told = [step(sequence=number, state=state) for number, state in enumerate(states, 1)]
    assert levels(*told) == ["page", "info", "page", "info", "page", "page"]


def test_an_alarm_inside_the_episode_of_its_parent_calls_nobody() -> None:
    told = Told()
    assert levels(step(episode="parent"), step(sequence=2, state="resolved", episode="parent"), told=told) == [
        "info",
        "info",
    ]


def test_a_silenced_alarm_stands_as_information_and_calls_when_it_opens_after_the_silence() -> None:
    told, until = Told(), T0 + 1000
    assert levels(step(silenced_until=until), step(sequence=2, silenced_until=until), told=told) == ["info", "info"]
    assert [alarm.late for alarm in told.standing()] == [True]
    assert levels(step(sequence=3, pane=until, silenced_until=until), told=told) == ["page"]
    assert [alarm.late for alarm in told.standing()] == [False]


def test_an_alarm_that_begins_by_flapping_stands_as_information_until_it_ends() -> None:
    told = Told()
    assert levels(step(state="flapping"), told=told) == ["info"]
    assert [alarm.late for alarm in told.standing()] == [True]
    (over,) = drain({A: entries(step(sequence=2, state="resolved"))}, told, T0)
    assert (over.changes[0].known, over.changes[0].late, told.standing()) == (True, True, [])


def test_an_alarm_that_was_only_pending_is_not_told_to_be_over() -> None:
    seen = Withdrawals()
    steps = [
        step(state="pending"), step(sequence=2, state="resolved"),
        step(sequence=3, state="pending"), step(sequence=4), step(sequence=5, state="resolved"),
        step(sequence=6, state="pending"), step(OTHER, 1, "resolved"), step(sequence=7, state="resolved"),
    ]  # fmt: skip
    told = [one for one in map(seen.worth, steps) if one is not None]
    assert [(one.alarm_id, one.sequence) for one in told] == [(ALARM, 4), (ALARM, 5), (OTHER, 1)]


def test_a_step_that_comes_after_a_newer_one_is_told_as_information_and_changes_nothing() -> None:
    told = Told()
    drain({A: entries(step(ALARM, 2, "resolved", T0))}, told, T0)
    (late,) = drain({B: entries(step(ALARM, 1, "open", T0))}, told, T0)
    assert (late.level, late.changes, told.standing()) == ("info", (), [])


def test_lateness_survives_a_restart_by_its_mark() -> None:
    told = Told()
    for one in (step(ALARM), step(OTHER)):
        told.recall(one)
    told.mark_late([ALARM[:12]])
    assert {alarm.last.alarm_id: alarm.late for alarm in told.standing()} == {ALARM: True, OTHER: False}


def test_told_ids_are_known_for_28_days() -> None:
    told, day = Told(), 24 * HOUR_MS
    told.recall(step())
    told.recall(step(OTHER, pane=T0 + 27 * day))
    assert told.silent(Entry(0, step()))
    told.recall(step(OTHER, 2, pane=T0 + 29 * day))
    assert not told.silent(Entry(0, step()))


STATES = st.sampled_from(["pending", "open", "acknowledged", "resolved", "flapping", "new"])
STEPS = st.lists(
    st.tuples(st.integers(0, 4), STATES, st.integers(0, 6 * HOUR_MS), st.booleans()), max_size=25
)  # fmt: skip


@given(STEPS, st.integers(0, 7 * HOUR_MS), st.lists(st.integers(0, 24), max_size=5))
def test_each_step_is_told_exactly_once_whatever_stands_where(
    drawn: list[tuple[int, str, int, bool]], now: int, repeated: list[int]
) -> None:
    steps = []
    for number, (alarm, state, after, _) in enumerate(sorted(drawn, key=lambda one: one[2])):
        steps.append(step(f"{alarm:032x}", number + 1, state, T0 + after))
    steps += [steps[at] for at in repeated if at < len(steps)]
    in_a = [side for *_, side in drawn] + [True] * len(repeated)
    queues = {
        A: entries(*(one for one, side in zip(steps, in_a, strict=False) if side)),
        B: entries(*(one for one, side in zip(steps, in_a, strict=False) if not side)),
    }
    worth = {one.transition_id for one in steps if one.state != "pending"}
    notices = drain(queues, Told(), T0 + now)
    told = [name for group in ids(notices) for name in group]
    assert sorted(worth) == sorted(told)
    assert all(one.level == "info" for one in notices if one.digest)
    assert len({one.id for one in notices}) == len(notices)
    calls = [one for one in notices if one.level == "page"]
    assert all(one.transitions[0].pane >= T0 + now - HOUR_MS for one in calls)


@given(STEPS, st.integers(0, 7 * HOUR_MS))
def test_a_notice_that_is_cut_again_at_its_ends_is_the_same(drawn: list[tuple[int, str, int, bool]], now: int) -> None:
    steps = [step(f"{alarm:032x}", at + 1, state, T0 + after) for at, (alarm, state, after, _) in enumerate(drawn)]
    queues = {A: entries(*steps[::2]), B: entries(*steps[1::2])}
    told = Told()
    while cut := next_cut(queues, told, T0 + now):
        if cut.notice is not None:
            assert cut_at(queues, cut.ends, told, digest=cut.notice.digest) == cut
            told.tell(cut.notice)
        queues = {
            place: [one for one in queue if one.offset >= cut.ends.get(place, 0)] for place, queue in queues.items()
        }
