"""Bulk decoding agrees with the reference on every record, and a bad one never takes its neighbours with it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import bulk
from schemas.bulk import END, END_BYTES, zigzag
from schemas.codec import HEADER_BYTES, Kind, decode_as, encode, header
from schemas.errors import UndecodableError
from streams.core.counting import FRAME_SCHEMA, frame_of
from streams.decoding import decode_events

HEADER = header(Kind.EVENT)
ORDER = {"ref": "o1", "amount_minor": 1250, "currency": "EUR", "items": None, "promised_at": None, "delivered_at": 5}


def _reference(values):
    """Decode one by one with the codec."""
    good, records = [], []
    for value in values:
        try:
            records.append(decode_as(Kind.EVENT, value))
            good.append(True)
        except UndecodableError:
            good.append(False)
    return good, frame_of(records)


def _assert_agreement(values):
    good, frame = _reference(values)
    decoded = decode_events(values)
    assert good == decoded.good.tolist()
    assert frame.equals(decoded.frame)
    assert FRAME_SCHEMA == decoded.frame.schema


@pytest.fixture(scope="module")
def valid(event_maker):
    """Make the bytes of one event."""
    return lambda seed, **fields: encode(Kind.EVENT, event_maker(random.Random(seed), **fields))


@given(seed=st.integers(0, 2**32), size=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_whole_envelopes_decode_alike(seed, size, event_maker):
    dice = random.Random(seed)
    extra = {
        "order": ORDER,
        "also_known_as": ["a", "b"],
        "text_ciphertext": b"\x01plain",
        "corrects": "x",
        "retract": True,
    }
    events = [event_maker(dice, **(extra if dice.random() < 0.3 else {})) for _ in range(size)]
    _assert_agreement([encode(Kind.EVENT, one) for one in events])


@given(seed=st.integers(0, 2**32), flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_are_judged_alike(seed, flips, valid):
    raw = bytearray(valid(seed))
    for at, byte in flips:
        raw[at % len(raw)] = byte
    _assert_agreement([valid(1), bytes(raw), valid(2)])


@given(seed=st.integers(0, 2**32), cut=st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_truncated_bytes_are_judged_alike(seed, cut, valid):
    raw = valid(seed)
    _assert_agreement([raw[: cut % len(raw)], valid(1)])


@given(raw=st.binary(max_size=60), seed=st.integers(0, 100))
@settings(max_examples=100, deadline=None)
def test_foreign_bytes_are_no_events(raw, seed, valid):
    _assert_agreement([raw, HEADER + raw, valid(seed) + raw])


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"\x00",
        HEADER,
        HEADER[:4] + b"\x03" + b"abc",
        b'{"json": true}',
        encode(Kind.REJECTED, {
            "rejected_id": "r", "stage": "gateway", "channel": None, "source": "s", "reason": "x", "raw": b"", "raw_bytes": 0,
            "received_at": 0,
        }),
    ],
    ids=["null", "empty", "one byte", "header only", "another schema", "json", "a rejected record"],
)  # fmt: skip
def test_what_is_no_event_leaves_its_neighbours_alone(bad, valid):
    values = [valid(1), bad, valid(2), bad, bad, valid(3)]
    decoded = decode_events(values)
    assert [True, False, True, False, False, True] == decoded.good.tolist()
    assert frame_of([decode_as(Kind.EVENT, valid(n)) for n in (1, 2, 3)]).equals(decoded.frame)


@pytest.mark.parametrize("trailing", [b"\x00", END_BYTES, END_BYTES + b"x", b"x" + END_BYTES, END_BYTES[:3]])
def test_trailing_bytes_are_no_event_whatever_they_are(trailing, valid):
    assert [False, True] == decode_events([valid(1) + trailing, valid(2)]).good.tolist()


def test_the_end_mark_may_stand_inside_an_event(valid):
    raw = valid(1, text_ciphertext=END_BYTES)
    assert END_BYTES in raw
    assert [True] == decode_events([raw]).good.tolist()


def test_bytes_that_are_no_text_decode(valid):
    assert [True, True] == decode_events([valid(1, text_ciphertext=b"\xff\xfe"), valid(2)]).good.tolist()


def test_the_end_mark_does_not_overlap_itself():
    """Otherwise trailing bytes that continue it could pass for it."""
    assert not any(END_BYTES.startswith(END_BYTES[at:]) for at in range(1, len(END_BYTES)))
    assert END_BYTES == zigzag(END)
    assert HEADER == encode(Kind.EVENT, _least())[:HEADER_BYTES]


def _least():
    return {
        "event_id": "e", "channel": "card", "kind": "rating", "source": "s", "occurred_at": 0, "received_at": 0, "traits": {},
    }  # fmt: skip


def test_many_bad_records_among_many_good_ones_are_found_in_order(valid):
    pool = [valid(seed) for seed in range(20)]
    values = [pool[n % 20][:-3] if n % 37 == 5 else b"junk" if n % 53 == 7 else pool[n % 20] for n in range(2_000)]
    decoded = decode_events(values)
    assert [n % 37 != 5 and n % 53 != 7 for n in range(2_000)] == decoded.good.tolist()
    expected = [decode_as(Kind.EVENT, one) for one, good in zip(values, decoded.good, strict=True) if good]
    assert frame_of(expected).equals(decoded.frame)


def test_a_good_batch_takes_one_call(valid, monkeypatch):
    calls = []
    real = bulk.pyruhvro.deserialize_array
    monkeypatch.setattr(bulk.pyruhvro, "deserialize_array", lambda *given: calls.append(1) or real(*given))
    decode_events([valid(n) for n in range(100)])
    assert [1] == calls
