"""The judge's state as records of the compacted state topic.

A snapshot is cut into chunks that are written in one transaction. Two slots take turns, and the keys name slot and chunk: while
one slot is being overwritten or compacted, the other still holds a whole snapshot.
"""

import hashlib
from typing import Any

import msgspec

from schemas.codec import Kind, decode_as, encode
from schemas.outputs import digest

CHUNK_BYTES = 512 << 10
SLOTS = 2


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """State after the tallies log up to `next_offset` (exclusive); `pane` is -1 while no pane has been judged."""

    next_offset: int
    pane: int
    seq: int
    tallies_topic_id: str
    catalogue_hash: str
    state: bytes

    @property
    def snapshot_id(self) -> str:
        """Return the name of this content."""
        return digest(
            self.tallies_topic_id, self.next_offset, self.catalogue_hash, hashlib.sha256(self.state).hexdigest()
        )


_PLAIN = tuple(name for name in Snapshot.__struct_fields__ if name != "state")


def to_records(snapshot: Snapshot, slot: int) -> list[tuple[bytes, bytes]]:
    """Return the snapshot as keys and wire bytes for a slot."""
    state = snapshot.state
    parts = [state[at : at + CHUNK_BYTES] for at in range(0, max(len(state), 1), CHUNK_BYTES)]
    common: dict[str, Any] = {name: getattr(snapshot, name) for name in _PLAIN}
    common |= {"snapshot_id": snapshot.snapshot_id, "chunks": len(parts)}
    return [
        (f"{slot}/{chunk}".encode(), encode(Kind.SNAPSHOT, {**common, "chunk": chunk, "state": part}))
        for chunk, part in enumerate(parts)
    ]


class Shelf:
    """Collect the records of the state topic in order, and say which complete snapshot is the newest."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], dict[str, Any]] = {}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take one record. Raises UndecodableError for bytes that are no snapshot."""
        slot, _, chunk = key.decode().partition("/")
        at = (int(slot), int(chunk))
        if value is None:
            self._held.pop(at, None)
        else:
            self._held[at] = decode_as(Kind.SNAPSHOT, value)

    def newest(self) -> tuple[Snapshot, int] | None:
        """Return the complete snapshot that reaches furthest, and its slot; None if there is none."""
        found = [(snapshot, slot) for slot in range(SLOTS) if (snapshot := self._assemble(slot)) is not None]
        return max(found, key=lambda one: one[0].next_offset, default=None)

    def _assemble(self, slot: int) -> Snapshot | None:
        first = self._held.get((slot, 0))
        if first is None:
            return None
        parts = [self._held.get((slot, chunk)) for chunk in range(first["chunks"])]
        whole = [part for part in parts if part is not None and part["snapshot_id"] == first["snapshot_id"]]
        if len(whole) < len(parts):
            return None
        state = b"".join(part["state"] for part in whole)
        snapshot = Snapshot(state=state, **{name: first[name] for name in _PLAIN})
        return snapshot if snapshot.snapshot_id == first["snapshot_id"] else None
