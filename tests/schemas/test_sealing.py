"""Sealed bytes open only whole, under their key and in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import UndecodableError
from schemas.sealing import (
    OVERHEAD_BYTES,
    Content,
    open_content,
    open_raw,
    open_sealed,
    raw_key_id,
    seal,
    seal_content,
    seal_raw,
)  # fmt: skip

_KEYS = st.binary(min_size=32, max_size=32)
_NONCES = st.binary(min_size=12, max_size=12)


@given(_KEYS, st.binary(max_size=200), st.binary(max_size=40), _NONCES)
def test_what_is_sealed_opens(key: bytes, plain: bytes, bound: bytes, nonce: bytes) -> None:
    sealed = seal(key, plain, bound, nonce)
    assert open_sealed(key, sealed, bound) == plain and len(sealed) == len(plain) + OVERHEAD_BYTES


@given(_KEYS, st.binary(min_size=1, max_size=60), _NONCES, st.data())
def test_any_change_is_refused(key: bytes, plain: bytes, nonce: bytes, data: st.DataObject) -> None:
    sealed = seal(key, plain, b"here", nonce)
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    changed = bytearray(sealed)
    changed[at // 8] ^= 1 << at % 8
    for wrong_key, wrong, bound in (
        (key, bytes(changed), b"here"), (key, sealed, b"there"), (key, sealed[:-1], b"here"), (key, b"", b"here"),
        (bytes(32) if key != bytes(32) else bytes([1] * 32), sealed, b"here"),
    ):  # fmt: skip
        with pytest.raises(UndecodableError):
            open_sealed(wrong_key, wrong, bound)


@given(_KEYS, st.none() | st.text(), st.dictionaries(st.text(), st.text(), max_size=3), _NONCES)
def test_text_and_attributes_come_back(key: bytes, text: str | None, attributes: dict[str, str], nonce: bytes) -> None:
    content = Content(text, attributes)
    assert open_content(key, seal_content(key, content, "an event", nonce), "an event") == content


@given(_KEYS, st.binary(max_size=100), _NONCES)
def test_sealed_raw_bytes_name_their_key(key: bytes, raw: bytes, nonce: bytes) -> None:
    kept = seal_raw("00ff", key, raw, "r-1", nonce)
    assert raw_key_id(kept) == "00ff" and open_raw(key, kept, "r-1") == raw
    with pytest.raises(UndecodableError):
        open_raw(key, kept, "r-2")


def test_raw_bytes_of_older_versions_are_known_as_plain() -> None:
    assert raw_key_id(b'{"channel": "card"}') is None and raw_key_id(b"") is None
