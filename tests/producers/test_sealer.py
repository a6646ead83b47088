"""What leaves the edge of a person is sealed under that person's key; the rest goes as it is, and nothing is lost."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from producers.capture import Capture, Captured
from producers.pseudonyms import Pseudonyms
from producers.refusals import Refusal
from producers.sealer import Sealer, sealer_of
from schemas.catalogue import Catalogue
from schemas.codec import Kind, decode_as
from schemas.errors import SettingsError, UnavailableError
from schemas.event import Channel, FeedbackEvent
from schemas.keyring import DataKey, Keyring, owner_of_corrections
from schemas.sealing import Content, open_content, open_raw, raw_key_id
from schemas.settings import Settings

NOW_MS = 1_790_000_000_000
HIDDEN = frozenset({"email", "name"})


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys.sqlite", clock=lambda: NOW_MS)


@pytest.fixture
def sealer(keyring: Keyring) -> Sealer:
    return Sealer(keyring, identifying=HIDDEN)


def event(number: int = 1, **fields: Any) -> FeedbackEvent:
    given = {"event_id": f"{number:08d}-0000-4000-8000-000000000000", "subject": "ab" * 16} | fields
    return FeedbackEvent(channel=Channel.CARD, kind="rating", source="t", occurred_at=1, received_at=1, **given)


def opened(keyring: Keyring, one: FeedbackEvent) -> Content:
    assert one.data_key_id is not None and one.text_ciphertext is not None
    key = keyring.key(one.data_key_id)
    assert key is not None
    return open_content(key, one.text_ciphertext, one.event_id)


def test_text_and_identifying_attributes_are_sealed_and_the_rest_stays(sealer: Sealer, keyring: Keyring) -> None:
    one = event(text="Ring me, it is Anna", attributes={"E-Mail": "x", "Email": "anna@example.org", "page": "/cart"})
    [found] = sealer.events([one])
    assert (found.text, found.attributes) == (None, {"E-Mail": "x", "page": "/cart"})
    assert opened(keyring, found) == Content("Ring me, it is Anna", {"Email": "anna@example.org"})
    same = msgspec.structs.replace(
        found, text=one.text, attributes=one.attributes, text_ciphertext=None, data_key_id=None
    )
    assert same == one


def test_a_person_has_one_key_and_others_have_others(sealer: Sealer) -> None:
    found = sealer.events([event(1, text="a"), event(2, text="b"), event(3, text="c", subject="cd" * 16)])
    first, second, third = (one.data_key_id for one in found)
    assert first == second != third
    assert [one.event_id for one in found] == [event(n).event_id for n in (1, 2, 3)]


@pytest.mark.parametrize("plain", [event(text="x", subject=None), event(), event(attributes={"page": "/"})])
def test_what_names_nobody_or_says_nothing_goes_as_it_is_and_makes_no_key(
    sealer: Sealer, keyring: Keyring, plain: FeedbackEvent
) -> None:
    assert sealer.events([plain]) == [plain]
    assert not keyring.path.exists()


def test_a_correction_without_a_customer_is_sealed_under_its_event(sealer: Sealer, keyring: Keyring) -> None:
    [found] = sealer.events([event(text="Anna again", subject=None, corrects=event(9).event_id)])
    assert found.text is None
    keyring.destroy_subject(owner_of_corrections(event(9).event_id))
    assert found.data_key_id is not None and keyring.key(found.data_key_id) is None


def test_a_refused_input_is_sealed_under_the_key_of_the_day(
    sealer: Sealer, keyring: Keyring, pseudonyms: Pseudonyms, catalogue: Catalogue
) -> None:
    capture = Capture(
        pseudonyms=pseudonyms, catalogue=catalogue, sealer=sealer, new_id=lambda: "r-1", max_event_bytes=10_000
    )
    into = Captured()
    raw = b'{"channel": "card", "kind": "nonsense", "text": "Anna Meier"}'
    capture.add([raw], into, first_index=0, source="t", received_at=NOW_MS)
    record = decode_as(Kind.REJECTED, into.records[0].value)
    assert b"Anna" not in into.records[0].value and record["raw_bytes"] == len(raw)
    key_id = raw_key_id(record["raw"])
    assert key_id is not None
    key = keyring.key(key_id)
    assert key is not None and open_raw(key, record["raw"], "r-1") == raw
    keyring.destroy_days_before("2999-01-01", [])
    assert keyring.key(key_id) is None


class _Held(Keyring):
    """A keyring that another process holds."""

    def keys_of_subjects(self, subjects: Any) -> dict[str, DataKey]:
        raise UnavailableError("keyring_busy", "held")


def test_without_its_keyring_the_edge_refuses_and_asks_to_send_again(
    tmp_path: Path, pseudonyms: Pseudonyms, catalogue: Catalogue
) -> None:
    held = Sealer(_Held(tmp_path / "keys.sqlite", clock=lambda: NOW_MS), identifying=HIDDEN)
    capture = Capture(
        pseudonyms=pseudonyms, catalogue=catalogue, sealer=held, new_id=lambda: "r", max_event_bytes=10_000
    )
    with pytest.raises(Refusal) as caught:
        capture.records([event(text="Anna")])
    assert caught.value.status == 503


def test_a_metric_that_counts_by_what_is_sealed_is_refused_at_start(tmp_path: Path, catalogue: Catalogue) -> None:
    metric = msgspec.structs.replace(catalogue.metric[0], dimensions=["*", "channel+attr.Branch"])
    counted = msgspec.structs.replace(catalogue, metric=[metric])
    settings = Settings(data_dir=str(tmp_path), identifying_attributes="email, branch")
    with pytest.raises(SettingsError, match=r"attr\.Branch"):
        sealer_of(settings, counted, lambda: NOW_MS)
    sealer_of(Settings(data_dir=str(tmp_path)), counted, lambda: NOW_MS)
