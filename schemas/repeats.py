"""The repeat filter: one component for stage 1 and the sinks, so that they always agree.

Rule: offset o is a repeat if the same id stands at an earlier offset of the same topic-partition at most W of arrived time
before. The answer depends on the log alone; a process that restarts warms its filter up from arrived - W.

Ids are 128-bit, kept in an open-addressing table of numpy columns and looked up in batches.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

U64 = np.uint64
_UUID_CHARS = 36
_HEX_AT = np.array([i for i in range(_UUID_CHARS) if i not in {8, 13, 18, 23}])
_HEXADECIMAL = b"0123456789abcdef"
_FULL = 0.6
_FREE, _CLAIMED = (
    -1,
    -2,
)  # in the column of times: no id here; an id whose time is not yet known


def id_words(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Return ids as an n x 2 array of 64-bit words; canonical UUIDs by value, anything else by its BLAKE2 hash."""
    if not ids:
        return np.empty((0, 2), dtype=U64)
    joined = "".join(ids).encode("utf-8", "surrogatepass")
    if len(joined) == len(ids) * _UUID_CHARS:
        digits = np.frombuffer(joined, dtype=np.uint8).reshape(len(ids), _UUID_CHARS)[:, _HEX_AT].tobytes()
        if not digits.translate(None, _HEXADECIMAL):
            return np.frombuffer(bytes.fromhex(digits.decode("ascii")), dtype=U64).reshape(-1, 2)
    out = np.empty((len(ids), 16), dtype=np.uint8)
    for i, one in enumerate(ids):
        out[i] = np.frombuffer(_id_bytes(one), dtype=np.uint8)
    return out.view(U64)


def _id_bytes(one: str) -> bytes:
    plain = one.replace("-", "")
    if len(one) == _UUID_CHARS and len(plain) == 32 and all(c in "0123456789abcdef" for c in plain):
        return bytes.fromhex(plain)
    return hashlib.blake2b(one.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread words over 64 bits: ids of clients may count upwards. Source: the finaliser of MurmurHash3 (A. Appleby)."""
    words = (words ^ (words >> U64(33))) * U64(0xFF51AFD7ED558CCD)
    words = (words ^ (words >> U64(33))) * U64(0xC4CEB9FE1A85EC53)
    return words ^ (words >> U64(33))


def _all_differ(numbers: NDArray[np.uint64]) -> bool:
    """Return whether no two of them are equal."""
    placed = np.sort(numbers)
    return not (placed[1:] == placed[:-1]).any()


class RepeatFilter:
    """Say which ids of one topic-partition are first; remembers each id for `window_ms` of arrived time."""

    def __init__(self, window_ms: int, capacity: int = 1 << 12) -> None:
        self.window_ms = window_ms
        self.longest_probe = 0
        """The most slots that one look-up has passed; a few dozen is usual."""
        self._allocate(capacity)

    def _allocate(self, slots: int) -> None:
        self._hi = np.zeros(slots, dtype=U64)
        self._lo = np.zeros(slots, dtype=U64)
        self._seen = np.full(slots, _FREE, dtype=np.int64)
        self._used = 0

    def __len__(self) -> int:
        return self._used

    @property
    def bytes(self) -> int:
        """Return the memory of the table."""
        return self._hi.nbytes + self._lo.nbytes + self._seen.nbytes

    def first(self, words: NDArray[np.uint64], arrived: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each id, in offset order, whether it is no repeat, and remember it.

        `words`: n x 2 from `id_words`; `arrived`: n, ms, never falling, and not below an earlier call's.
        """
        n = len(words)
        if n == 0:
            return np.empty(0, dtype=np.bool_)
        if _all_differ(words[:, 0]):
            return self._first_of_different(words, arrived)
        order = np.lexsort((words[:, 1], words[:, 0]))
        ids, at = words[order], arrived[order]
        head = np.empty(n, dtype=np.bool_)
        head[0] = True
        head[1:] = (ids[1:] != ids[:-1]).any(axis=1)
        before = np.empty(n, dtype=np.int64)
        before[1:] = at[:-1]
        heads = np.flatnonzero(head)
        self._make_room(len(heads), int(arrived[0]))
        slots = self._slots_of(ids[heads])
        before[heads] = self._seen[slots]
        fresh = (before < 0) | (at - before > self.window_ms)
        self._seen[slots] = at[np.append(heads[1:], n) - 1]
        out = np.empty(n, dtype=np.bool_)
        out[order] = fresh
        return out

    def _first_of_different(self, ids: NDArray[np.uint64], arrived: NDArray[np.int64]) -> NDArray[np.bool_]:
        self._make_room(len(ids), int(arrived[0]))
        slots = self._slots_of(ids)
        before = self._seen[slots]
        self._seen[slots] = arrived
        return (before < 0) | (arrived - before > self.window_ms)

    def _slots_of(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the slot of each distinct id, claiming a free one where the id is new."""
        mask = len(self._seen) - 1
        hi, lo = ids[:, 0], ids[:, 1]
        at = (_mixed(hi ^ _mixed(lo)) & U64(mask)).astype(np.int64)
        slots = np.empty(len(ids), dtype=np.int64)
        open_ = np.arange(len(ids))
        probes = 0
        while len(open_):
            probes += 1
            here = at[open_]
            free = np.flatnonzero(self._seen[here] == _FREE)
            if len(free):
                # of several ids that want one free slot one takes it; the others go on
                wanted, ids_of = here[free], open_[free]
                self._hi[wanted], self._lo[wanted], self._seen[wanted] = hi[ids_of], lo[ids_of], _CLAIMED
                self._used += int(((self._hi[wanted] == hi[ids_of]) & (self._lo[wanted] == lo[ids_of])).sum())
            same = (self._hi[here] == hi[open_]) & (self._lo[here] == lo[open_])
            slots[open_[same]] = here[same]
            open_ = open_[~same]
            at[open_] = (at[open_] + 1) & mask
        self.longest_probe = max(self.longest_probe, probes)
        return slots

    def _make_room(self, incoming: int, now_ms: int) -> None:
        """Keep the load below the limit: forget what is older than the window, then grow if that is not enough."""
        if self._used + incoming <= _FULL * len(self._seen):
            return
        kept = np.flatnonzero((self._seen != _FREE) & (now_ms - self._seen <= self.window_ms))
        ids, seen = np.stack((self._hi[kept], self._lo[kept]), axis=1), self._seen[kept]
        slots = len(self._seen)
        while len(kept) + incoming > _FULL / 2 * slots:
            slots *= 2
        self._allocate(slots)
        if len(kept):
            self._seen[self._slots_of(ids)] = seen
