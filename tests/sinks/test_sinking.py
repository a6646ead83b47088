"""The sink against a real broker and a real ClickHouse: each record its row, once, whatever is killed."""

import json
import random
import signal
import time
from pathlib import Path

import pytest

from deploy import topics
from schemas.codec import Kind, encode
from schemas.event import Channel
from schemas.topics import ADMITTED, ALARMS, IMMEDIATE, LIVE, READINGS, REJECTED
from tests.sinks.conftest import Stand, event, publish_events, wait_for, wire

CARD, WEB = LIVE[Channel.CARD], LIVE[Channel.WEB]
ROWS = "count() FROM feedback_events"
PLACES = "uniqExact(topic_id, `partition`, `offset`) FROM feedback_events"
IDS = "uniqExact(event_id) FROM feedback_events"


def test_events_become_rows_with_their_fields_and_places(stand: Stand) -> None:
    events = [event(i) for i in range(300)]
    publish_events(stand, CARD, events)
    publish_events(stand, ADMITTED, [event(1000, lang="fr", attributes={"a": "b"}, also_known_as=["p1", "p2"])])
    stand.start("sink", "feedback_events")
    wait_for(lambda: stand.count(ROWS) == 301)
    assert stand.count(PLACES) == 301
    one = events[7]
    row = stand.client.execute(
        "SELECT text, touchpoint, answer_question, answer_score, toUnixTimestamp64Milli(occurred_at), lane, order_items"
        " FROM feedback_events WHERE event_id = %(id)s",
        {"id": one.event_id},
    )
    assert row == [("note 7", "lyon", ["csat"], [3.0], one.occurred_at, "live", None)]
    assert stand.client.execute(
        "SELECT lang, attributes, also_known_as FROM feedback_events WHERE lane = 'history'"
    ) == [("fr", {"a": "b"}, ["p1", "p2"])]
    wait_for(stand.caught_up)
    assert all(json.loads(metadata)["arrived"] > 0 for _, metadata in stand.committed("feedback_events", CARD).values())


def test_same_body_has_the_same_hash_and_another_body_another(stand: Stand) -> None:
    one = event(1)
    publish_events(stand, ADMITTED, [one, event(1, occurred_at=one.occurred_at, received_at=one.received_at + 5)])
    publish_events(stand, ADMITTED, [event(1, occurred_at=one.occurred_at, text="other")])
    stand.start("sink", "feedback_events")
    wait_for(lambda: stand.count(ROWS) == 3)
    assert sorted(
        count for (count,) in stand.client.execute("SELECT count() FROM feedback_events GROUP BY event_hash")
    ) == [1, 2]


@pytest.mark.parametrize("point", ["sink.before_insert", "sink.after_insert"])
def test_kill_at_a_named_point_stores_each_row_once(stand: Stand, point: str) -> None:
    publish_events(stand, CARD, [event(i) for i in range(400)])
    first = stand.start("sink", "feedback_events", kill_point=f"{point}:1")
    assert first.wait(30) == -9
    pending = [json.loads(metadata) for _, metadata in stand.committed("feedback_events", CARD).values()]
    assert any("pending" in one for one in pending)
    assert stand.count(ROWS) == (0 if point == "sink.before_insert" else stand.count(PLACES))
    publish_events(stand, CARD, [event(i) for i in range(400, 600)])
    stand.start("sink", "feedback_events")
    wait_for(lambda: stand.count(PLACES) >= 600)
    wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(IDS)) == (600, 600, 600)


@pytest.mark.long
def test_kills_at_random_store_each_row_once(stand: Stand) -> None:
    chance, total = random.Random(20261122), 0
    interrupted = 0
    for _ in range(6):
        publish_events(stand, CARD, [event(i) for i in range(total, total + 1500)])
        total += 1500
        process = stand.start("sink", "feedback_events", sink_batch_rows="200", sink_flush_s="0.15")
        before = stand.count(ROWS)
        wait_for(lambda before=before: stand.count(ROWS) > before)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
        interrupted += not stand.caught_up()
    stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    assert interrupted > 0
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(IDS)) == (total, total, total)


