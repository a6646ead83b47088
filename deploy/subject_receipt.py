"""The receipt of an erasure: what was done, in words and numbers, signed with Ed25519 so that nobody can change it later.

The signature covers the receipt as JSON with sorted names and no spaces. Source: RFC 8032.
"""

import base64
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import UsageError

KEPT = (
    "rows stay, and with them every count: channel, kind, times, answers, touchpoint, product, order and conversation numbers",
    "pseudonyms stay: a keyed hash that tells returning customers apart and names nobody without the installation's key",
    "texts that came without a customer, or notes that operators wrote, are not found by a person's address",
)


class ErasedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that is destroyed; times in epoch ms."""

    id: str
    made_ms: int
    destroyed_ms: int


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did; times are RFC 3339 in UTC.

    `rows`: rows that name the person; `rows_cleared`: those that could be read; `rows_readable`: those that still can (0);
    `offsets`: topic -> partition -> end up to which every event was a row before the rows were cleared;
    `unsealed_in_kafka_until`: events of before texts were sealed stand in Kafka until then; null: there are none;
    `rejected_until`: until then refused inputs of the last days can be opened, in which nobody can be looked for.
    """

    version: int = 1
    made_at: str
    pseudonyms: list[str]
    keys_destroyed: list[ErasedKey]
    rows: int
    rows_cleared: int
    rows_readable: int
    offsets: dict[str, dict[str, int]]
    unsealed_in_kafka_until: str | None
    rejected_until: str
    kept: list[str]


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt with its signature (base64) and the public key (hex) that checks it."""

    receipt: dict[str, Any]
    public_key: str
    signature: str


def public_key(seed: bytes) -> str:
    """Return the public key, in hex, of the 32 bytes from which receipts are signed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw().hex()


def signed(receipt: Receipt, seed: bytes) -> bytes:
    """Return the file of a receipt."""
    body = msgspec.to_builtins(receipt)
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(_bytes(body))
    whole = Signed(receipt=body, public_key=public_key(seed), signature=base64.b64encode(signature).decode())
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def verified(file: bytes, expected_key: str) -> Receipt:
    """Return the receipt in a file if it stands as it was signed with `expected_key` (hex). Raises UsageError that says why not."""
    try:
        whole = msgspec.json.decode(file, type=Signed)
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(whole.public_key))
        signature = base64.b64decode(whole.signature, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(
            "no_receipt", f"this is no receipt: {error}", "give a file that `subject erase` wrote"
        ) from error
    if whole.public_key != expected_key:
        raise UsageError(
            "other_signer", f"signed with {whole.public_key[:16]}..., expected was {expected_key[:16]}...",
            "check it where it was made, or name the installation's key with --public-key",
        )  # fmt: skip
    try:
        key.verify(signature, _bytes(whole.receipt))
    except InvalidSignature as error:
        raise UsageError(
            "changed", "the receipt was changed after it was signed", "take the file that was written"
        ) from error
    return msgspec.convert(whole.receipt, Receipt)


def _bytes(body: dict[str, Any]) -> bytes:
    return msgspec.json.encode(body, order="sorted")
