"""Rejected inputs on a real log and a real store: mended, fed again through kills and repeats, each a row and a count once."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from deploy import wiring
from deploy.audit import audit
from deploy.cli import main
from producers.capture import Capture, Captured
from producers.pseudonyms import pseudonyms_of
from producers.sealer import sealer_of
from schemas import catalogue as catalogues
from schemas import codec
from schemas.clock import system_clock
from schemas.codec import STATIC, Ids, Kind, Written, adopt
from schemas.event import Channel, natural_id
from schemas.keyring import Keyring
from schemas.settings import keyring_path, to_environ
from schemas.topics import ADMITTED, HISTORY, LIVE, REJECTED
from sinks import rejected as store
from sinks.accounting import conservation, count_topics
from sinks.rejected import Chosen
from tests.sinks.conftest import ROOT, Stand, event, publish_events, stand, wait_for, wire

pytestmark = pytest.mark.long

__all__ = ["stand"]
CARD = LIVE[Channel.CARD]
MEND = '[rename]\nscore = "answers.0.score"\n[set]\nchannel = "card"\nanswers.0.question = "csat"\n'


@pytest.fixture
def keyed(stand: Stand) -> Stand:
    stand.settings = msgspec.structs.replace(stand.settings, pseudonym_key="k" * 32)
    return stand


def refuse(one: Stand, items: Sequence[bytes], *, clock_off_ms: int = 0) -> Captured:
    """Let the edge refuse (or take) native items, as the gateway does."""
    known = catalogues.load("", pane_ms=one.settings.pane_ms)
    capture = Capture(
        pseudonyms=pseudonyms_of(one.settings.pseudonym_key, one.settings.default_country), catalogue=known,
        sealer=sealer_of(one.settings, known, system_clock), new_id=lambda: str(uuid4()), max_event_bytes=256_000,
    )  # fmt: skip
    captured = Captured()
    capture.add(items, captured, first_index=0, source="till", received_at=system_clock() + clock_off_ms)
    for record in captured.records:
        one.producer.send(one.settings.topic_prefix + record.topic, value=record.value, key=record.key)
    one.settle()
    return captured


def command(one: Stand, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    more = {f"BAROMETER_{name.upper()}": value for name, value in environ.items()}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "rejected", *arguments], cwd=ROOT, capture_output=True, check=False,
        env={**os.environ, **to_environ(one.settings), **more},
    )  # fmt: skip


def said(one: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Run a command in this process; return its exit code and what it printed as JSON."""
    for name, value in to_environ(one.settings).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["rejected", *arguments, "--json"])
    return ended.value.code, json.loads(capsys.readouterr().out)


def records(one: Stand, topic: Any) -> int:
    return count_topics(one.settings, [topic])[topic.name].records