def test_repeats_are_dropped_identically_after_a_restart(stand: Stand) -> None:
    events = [event(i) for i in range(200)]
    publish_events(stand, CARD, events[:120] + events[:30])
    publish_events(stand, WEB, events[:10])
    first = stand.start("sink", "feedback_events")
    wait_for(lambda: stand.caught_up() and stand.caught_up(topic=WEB))
    assert (stand.count(ROWS), stand.count("count() FROM feedback_events WHERE topic LIKE '%web%'")) == (130, 10)
    first.kill()
    first.wait()
    publish_events(stand, CARD, events)
    stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    assert stand.count(ROWS) == 210
    assert (
        stand.count(
            "max(c) FROM (SELECT count() AS c FROM feedback_events WHERE topic LIKE '%card%' GROUP BY event_id)"
        )
        == 1
    )


def test_undecodable_record_becomes_a_rejected_row_once_and_neighbours_go_through(stand: Stand) -> None:
    good = [wire(event(i)) for i in range(5)]
    for value in (good[0], b"", good[1], b"\x00\x00\x00\x00\x01truncated", good[2], good[3] + b"!", good[4]):
        stand.publish(CARD, value, partition=2)
    stand.publish(CARD, None, partition=2)
    stand.settle()
    process = stand.start("sink", "feedback_events", kill_point="sink.after_insert:1")
    assert process.wait(30) == -9
    stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    assert stand.count(ROWS) == 4
    rows = stand.client.execute(
        "SELECT `offset`, reason, raw_bytes, stage, channel, source FROM rejected_events ORDER BY `offset`"
    )
    assert [(offset, reason) for offset, reason, *_ in rows] == [
        (1, "no_header"), (3, "bad_avro"), (5, "trailing_bytes"), (7, "no_header"),
    ]  # fmt: skip
    assert {row[3:] for row in rows} == {("sink", "card", "feedback.card.v1")}
    assert stand.count("uniqExact(rejected_id) FROM rejected_events") == 4


def test_ticks_move_the_position_and_its_arrived_time_without_rows(stand: Stand) -> None:
    stand.tick(CARD)
    stand.settle()
    stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    assert stand.count(ROWS) == 0
    assert all(json.loads(metadata)["arrived"] > 0 for _, metadata in stand.committed("feedback_events", CARD).values())


def _transition(number: int, sequence: int = 1) -> bytes:
    record = {
        "transition_id": f"{number:032x}", "alarm_id": f"{number:032x}", "sequence": sequence, "rule": "dispute",
        "definition_hash": "d", "metric": "", "dimension": "touchpoint", "key": "paris", "direction": "up",
        "severity": "page", "state": "open", "pane": 1, "first_pane": 1,
    }  # fmt: skip
    return encode(Kind.TRANSITION, record)


def test_transition_published_again_is_stored_once(stand: Stand) -> None:
    for value in (_transition(1), _transition(2), _transition(1)):
        stand.publish(IMMEDIATE, value)
    stand.publish(ALARMS, _transition(3))
    stand.settle()
    first = stand.start("sink", "alarm_transitions")
    wait_for(lambda: stand.count("count() FROM alarm_transitions") == 3)
    first.kill()
    first.wait()
    stand.publish(IMMEDIATE, _transition(2))
    stand.publish(IMMEDIATE, _transition(4))
    stand.settle()
    stand.start("sink", "alarm_transitions")
    wait_for(lambda: stand.caught_up("alarm_transitions", IMMEDIATE))
    assert stand.client.execute("SELECT transition_id FROM alarm_transitions ORDER BY 1") == [
        (f"{i:032x}",) for i in (1, 2, 3, 4)
    ]


