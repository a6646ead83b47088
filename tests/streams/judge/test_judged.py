"""The judge with its shell's memory, without a broker."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from schemas.catalogue import Catalogue, load
from schemas.codec import Kind, encode
from schemas.declared import Catalogues, Declared
from schemas.errors import ContractError, UndecodableError
from schemas.outputs import Decision, DecisionKind, Output, decision_to_record
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import SOURCES
from streams.gauges import Gauges
from streams.judged import Judged, record_of
from streams.snapshots import Shelf, to_records
from streams.tallies_log import entry_of, sources_body, sources_decision
from streams.topic_ids import Found

Maker = Callable[..., list[tuple[bytes, bytes]]]
SETTINGS = Settings(pane_ms=1000, provisional_step_ms=10_000)
CATALOGUE = load()
KNOWN = Catalogues([Declared(0, CATALOGUE)])
FOUND = {topic.name: Found(f"id of {topic.name}", topic.partitions) for topic in SOURCES}
OURS = sources_body(FOUND, SETTINGS, CATALOGUE.hash)


def fresh(catalogue: Catalogue = CATALOGUE) -> Judged:
    return Judged(SETTINGS, catalogue, OURS, "log")


def log_of(maker: Maker, seed: int) -> list[bytes]:
    first = encode(Kind.DECISION, decision_to_record(sources_decision(OURS, 0)))
    return [first, *(value for _, value in maker(OURS, CATALOGUE, panes=40, seed=seed))]


def fed(judged: Judged, log: list[bytes], start: int, end: int) -> list[Output]:
    return [output for offset in range(start, end) for output in judged.apply(offset, log[offset])]


def decision(kind: str, body: dict[str, Any]) -> bytes:
    one = Decision(decision_id="d", kind=DecisionKind(kind), author="a", made_at=0, body=body)
    return encode(Kind.DECISION, decision_to_record(one))


def test_a_snapshot_anywhere_goes_on_as_if_nothing_had_happened(log_maker: Maker) -> None:
    log = log_of(log_maker, seed=11)
    whole = fresh()
    clean = fed(whole, log, 0, len(log))
    assert {type(one).__name__ for one in clean} == {"Reading", "AlarmTransition"}
    for cut in range(0, len(log), len(log) // 7):
        judged = fresh()
        said = fed(judged, log, 0, cut)
        shelf = Shelf()
        for key, value in to_records(judged.snapshot(), 0):
            shelf.put(key, value)
        newest = shelf.newest()
        assert newest is not None
        back = Judged.restored(newest[0], SETTINGS, KNOWN, OURS, "log")
        assert back.position() == judged.position()
        said += fed(back, log, cut, len(log))
        assert said == clean
        assert (back.newest, back.position()) == (whole.newest, whole.position())


def test_what_is_no_entry_changes_nothing_and_is_counted(log_maker: Maker) -> None:
    log = log_of(log_maker, seed=12)
    clean = fed(fresh(), log, 0, len(log))
    bad = [b"", b"\x00\x00\x00\x00\x03zz", decision("resolve", {}), decision("adopt", {"alarm_id": 3})]
    mixed = [
        value for number, one in enumerate(log) for value in ([one, bad[number % 4]] if number % 9 == 0 else [one])
    ]
    judged = fresh()
    assert fed(judged, mixed, 0, len(mixed)) == clean
    assert judged.undecodable == len(mixed) - len(log)


@pytest.mark.parametrize("body", [{}, {"alarm_id": 3}, {"alarm": "x"}])
def test_a_command_that_says_nothing_is_undecodable(body: dict[str, Any]) -> None:
    with pytest.raises(UndecodableError, match="bad_decision"):
        entry_of(decision("resolve", body))


def test_the_state_of_another_log_is_refused(log_maker: Maker) -> None:
    judged = fresh()
    fed(judged, log_of(log_maker, seed=13), 0, 50)
    with pytest.raises(ContractError, match="created anew"):
        Judged.restored(judged.snapshot(), SETTINGS, KNOWN, OURS, "another log")


def test_a_topic_that_was_created_anew_is_refused_by_name(log_maker: Maker) -> None:
    found = {**FOUND, "feedback.web.v1": Found("another id", 4)}
    theirs = sources_body(found, SETTINGS, CATALOGUE.hash)
    with pytest.raises(ContractError, match=r"feedback\.web\.v1-0"):
        Judged(SETTINGS, CATALOGUE, theirs, "log").apply(0, log_of(log_maker, seed=14)[0])


def test_the_gauges_show_the_newest_reading_and_go_with_the_partition(log_maker: Maker) -> None:
    registry, readiness, now = CollectorRegistry(), Readiness(), [0]
    gauges = Gauges(Telemetry(registry), readiness, lambda: now[0])
    judged = fresh()
    gauges.show(judged, ())
    assert readiness.failing() == {"sources": "the log names none yet"}
    log = log_of(log_maker, seed=15)
    for start in range(0, len(log), 20):
        now[0] += 1000
        gauges.said(judged, fed(judged, log, start, min(start + 20, len(log))))
        gauges.watch(judged)
        if judged.sources and not all(source.to for source in judged.judge.sources):
            assert readiness.failing()["sources"].startswith("waiting for ")
    text = generate_latest(registry).decode()
    newest = judged.newest["csat", "1h", "touchpoint", "paris"]
    labels = 'dimension="touchpoint",key="paris",metric="csat",window="1h"'
    assert f"barometer_satisfaction{{{labels}}} {newest.value}" in text
    assert f"barometer_satisfaction_answers{{{labels}}} {float(newest.n)}" in text
    assert 'barometer_alarms_open{metric="csat",severity="page",state="open"} 1.0' in text
    assert 'barometer_detector_armed_keys{rule="satisfaction_drop"} 3.0' in text
    assert 'barometer_alarm_transitions_total{rule="satisfaction_drop",state="open"} 1.0' in text
    assert 'barometer_alarm_transitions_total{rule="dispute",state="resolved"} 0.0' in text
    assert "barometer_judge_pane_lag_seconds{" in text
    spent = judged.judge.engine.spent["satisfaction_drop"]
    assert spent > 0
    assert f'barometer_alarm_budget_spent_total{{rule="satisfaction_drop"}} {spent}' in text
    (drift,) = [one for one in judged.judge.engine.drift if one.key == "paris"]
    assert f'baseline_drift{{key="paris",rule="satisfaction_drop"}} {drift.learned - drift.target}' in text
    assert 'barometer_ignored_decisions_total{kind="resolve"} 1.0' in text
    assert readiness.failing() == {}
    gauges.drop()
    text = generate_latest(registry).decode()
    assert not [
        line for line in text.splitlines() if line.startswith(("barometer_satisfaction", "barometer_alarms_open"))
    ]


def test_the_gauges_name_the_source_that_is_left_out_and_wait_for_the_others(log_maker: Maker) -> None:
    registry, readiness, now = CollectorRegistry(), Readiness(), [0]
    gauges, judged = Gauges(Telemetry(registry), readiness, lambda: now[0]), fresh()
    log = log_of(log_maker, seed=17)
    fed(judged, log, 0, 40)
    topic, topic_id, partition = OURS["sources"][0]
    body = {"topic": topic, "topic_id": topic_id, "partition": partition}
    label = f'barometer_source_left_out{{partition="{partition}",topic="{topic}",why="operator"}} 1.0'
    for kind, shown in (("exclude", True), ("include", False)):
        judged.apply(judged.next_offset, decision(kind, {**body, "why": "operator"}))
        now[0] += 1000
        gauges.watch(judged)
        assert (label in generate_latest(registry).decode()) is shown


@pytest.mark.parametrize("body", [{}, {"topic": "t", "topic_id": "i", "partition": 0, "why": "bored"}])
def test_a_decision_about_no_source_is_undecodable(body: dict[str, Any]) -> None:
    with pytest.raises(UndecodableError, match="bad_decision"):
        entry_of(decision("exclude", body))


def test_outputs_are_keyed_so_that_the_rows_of_a_key_stay_in_order(log_maker: Maker) -> None:
    for one in fed(fresh(), log := log_of(log_maker, seed=16), 0, len(log)):
        record = record_of(one, "p.", ())
        if hasattr(one, "alarm_id"):
            assert (record.topic, record.key) == ("p.barometer.alarms.v1", one.alarm_id.encode())
        else:
            assert record.topic == "p.barometer.readings.v1"
            assert record.key == f"{one.metric}|{one.dimension}|{one.key}".encode()