@pytest.mark.timeout(300)
def test_what_is_mended_is_one_row_and_one_count_however_often_it_is_fed_again(
    keyed: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    items = [
        {"channel": "kiosk", "id": "t-1", "score": 4, "text": "secret words", "customer": {"email": "a@example.org"}},
        {"channel": "kiosk", "score": 5},
        {"channel": "kiosk", "id": "t-3", "score": "many"},
        {"channel": "card", "id": "t-4", "answers": [{"question": "csat", "score": 3}]},
        {"channel": "kiosk", "id": "t-1", "score": 4, "text": "secret words"},  # the client sent it twice
    ]
    begin = system_clock()
    assert refuse(keyed, [json.dumps(one).encode() for one in items]).accepted == 1
    keyed.start("sink", "feedback_events", "rejected_events")
    wait_for(lambda: keyed.count("count() FROM rejected_events") == 4)
    mend = tmp_path / "mend.toml"
    mend.write_text(MEND)
    choice = ("reinject", "--reason", "unknown_channel", "--map", str(mend))

    code, told = said(keyed, monkeypatch, capsys, *choice, "--dry-run")
    assert code == 1 and sorted(one["outcome"] for one in told) == ["ready", "ready", "ready", "stays"]
    assert records(keyed, HISTORY) == 0 and keyed.count("count() FROM rejected_fates") == 0

    killed = command(keyed, *choice, kill_point="rejected.before_fate:1")
    assert killed.returncode == -9, killed.stderr.decode()
    assert records(keyed, HISTORY) == 3 and keyed.count("count() FROM rejected_fates") == 0
    code, told = said(keyed, monkeypatch, capsys, *choice)
    assert code == 1 and records(keyed, HISTORY) == 6
    stays = [(one["reason"], one["field"]) for one in told if one["outcome"] == "stays"]
    assert stays == [("bad_type", "answers[0].score")]
    done = {one["rejected_id"]: one["event_id"] for one in told if one["outcome"] == "reinjected"}
    code, again = said(keyed, monkeypatch, capsys, "reinject", *done, "--map", str(mend))
    assert code == 0 and {one["rejected_id"]: one["event_id"] for one in again} == done
    assert records(keyed, HISTORY) == 9 and keyed.count("count() FROM rejected_fates") == 3
    unnamed = next(name for name, event_id in done.items() if event_id == natural_id("rejected", name))
    assert set(done.values()) == {natural_id("till", "t-1"), done[unnamed]}

    for topic in LIVE.values():
        keyed.tick(topic)
    keyed.settle()
    keyed.start("gate")
    wait_for(lambda: keyed.count("count() FROM feedback_events") == 3)
    wait_for(lambda: keyed.caught_up(topic=ADMITTED))
    assert records(keyed, ADMITTED) == 2, "stage 1 counts what was admitted"
    rows = keyed.client.execute(
        "SELECT event_id, answer_score, text, toUnixTimestamp64Milli(occurred_at) FROM feedback_events WHERE lane = 'history'"
    )
    assert {(name, tuple(score), text) for name, score, text, _ in rows} == {
        (natural_id("till", "t-1"), (4.0,), "secret words"), (done[unnamed], (5.0,), "")
    }  # fmt: skip
    assert all(begin <= at <= begin + 10_000 for *_, at in rows), "it happened when it came in"
    balance = conservation(keyed.settings)
    assert (balance.residue, balance.rows_twice) == (0, 0)
    audited = audit(keyed.settings, hours=1, now_ms=system_clock())
    assert audited.holds, [one.faults for one in audited.entries]

    assert [one["replays"] for one in store.listed(keyed.client, Chosen(ids=(unnamed,)))] == [1]
    code, left = said(keyed, monkeypatch, capsys, "list")
    assert code == 0 and [one["fate"] for one in left] == ["open"]
    _, counts = said(keyed, monkeypatch, capsys, "list", "--summary", "--all")
    assert sorted((one["fate"], one["inputs"]) for one in counts) == [("open", 1), ("reinjected", 3)]


def test_what_an_edge_with_a_slow_clock_took_for_the_future_is_fed_again_by_the_time_of_the_store(
    keyed: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = system_clock()
    card = {"channel": "card", "answers": [{"question": "csat", "score": 3}]}
    items = [{**card, "id": "t-1", "occurred_at": now}, {**card, "id": "t-2", "occurred_at": now + 3_600_000}]
    assert refuse(keyed, [json.dumps(one).encode() for one in items], clock_off_ms=-86_400_000).accepted == 0
    keyed.start("sink", "rejected_events")
    wait_for(lambda: keyed.count("count() FROM rejected_events") == 2)
    code, told = said(keyed, monkeypatch, capsys, "reinject", "--reason", "future_time")
    assert code == 1 and sorted(one["outcome"] for one in told) == ["reinjected", "stays"]
    assert {one["event_id"] for one in told if one["outcome"] == "reinjected"} == {natural_id("till", "t-1")}


def test_what_expired_was_cut_or_lost_its_key_is_refused_by_name_and_its_row_stays(
    keyed: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, short = b'{"channel":"kiosk"}', b'{"channel":"kiosk","text":"%b"}' % (b"x" * 70_000)
    refuse(keyed, [whole, short, whole])
    keyed.start("sink", "rejected_events")
    wait_for(lambda: keyed.count("count() FROM rejected_events") == 3)
    ids = [one.rejected_id for one in store.chosen_rows(keyed.client, Chosen()) if one.raw_bytes < 70_000]
    for expected in (1, 0):
        _, told = said(keyed, monkeypatch, capsys, "expire", ids[0])
        assert told == {"expired": expected}
    assert keyed.count("countIf(raw = '') FROM rejected_events") == 1
    assert keyed.count("count() FROM rejected_fates") == 1
    code, told = said(keyed, monkeypatch, capsys, "reinject", "--stage", "gateway")
    assert code == 1 and sorted(one["reason"] for one in told) == ["cut", "unknown_channel"]
    Keyring(keyring_path(keyed.settings), clock=system_clock).destroy_days_before("2999-01-01")
    code, told = said(keyed, monkeypatch, capsys, "reinject", *ids)
    assert code == 1 and sorted(one["reason"] for one in told) == ["expired", "key_destroyed"]
    assert records(keyed, HISTORY) == 0 and keyed.count("count() FROM rejected_events") == 3
    _, told = said(keyed, monkeypatch, capsys, "expire", "--before", "2999-01-01")
    assert told == {"expired": 2} and keyed.count("countIf(raw != '') FROM rejected_events") == 0


@pytest.mark.timeout(300)
def test_records_of_a_newer_schema_and_rows_that_the_store_refused_come_in_once(
    keyed: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keyed.client.execute("ALTER TABLE feedback_events ADD CONSTRAINT refuse CHECK text != 'note 3'")
    publish_events(keyed, CARD, [event(i) for i in range(8)])
    keyed.publish(CARD, b"\x00" + (77).to_bytes(4, "big") + wire(event(9))[5:])
    keyed.publish(CARD, b"none of ours")
    keyed.settle()
    keyed.start("sink", "feedback_events", "rejected_events")
    wait_for(lambda: keyed.count("count() FROM rejected_events") == 3)
    code, told = said(keyed, monkeypatch, capsys, "reinject", "--stage", "sink")
    assert code == 1 and {one["reason"] for one in told} == {"unknown_schema", "no_header", "refused_by_store"}
    assert (records(keyed, HISTORY), keyed.count("count() FROM feedback_events")) == (0, 7)

    keyed.client.execute("ALTER TABLE feedback_events DROP CONSTRAINT refuse")
    monkeypatch.setattr(wiring, "schemas_in_use", lambda _: None)
    monkeypatch.setattr(codec, "_ids", STATIC)
    adopt(Ids({kind: int(kind) for kind in Kind}, {77: Written(Kind.EVENT)}))
    for _ in range(2):
        code, told = said(keyed, monkeypatch, capsys, "reinject", "--stage", "sink")
    assert code == 1 and [one["reason"] for one in told] == ["no_header"]
    assert records(keyed, HISTORY) == 1
    assert keyed.count("count() FROM rejected_events") == 2, "the row has taken the place of its rejection"
    for topic in LIVE.values():
        keyed.tick(topic)
    keyed.settle()
    keyed.start("gate")
    wait_for(lambda: keyed.count("count() FROM feedback_events") == 9)
    assert keyed.count("uniqExact(topic_id, `partition`, `offset`) FROM feedback_events") == 9
    assert keyed.count("uniqExact(event_id) FROM feedback_events") == 9
    placed = keyed.client.execute("SELECT topic, lane FROM feedback_events WHERE text = 'note 3'")
    assert placed == [(CARD.name, "live")]
    adopt(STATIC)  # the balance calls undecodable what the sink called so
    balance = conservation(keyed.settings)
    assert (balance.rows_twice, balance.residue) == (0, 0)
    audited = audit(keyed.settings, hours=1, now_ms=system_clock())
    assert audited.holds, [one.faults for one in audited.entries]
    assert records(keyed, REJECTED) == 0