def test_readings_and_rejections_become_rows(stand: Stand) -> None:
    reading = {
        "metric": "csat", "metric_version": "csat@1", "dimension": "*", "key": "*", "window": "1h", "window_end": 3_600_000,
        "as_of": 3_700_000, "revision": 0, "status": "final", "quality": "ok", "n": 3, "value": 0.5, "lo": 0.1, "hi": 0.9,
        "level": 0.95, "method": "wilson", "bins": {"5": 2, "1": 1}, "catalogue_hash": "c", "seq": 1,
    }  # fmt: skip
    later = reading | {
        "revision": 1,
        "as_of": 3_900_000,
        "status": "revised",
        "value": None,
        "lo": None,
        "hi": None,
        "n": 0,
    }
    rejection = {
        "rejected_id": "r1", "stage": "gateway", "channel": None, "source": "test", "reason": "bad_json", "field": "",
        "detail": "no", "raw": b"\xff\x00", "raw_bytes": 2, "received_at": 5, "replays": 0,
    }  # fmt: skip
    stand.publish(READINGS, encode(Kind.READING, reading))
    stand.publish(READINGS, encode(Kind.READING, later))
    stand.publish(REJECTED, encode(Kind.REJECTED, rejection))
    stand.publish(REJECTED, b"no rejection")
    stand.settle()
    stand.start("sink", "readings", "rejected_events")
    wait_for(lambda: stand.count("count() FROM readings") == 2 and stand.count("count() FROM rejected_events") == 2)
    assert stand.client.execute("SELECT revision, value, bins FROM v_readings_latest") == [(1, None, {"5": 2, "1": 1})]
    assert stand.client.execute("SELECT revision, value FROM v_readings_as_known_at(T = '1970-01-01 01:02:00')") == [
        (0, 0.5)
    ]
    assert stand.client.execute("SELECT hex(raw), channel FROM rejected_events WHERE rejected_id = 'r1'") == [
        ("FF00", "")
    ]


@pytest.mark.parametrize("folder", ["the same", "another"])
def test_a_second_sink_stands_by_and_takes_over(stand: Stand, folder: str, tmp_path: Path) -> None:
    publish_events(stand, CARD, [event(i) for i in range(50)])
    first = stand.start("sink", "feedback_events")
    wait_for(lambda: stand.count(ROWS) == 50)
    stand.start("sink", "feedback_events", data_dir=str(tmp_path if folder == "the same" else tmp_path / "elsewhere"))
    publish_events(stand, CARD, [event(i) for i in range(50, 100)])
    wait_for(lambda: stand.count(ROWS) == 100)
    first.kill()
    first.wait()
    publish_events(stand, CARD, [event(i) for i in range(100, 150)])
    wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES)) == (150, 150)


@pytest.mark.long
def test_an_owner_that_was_paused_inserts_nothing_twice(stand: Stand, tmp_path: Path) -> None:
    publish_events(stand, CARD, [event(i) for i in range(50)])
    first = stand.start("sink", "feedback_events")
    wait_for(lambda: stand.count(ROWS) == 50)
    first.send_signal(signal.SIGSTOP)
    stand.start("sink", "feedback_events", data_dir=str(tmp_path / "elsewhere"))
    publish_events(stand, CARD, [event(i) for i in range(50, 400)])
    wait_for(lambda: stand.count(ROWS) == 400)
    first.send_signal(signal.SIGCONT)
    publish_events(stand, CARD, [event(i) for i in range(400, 450)])
    wait_for(stand.caught_up)
    assert (stand.count(ROWS), stand.count(PLACES), stand.count(IDS)) == (450, 450, 450)


def test_a_topic_created_anew_stops_the_sink(stand: Stand) -> None:
    publish_events(stand, CARD, [event(i) for i in range(5)])
    first = stand.start("sink", "feedback_events")
    wait_for(stand.caught_up)
    stand.admin.delete_topics([stand.name(CARD)])
    wait_for(lambda: stand.name(CARD) not in stand.admin.list_topics())
    topics.apply(stand.settings.kafka_bootstrap, stand.settings.topic_prefix)
    assert first.wait(60) == 1
    assert stand.start("sink", "feedback_events").wait(60) == 1
    assert stand.count(ROWS) == 5
