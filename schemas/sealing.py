"""Sealed bytes: what only the holder of a data key can read, and nobody can change or put elsewhere unseen.

AES-256-GCM. A sealed value is its 12-byte nonce, the ciphertext, and a 16-byte tag. `bound` is not stored but must be the same
when it is opened: a value sealed for one event does not open in another.
Source: NIST SP 800-38D; a nonce must never come twice under one key, so it is random and a key seals less than 2^32 values.
"""

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.errors import UndecodableError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES


def seal(key: bytes, plain: bytes, bound: bytes, nonce: bytes) -> bytes:
    """Return `plain` sealed under a 32-byte key and bound to `bound`; `nonce` is 12 random bytes, never used again.

    Raises ValueError for a key or nonce of another length.
    """
    if len(nonce) != NONCE_BYTES or len(key) != KEY_BYTES:
        raise ValueError(
            f"a key of {len(key)} and a nonce of {len(nonce)} bytes; {KEY_BYTES} and {NONCE_BYTES} are wanted"
        )
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def open_sealed(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """Return what `seal` was given. Raises UndecodableError where key, bytes or `bound` are others."""
    if len(sealed) < OVERHEAD_BYTES:
        raise UndecodableError("bad_seal", f"{len(sealed)} bytes are too few for a sealed value")
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag as error:
        raise UndecodableError(
            "bad_seal", "the key does not open these bytes: changed, cut, or from another place"
        ) from error


class Content(msgspec.Struct, frozen=True, array_like=True):
    """What of an event only its reader may see: the text, and the attributes that name a person."""

    text: str | None = None
    attributes: dict[str, str] = {}


_CONTENT = msgspec.json.Decoder(Content)
_ENCODE = msgspec.json.Encoder().encode


def seal_content(key: bytes, content: Content, event_id: str, nonce: bytes) -> bytes:
    """Return the `text_ciphertext` of an event."""
    return seal(key, _ENCODE(content), event_id.encode(), nonce)


def open_content(key: bytes, sealed: bytes, event_id: str) -> Content:
    """Return what `seal_content` was given. Raises UndecodableError."""
    plain = open_sealed(key, sealed, event_id.encode())
    try:
        return _CONTENT.decode(plain)
    except msgspec.DecodeError as error:
        raise UndecodableError("bad_seal", f"what was sealed for event {event_id} is no content: {error}") from error


RAW_MARK = b"\x00sealed:1:"
"""Begins the bytes of a rejected input that are sealed; a colon ends the id of their key."""


def seal_raw(key_id: str, key: bytes, raw: bytes, rejected_id: str, nonce: bytes) -> bytes:
    """Return the bytes of a rejected input as they are kept: they name their key."""
    return b"%b%b:%b" % (RAW_MARK, key_id.encode(), seal(key, raw, rejected_id.encode(), nonce))


def raw_key_id(kept: bytes) -> str | None:
    """Return the id of the key that opens the bytes of a rejected input; None: they were never sealed."""
    if not kept.startswith(RAW_MARK):
        return None
    key_id, colon, _ = kept[len(RAW_MARK) :].partition(b":")
    if not colon or not key_id.isalnum():
        raise UndecodableError("bad_seal", "sealed bytes of a rejected input that name no key")
    return key_id.decode("ascii")


def open_raw(key: bytes, kept: bytes, rejected_id: str) -> bytes:
    """Return the bytes of a rejected input as they came. Raises UndecodableError."""
    sealed = kept[len(RAW_MARK) :].partition(b":")[2]
    return open_sealed(key, sealed, rejected_id.encode())
