"""The sink opens what lives, empties what is erased, keeps what does not open, and stops at a key that it cannot know."""

from pathlib import Path

import msgspec
import pytest

from schemas.bulk import decode_events
from schemas.codec import Kind, encode
from schemas.errors import ContractError
from schemas.event import FeedbackEvent, to_record
from schemas.keyring import Keyring
from schemas.sealing import Content, raw_key_id, seal_content
from schemas.windows import DAY_MS
from sinks.rows import Place, Rows, event_rows, place_columns
from sinks.seals import KEPT_DAYS, Seals
from tests.sinks.conftest import event

NOW_MS = 1_790_000_000_000


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys.sqlite", clock=lambda: NOW_MS)


def sealed(keyring: Keyring, number: int, subject: str, content: Content) -> FeedbackEvent:
    key = keyring.keys_of_subjects([subject])[subject]
    one = event(number, subject=subject, attributes={"page": "/"})
    cipher = seal_content(key.key, content, one.event_id, bytes([number] * 12))
    return msgspec.structs.replace(one, text=None, text_ciphertext=cipher, data_key_id=key.id)


def rows(events: list[FeedbackEvent]) -> Rows:
    places = [Place("feedback.card.v1", "t", 0, at, 9) for at in range(len(events))]
    return event_rows(
        decode_events([encode(Kind.EVENT, to_record(one)) for one in events]).events, place_columns(places)
    )


def test_rows_hold_texts_whose_keys_live_and_nothing_of_erased_ones(keyring: Keyring) -> None:
    events = [
        sealed(keyring, 1, "anna", Content("I am Anna", {"email": "anna@example.org"})),
        sealed(keyring, 2, "bert", Content("I am Bert", {"email": "bert@example.org"})),
        event(3, text="nobody's", attributes={"page": "/x"}),
        sealed(keyring, 4, "carl", Content(None, {"name": "Carl"})),
    ]
    keyring.destroy_subject("bert")
    found = rows(events)
    Seals(keyring).open(found)
    assert found.columns["text"] == ["I am Anna", "", "nobody's", ""]
    assert found.columns["attributes"] == [
        {"page": "/", "email": "anna@example.org"}, {"page": "/"}, {"page": "/x"}, {"page": "/", "name": "Carl"},
    ]  # fmt: skip
    assert "text_ciphertext" not in found.columns
    assert [bool(one) for one in found.columns["data_key_id"]] == [True, True, False, True]


def test_a_text_from_another_event_does_not_open_and_is_kept(keyring: Keyring) -> None:
    one, two = (sealed(keyring, n, "anna", Content(f"text {n}", {})) for n in (1, 2))
    swapped = msgspec.structs.replace(one, text_ciphertext=two.text_ciphertext)
    found = rows([swapped, two])
    Seals(keyring).open(found)
    assert found.columns["text"] == ["", "text 2"]
    assert found.columns["text_ciphertext"] == [two.text_ciphertext, b""]


def test_another_keyring_stops_the_sink_and_names_the_remedy(keyring: Keyring, tmp_path: Path) -> None:
    found = rows([sealed(keyring, 1, "anna", Content("hidden", {}))])
    other = Keyring(tmp_path / "other.sqlite", clock=lambda: NOW_MS)
    with pytest.raises(ContractError, match="BAROMETER_KEYRING"):
        Seals(other).open(found)


def test_keys_of_days_live_for_seven_whole_days(keyring: Keyring) -> None:
    seals = Seals(keyring)
    key_id = raw_key_id(seals.rejected({"raw": b"as it came", "rejected_id": "r"})["raw"])
    assert key_id is not None
    end_of_day = (NOW_MS // DAY_MS + 1) * DAY_MS
    assert seals.destroy_old_days(end_of_day + KEPT_DAYS * DAY_MS - 1) == []
    assert seals.destroy_old_days(end_of_day + KEPT_DAYS * DAY_MS) == [key_id]
