"""What the judge's counters say of alarms: from 0, once for each state that an alarm comes into."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from schemas.catalogue import Catalogue, load
from schemas.codec import Kind, encode
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind, decision_to_record
from schemas.readiness import Readiness
from schemas.rules import IMMEDIATE
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import SOURCES
from streams.gauges import Gauges
from streams.judged import Judged
from streams.tallies_log import sources_body, sources_decision
from streams.topic_ids import Found

Maker = Callable[..., list[tuple[bytes, bytes]]]
SETTINGS = Settings(pane_ms=1000, provisional_step_ms=10_000)
PACKAGED = load()
FOUND = {topic.name: Found(f"id of {topic.name}", topic.partitions) for topic in SOURCES}
EVERY_STATE = {AlarmState.OPEN, AlarmState.ACKNOWLEDGED, AlarmState.FLAPPING, AlarmState.RESOLVED}


def held_back(hold_ms: int) -> Catalogue:
    """Return the packaged catalogue, its statistical alarms held back."""
    return msgspec.structs.replace(PACKAGED, alarm=[
        one if one.kind in IMMEDIATE else msgspec.structs.replace(one, hold_ms=hold_ms) for one in PACKAGED.alarm
    ])  # fmt: skip


class Judging:
    """A judge without a broker, and what Prometheus reads of it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.ours = sources_body(FOUND, SETTINGS, catalogue.hash)
        self.judged = Judged(SETTINGS, catalogue, self.ours, "log")
        self.registry, self.now = CollectorRegistry(), 0
        self.gauges = Gauges(Telemetry(self.registry), Readiness(), lambda: self.now)
        self.gauges.show(self.judged, ())
        self.said: list[AlarmTransition] = []

    def feed(self, value: bytes) -> None:
        self.now += 1000
        outputs = self.judged.apply(self.judged.next_offset, value)
        self.said += [one for one in outputs if isinstance(one, AlarmTransition)]
        self.gauges.said(self.judged, outputs)
        self.gauges.watch(self.judged)

    def decide(self, kind: DecisionKind, **body: Any) -> None:
        one = Decision(decision_id="d", kind=kind, author="ann", note="n", made_at=0, body=body)
        self.feed(encode(Kind.DECISION, decision_to_record(one)))

    def begin(self) -> None:
        self.feed(encode(Kind.DECISION, decision_to_record(sources_decision(self.ours, 0))))

    def series(self, name: str) -> dict[tuple[str, ...], float]:
        """Return label values, in order of their names -> value."""
        return {
            tuple(value for _, value in sorted(one.labels.items())): one.value
            for family in self.registry.collect()
            for one in family.samples
            if one.name == f"barometer_{name}"
        }


@pytest.mark.parametrize("hold_ms", [0, 60_000])
def test_every_state_that_an_alarm_can_come_into_is_counted_from_0(hold_ms: int) -> None:
    counted = Judging(held_back(hold_ms)).series("alarm_transitions_total")
    states: dict[str, set[str]] = {}
    for rule, state in counted:
        states.setdefault(rule, set()).add(state)
    assert set(counted.values()) == {0.0}
    late = {AlarmState.PENDING} if hold_ms else set()
    assert states == {
        "satisfaction_drop": EVERY_STATE | late,
        "dispute": {AlarmState.ACKNOWLEDGED, AlarmState.RESOLVED},
        "legal_threat": {AlarmState.ACKNOWLEDGED, AlarmState.RESOLVED},
    }


@pytest.mark.parametrize("hold_ms", [0, 5_000])
def test_the_counters_are_the_states_that_alarms_came_into(log_maker: Maker, hold_ms: int) -> None:
    """All states said are among those that began at 0; a note on an open alarm, or on a silenced one, is not counted."""
    of = Judging(held_back(hold_ms))
    begun = set(of.series("alarm_transitions_total"))
    of.begin()
    pending = 0
    for _, value in log_maker(of.ours, of.judged.judge.engine.catalogue, panes=60, seed=15):
        of.feed(value)
        waiting = [one for one in of.judged.judge.engine.pending_alarms if one.severity == "page"]
        assert sum(of.series("alarms_pending").values()) == len(waiting)
        pending = max(pending, len(waiting))
    assert (pending > 0) == (hold_ms > 0)
    assert any(one.state is AlarmState.OPEN for one in of.said)
    expected = dict.fromkeys(begun, 0.0) | {
        labels: float(count) for labels, count in Counter((one.rule, str(one.state)) for one in of.said).items()
    }
    assert of.series("alarm_transitions_total") == expected
    assert set(expected) == begun
    (alarm,) = of.judged.judge.engine.open_alarms
    of.decide(DecisionKind.NOTE, alarm_id=alarm.alarm_id)
    assert of.said[-1].state is AlarmState.OPEN
    assert of.series("alarm_transitions_total") == expected
    of.decide(DecisionKind.ACK, alarm_id=alarm.alarm_id)
    of.decide(DecisionKind.RESOLVE, alarm_id=alarm.alarm_id)
    expected[alarm.rule, "acknowledged"] += 1
    expected[alarm.rule, "resolved"] += 1
    assert of.series("alarm_transitions_total") == expected


def test_a_note_on_an_alarm_of_stage_1_is_no_opening(log_maker: Maker) -> None:
    of = Judging(PACKAGED)
    of.begin()
    for _, value in log_maker(of.ours, PACKAGED, panes=3, seed=4):
        of.feed(value)
    (rule,) = [one for one in PACKAGED.alarm if one.name == "dispute"]
    first = AlarmTransition(
        transition_id="t", alarm_id="a", sequence=1, rule="dispute", definition_hash=rule.definition_hash, metric="dispute",
        dimension="touchpoint", key="lyon", direction="rise", severity="page", state=AlarmState.OPEN, pane=1000,
        first_pane=1000, event_id="e",
    )  # fmt: skip
    before = of.series("alarm_transitions_total")
    of.decide(DecisionKind.ADOPT, **msgspec.to_builtins(first))
    of.decide(DecisionKind.NOTE, alarm_id="a")
    assert of.said[-1].alarm_id == "a"
    assert of.series("alarm_transitions_total") == before
