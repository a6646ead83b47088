"""Names as 128-bit words, a batch at once: what a table looks up in place of texts."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

Words = NDArray[np.uint64]
"""n x 2."""
APART = "\x00"
"""Between the parts of a text that is hashed."""
_BYTES = 16
_DIGITS = 2 * _BYTES
_HEXADECIMAL = b"0123456789abcdef"
_UUID_CHARS = 36
_DASH = ord("-")
_DASHES = (8, 13, 18, 23)
_DIGITS_AT = [at for at in range(_UUID_CHARS) if at not in _DASHES]
_AS_UUID = np.array([0x5BD1E9955BD1E995, 0x27D4EB2F165667C5], dtype=np.uint64)
"""Keeps a number written as a UUID apart from the same number without dashes."""
_ODD = np.uint64(0x9E3779B97F4A7C15)


def words_of(column: pl.Series) -> tuple[NDArray[np.bool_], Words]:
    """Return by row whether it has a text, and two words for it (else 0), equal for equal texts and for no others.

    A pseudonym (32 hexadecimal digits of a keyed hash) and a UUID stand for themselves, any other text for its BLAKE2 hash.
    """
    texts = column.to_arrow()
    _, starts, data = texts.buffers()
    bounds = np.frombuffer(starts, dtype=np.int64)[texts.offset : texts.offset + len(column) + 1]
    sizes = np.diff(bounds)
    known: NDArray[np.bool_] = sizes > 0
    if column.null_count():
        known &= column.is_not_null().to_numpy()
    words = np.zeros((len(column), 2), dtype=np.uint64)
    if known.any():
        size = int(sizes[known][0])
        alike = not (sizes[known] - size).any() and not sizes[~known].any()
        plain = _plain(data[int(bounds[0]) : int(bounds[-1])].to_pybytes(), size) if alike else None
        words[known] = _one_by_one(column.filter(pl.Series(known)).to_list()) if plain is None else plain
    return known, words


def hashed_words(texts: Sequence[str]) -> Words:
    """Return two words for each text, whatever it is: its BLAKE2 hash."""
    return _words(b"".join(_hashed(text.encode()) for text in texts))


def joined_words(left: Words, right: Words) -> Words:
    """Return words for pairs: as far as random numbers of 128 bits are, equal for equal pairs only.

    The right side is mixed by a function that can be undone, so that what stands on both sides does not cancel out.
    """
    return left ^ (right * _ODD)


def _plain(raw: bytes, size: int) -> Words | None:
    """Return the words of texts of one size that are all pseudonyms, or all UUIDs; None if they are not."""
    if size == _DIGITS:
        return None if raw.translate(None, _HEXADECIMAL) else _words(bytes.fromhex(raw.decode()))
    if size != _UUID_CHARS:
        return None
    chars = np.frombuffer(raw, dtype=np.uint8).reshape(-1, size)
    digits = chars[:, _DIGITS_AT].tobytes()
    if (chars[:, _DASHES] != _DASH).any() or digits.translate(None, _HEXADECIMAL):
        return None
    return _words(bytes.fromhex(digits.decode())) ^ _AS_UUID


def _one_by_one(texts: Sequence[str]) -> Words:
    """Return the same as `_plain` for each of the texts that is one, and its hash for any other."""
    raw = [text.encode() for text in texts]
    words = _words(b"".join(map(_hashed, raw))).copy()
    for at, one in enumerate(raw):
        if len(one) in {_DIGITS, _UUID_CHARS} and (plain := _plain(one, len(one))) is not None:
            words[at] = plain[0]
    return words


def _words(raw: bytes) -> Words:
    return np.frombuffer(raw, dtype=np.uint64).reshape(-1, 2)


def _hashed(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=_BYTES).digest()
