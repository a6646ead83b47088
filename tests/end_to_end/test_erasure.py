"""A person is erased from a running installation, killed at every step: no byte of what was written is left, every count is."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import msgspec
import pytest

from deploy import wiring
from deploy.stack import Stack
from schemas.clock import system_clock
from schemas.keyring import Keyring
from schemas.settings import keyring_path
from schemas.windows import DAY_MS
from sinks import clickhouse
from tests.end_to_end.conftest import settled
from tests.end_to_end.scanning import columns_with, engines_folder, files_with, topics_with

pytestmark = pytest.mark.long

KILLS = ("erase.after_destroy", "erase.before_clear", "erase.after_clear", "erase.before_receipt")
READINGS = (
    "SELECT metric, dimension, key, window, toString(window_end), revision, status, n, value, lo, hi, bins FROM readings"
    " WHERE as_of <= fromUnixTimestamp64Milli(toInt64(%(pane)s)) ORDER BY ALL"
)
COUNTED = (
    "SELECT event_id, channel, kind, subject, also_known_as, touchpoint, conversation_ref, toString(occurred_at), answer_question,"
    " answer_score, retract, corrects, lane, attributes['page'], attributes['legal_threat'] FROM feedback_events ORDER BY ALL"
)
CASES = "SELECT customer, topic, case_no, events, last_rung FROM v_escalation_customers ORDER BY ALL"


class Told(msgspec.Struct, kw_only=True):
    """What was sent: bytes that stand in everything that Anna, Bert and nobody wrote, and in what was refused."""

    anna: bytes
    bert: bytes
    nobody: bytes
    refused: bytes
    ids: list[str]
    pane: int


def post(stack: Stack, events: list[dict[str, Any]]) -> None:
    body = json.dumps(events).encode()
    headers = {"Authorization": f"Bearer {stack.endpoints['write_key']}"}
    with urlopen(Request(f"{stack.endpoints['gateway']}/v1/feedback", body, headers)) as answer:
        assert answer.status == 202


def barometer(stack: Stack, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "deploy.cli", *arguments, "--data-dir", stack.settings.data_dir]
    own = {name: value for name, value in os.environ.items() if not name.startswith("BAROMETER_")}
    return subprocess.run(command, env={**own, **environ}, check=False, capture_output=True, timeout=120)


def said(found: subprocess.CompletedProcess[bytes]) -> Any:
    assert found.returncode == 0, found.stderr.decode()
    return json.loads(found.stdout)


@pytest.fixture(scope="module")
def told(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Told:
    marks = {name: f"{name}{uuid.uuid4().hex}" for name in ("anna", "bert", "nobody", "refused")}
    ids = [str(uuid.uuid4()) for _ in range(8)]
    anna = {"id": f"no-{ids[0]}", "email": f"{marks['anna']}@example.org"}
    now = system_clock()

    def card(at: int, customer: dict[str, str] | None, mark: str, **more: Any) -> dict[str, Any]:
        text = f"I am {marks[mark]}, and I go to a lawyer."
        return {
            "id": ids[at], "channel": "card", "touchpoint": "paris", "customer": customer, "text": text,
            "answers": [{"question": "csat", "score": 1 + at % 5}], "attributes": {"page": "/a", "E_mail": "x", "email": marks[mark]},
        } | more  # fmt: skip

    with clickhouse.connect(stack.settings) as client:  # so that replaced parts leave in seconds
        client.execute(
            "ALTER TABLE feedback_events MODIFY SETTING old_parts_lifetime = 1, cleanup_delay_period = 1,"
            " cleanup_delay_period_random_add = 0, max_cleanup_delay_period = 1"
        )
    post(stack, [
        card(0, anna, "anna", kind="complaint"),
        card(1, {"email": anna["email"]}, "anna"),
        card(2, anna, "anna", occurred_at=now - 60 * DAY_MS),
        card(3, {"id": "bert"}, "bert"),
        card(4, None, "nobody", attributes={}),
        card(5, anna, "refused", kind="no such kind"),
    ])  # fmt: skip
    settled(stack)
    post(stack, [card(6, None, "anna", corrects=ids[0], answers=[], kind="complaint")])
    old = tmp_path_factory.mktemp("import") / "old.jsonl"
    old.write_text(json.dumps(card(7, anna, "anna", occurred_at=now - 90 * DAY_MS)) + "\n")
    wiring.import_file(stack.settings, old, mapping=None, source="old")
    pane = settled(stack)
    return Told(**{name: mark.encode() for name, mark in marks.items()}, ids=ids, pane=pane)


def asked(stack: Stack, query: str, **parameters: Any) -> list[Any]:
    with clickhouse.connect(stack.settings) as client:
        return client.execute(query, parameters)


def standing(stack: Stack, sought: bytes, *, of_server: bool = False) -> dict[str, Any]:
    """Return where some bytes stand, in every file and in every record."""
    with clickhouse.connect(stack.settings) as client:
        folder = engines_folder(client)
        columns = columns_with(client, sought, of_server=of_server)
    return {
        "files": files_with(folder, sought) + files_with(Path(stack.settings.data_dir), sought),
        "columns": columns,
        "topics": topics_with(stack.settings.kafka_bootstrap, stack.settings.topic_prefix, sought),
    }


NOWHERE: dict[str, Any] = {"files": [], "columns": [], "topics": set()}


def test_only_the_store_holds_what_a_person_wrote_and_readers_of_texts_read_it(stack: Stack, told: Told) -> None:
    anna, nobody = standing(stack, told.anna), standing(stack, told.nobody)
    assert anna["topics"] == set() and anna["columns"] != []
    assert nobody["topics"] == {"feedback.card.v1"} and nobody["files"] != [] and nobody["columns"] != []
    assert [path for path in anna["files"] if "/kafka/" in str(path)] == []
    texts = [text for (text,) in asked(stack, "SELECT text FROM v_events_text")]
    assert sum(told.anna.decode() in text for text in texts) == 4  # of the corrected event only what stands
    marked = asked(
        stack, "SELECT count() FROM feedback_events WHERE attributes['legal_threat'] = 'true' AND data_key_id != ''"
    )
    assert marked[0][0] >= 5, "what follows from a text is known before it is sealed"


def test_what_was_refused_is_read_by_command_alone_until_the_key_of_its_day_is_destroyed(
    stack: Stack, told: Told
) -> None:
    assert standing(stack, told.refused) == NOWHERE
    [(name,)] = asked(stack, "SELECT rejected_id FROM rejected_events WHERE reason = 'unknown_kind'")
    shown = said(barometer(stack, "rejected", "show", name, "--json"))
    assert told.refused.decode() in shown["raw"] and shown["raw_state"] == "opened"
    Keyring(keyring_path(stack.settings), clock=system_clock).destroy_days_before("2999-01-01", [])
    again = said(barometer(stack, "rejected", "show", name, "--json"))
    assert (again["raw"], again["raw_hex"]) == ("", "") and "destroyed" in again["raw_state"]


def test_an_erased_person_is_nowhere_and_every_count_stays(stack: Stack, told: Told) -> None:
    address = f"{told.anna.decode()}@example.org"
    held = said(barometer(stack, "subject", "export", "--email", address, "--json"))
    assert len(held["events"]) == 6 and held["readable_events"] == 5 and len(held["pseudonyms"]) == 2
    before = [asked(stack, READINGS, pane=told.pane), asked(stack, COUNTED), asked(stack, CASES)]
    assert before[0] and before[2]

    for point in KILLS:
        killed = barometer(stack, "subject", "erase", "--email", address, "--yes", BAROMETER_KILL_POINT=f"{point}:1")
        assert killed.returncode == -9 and f"killed at {point}" in killed.stderr.decode(), killed.stderr.decode()
    receipt = said(barometer(stack, "subject", "erase", "--email", address, "--yes", "--json"))

    assert standing(stack, told.anna, of_server=True) == NOWHERE
    assert standing(stack, told.bert)["columns"] != []
    after = [asked(stack, READINGS, pane=told.pane), asked(stack, COUNTED), asked(stack, CASES)]
    assert after == before
    assert (receipt["rows"], receipt["rows_cleared"], receipt["rows_readable"]) == (6, 5, 0)
    assert len(receipt["keys_destroyed"]) == 3, "two pseudonyms, and the correction that named nobody"
    assert receipt["unsealed_in_kafka_until"] is None and set(receipt["pseudonyms"]) == set(held["pseudonyms"])
    left = said(barometer(stack, "subject", "export", "--email", address, "--json"))
    assert left["readable_events"] == 0 and left["living_keys"] == [] and len(left["events"]) == 6

    file = Path(receipt["file"])
    assert said(barometer(stack, "subject", "verify", str(file), "--json"))["valid"]
    file.write_bytes(file.read_bytes().replace(b'"rows_readable": 0', b'"rows_readable": 1'))
    assert barometer(stack, "subject", "verify", str(file)).returncode == 1


def test_an_erased_person_who_writes_again_is_read_again(stack: Stack, told: Told) -> None:
    mark = f"again{uuid.uuid4().hex}"
    post(stack, [{"channel": "card", "customer": {"email": f"{told.anna.decode()}@example.org"}, "text": mark}])
    settled(stack)
    assert [text for (text,) in asked(stack, "SELECT text FROM feedback_events") if mark in text] == [mark]
