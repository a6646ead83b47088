"""A receipt verifies as it was written, and under no other key; any change is found."""

import json
import re

import pytest

from deploy.subject_receipt import ErasedKey, Receipt, public_key, signed, verified
from schemas.errors import UsageError

SEED = bytes(range(32))
RECEIPT = Receipt(
    made_at="2026-11-23T08:00:00Z", pseudonyms=["ab" * 16], keys_destroyed=[ErasedKey(id="k", made_ms=1, destroyed_ms=2)],
    rows=7, rows_cleared=3, rows_readable=0, offsets={"feedback.card.v1": {"0": 12}}, unsealed_in_kafka_until=None,
    rejected_until="2026-12-01T08:00:00Z", kept=["rows"],
)  # fmt: skip


def test_a_receipt_comes_back_as_it_was_signed() -> None:
    assert verified(signed(RECEIPT, SEED), public_key(SEED)) == RECEIPT


def test_its_layout_may_change_but_no_word_of_it() -> None:
    file = signed(RECEIPT, SEED)
    assert verified(json.dumps(json.loads(file)).encode(), public_key(SEED)) == RECEIPT
    numbers = [match.start() for match in re.finditer(rb"\d", file[: file.index(b'"public_key"')])]
    for at in numbers:
        changed = file[:at] + (b"0" if file[at : at + 1] != b"0" else b"1") + file[at + 1 :]
        with pytest.raises(UsageError):
            verified(changed, public_key(SEED))


def test_another_installations_receipt_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        verified(signed(RECEIPT, bytes(32)), public_key(SEED))
    assert caught.value.reason == "other_signer"


@pytest.mark.parametrize("file", [b"", b"{}", b"[1]", b'{"receipt":{},"public_key":"zz","signature":""}'])
def test_what_is_no_receipt_is_said(file: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        verified(file, public_key(SEED))
    assert caught.value.reason == "no_receipt"
