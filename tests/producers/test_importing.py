"""Imports into a real broker: every row is an event or a rejection, once, whatever is repeated or broken off."""

import json
import mailbox
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from producers.channels.table import load_mapping
from producers.importing import ImportResult, import_file
from producers.pseudonyms import Pseudonyms
from producers.publisher import Publisher
from producers.sealer import sealer_of
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import UsageError
from schemas.event import natural_id
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from schemas.topics import HISTORY, REJECTED
from tests.producers.conftest import Broker

CALLS = load_mapping(
    """
source = "calls"
channel = "call"
id = ["no"]
[time]
columns = ["at"]
format = "%Y-%m-%d %H:%M"
zone = "Europe/Paris"
[columns]
text = "note"
"customer.phone" = "phone"
[[answers]]
column = "score"
question = "csat"
""",
    "calls.toml",
)


@pytest.fixture(scope="module")
def publisher(broker: Broker) -> Iterator[Publisher]:
    made = Publisher(broker.settings(), clock=system_clock, telemetry=Telemetry(), readiness=Readiness())
    made.start()
    made.wait_ready(20)
    yield made
    made.close()


@pytest.fixture
def run(broker: Broker, publisher: Publisher, pseudonyms: Pseudonyms, catalogue: Catalogue, tmp_path: Path) -> Any:
    def start(path: Path, **changes: Any) -> ImportResult:
        arguments: dict[str, Any] = {
            "publisher": publisher, "pseudonyms": pseudonyms, "catalogue": catalogue, "clock": system_clock,
            "sealer": sealer_of(broker.settings(), catalogue, system_clock),
            "telemetry": Telemetry(), "positions": tmp_path / "positions",
        }  # fmt: skip
        return import_file(path, **(arguments | changes))

    return start


def ids(broker: Broker) -> Counter[str]:
    return Counter(one.record["event_id"] for one in broker.published() if one.topic == HISTORY.name)


def mail(number: int, text: str = "Très bien") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Anne <anne.dupont@example.fr>"
    message["Date"] = "Mon, 21 Sep 2020 10:00:00 +0200"
    message["Message-ID"] = f"<{number}@example.fr>"
    message.set_content(text)
    return message


def lines(path: Path, events: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" if not isinstance(one, str) else one + "\n" for one in events))
    return path


def test_json_lines_go_to_history_whatever_their_age(run: Any, broker: Broker, tmp_path: Path) -> None:
    now = system_clock()
    path = lines(tmp_path / "a.jsonl", [{"id": f"j{n}", "channel": "web", "occurred_at": now - n} for n in range(3)])
    result = run(path, source="site")
    assert (3, 3, 0, 0) == (result.rows, result.published, result.rejected, result.skipped)
    for number in range(3):
        [found] = [one for one in broker.published() if one.record.get("event_id") == natural_id("site", f"j{number}")]
        assert HISTORY.name == found.topic
        assert found.record["traits"]["backfill"]


def test_broken_lines_are_rejected_one_by_one_with_their_bytes(run: Any, broker: Broker, tmp_path: Path) -> None:
    good = {"channel": "web", "occurred_at": system_clock()}
    path = lines(
        tmp_path / "b.jsonl",
        [good, "{broken-marker", good, good | {"x": 1}, {"channel": "web"}, good | {"text": "x" * 300_000}],
    )
    result = run(path)
    assert (6, 2, 4) == (result.rows, result.published, result.rejected)
    assert {"bad_json": 1, "unknown_field": 1, "missing_field": 1, "too_large": 1} == dict(result.reasons)
    [kept] = [
        one.record
        for one in broker.published()
        if one.topic == REJECTED.name and one.record["raw"] == b"{broken-marker\n"
    ]
    assert ("import", "bad_json") == (kept["stage"], kept["reason"])


def test_a_second_import_gives_the_same_ids_again(run: Any, broker: Broker, tmp_path: Path) -> None:
    """Also for rows without an id, and for rejections: the history gate and the sink then drop the copies."""
    path = lines(tmp_path / "c.jsonl", [{"channel": "web", "occurred_at": 1_600_000_000_000}, "{c-broken"])
    run(path)
    first = broker.published()
    run(path)
    second = broker.published()
    assert {(one.topic, one.key) for one in first} == {(one.topic, one.key) for one in second}
    assert 2 == len(second) - len(first)


def test_table_rows_become_events_and_people_pseudonyms(
    run: Any, broker: Broker, pseudonyms: Pseudonyms, tmp_path: Path
) -> None:
    path = tmp_path / "calls.csv"
    path.write_text(
        "no,at,note,phone,score\n1,2026-09-01 10:00,Fâché,06 98 76 54 32,2\n2,bad,x,,\n3,2026-09-01 10:00,x\n"
    )
    result = run(path, mapping=CALLS)
    assert (3, 1, {"bad_time": 1, "bad_row": 1}) == (result.rows, result.published, dict(result.reasons))
    [found] = [one for one in broker.published() if one.record.get("source") == "calls" and one.topic == HISTORY.name]
    assert natural_id("calls", "1") == found.record["event_id"]
    assert pseudonyms.of("phone", "+33698765432") == found.record["subject"]
    for plain in (b"98765432", b"98 76 54 32"):
        assert plain not in found.value


def test_missing_columns_send_nothing(run: Any, broker: Broker, tmp_path: Path) -> None:
    before = len(broker.published())
    path = tmp_path / "calls.csv"
    path.write_text("no,at,phone\n1,2026-09-01 10:00,06\n")
    with pytest.raises(UsageError, match="'note', 'score'"):
        run(path, mapping=CALLS)
    assert before == len(broker.published())


def test_a_table_without_mapping_and_an_unknown_format_are_usage_errors(run: Any, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n")
    (tmp_path / "x.bin").write_text("a\n")
    (tmp_path / "x.mbox").write_text("Subject: x\n")
    (tmp_path / "empty").mkdir()
    for name in ("x.csv", "x.bin", "x.mbox", "empty", "absent.csv"):
        with pytest.raises(UsageError):
            run(tmp_path / name)


def test_mails_come_as_single_files_directories_and_mbox(run: Any, broker: Broker, tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    box = mailbox.mbox(tmp_path / "box.mbox")
    for number in range(3):
        (folder / f"{number}.eml").write_bytes(mail(number).as_bytes())
        box.add(mail(number, "Très bien\nFrom here on all was well."))
    (folder / "3.eml").write_bytes(b"")
    box.close()
    assert (1, 1) == ((result := run(folder / "0.eml")).rows, result.published)
    assert (4, 3, {"empty_mail": 1}) == ((result := run(folder)).rows, result.published, dict(result.reasons))
    assert (3, 3) == ((result := run(tmp_path / "box.mbox")).rows, result.published)
    copies = ids(broker)
    assert [3, 2, 2] == [copies[natural_id("email", f"{number}@example.fr")] for number in range(3)]
    texts = {
        one.record["text"]
        for one in broker.published()
        if one.record.get("channel") == "email" and "text" in one.record
    }
    assert "Très bien\nFrom here on all was well." in texts
    assert not [one for one in broker.published() if b"dupont" in one.value and one.topic == HISTORY.name]
