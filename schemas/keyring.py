"""The keyring: one file of data keys, shared by all processes of an installation; to destroy a key is to erase what it sealed.

A subject has one living key at a time, and so has a day (UTC). A key is on disk before anything is sealed under it. A destroyed key
leaves a tombstone (id, whose it was, when), so that "destroyed" and "never known here" are told apart.

SQLite in WAL mode, synchronous=FULL: a key that was returned survives a power cut. secure_delete=ON and a truncated log after each
destruction: no byte of a destroyed key stays in the file. Only processes of one machine may share it.
"""

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from schemas.clock import Clock
from schemas.errors import ContractError, UnavailableError
from schemas.keyring_file import Transaction, opened, refused
from schemas.sealing import KEY_BYTES

FILE = "keys.sqlite"
ID_BYTES = 12
_AT_ONCE = 500
_SIGNING = "signing"


class DataKey(NamedTuple):
    """A key of 32 bytes, and the id by which sealed values name it."""

    id: str
    key: bytes


class Tombstone(NamedTuple):
    """What is left of a destroyed key."""

    id: str
    made_ms: int
    destroyed_ms: int


def owner_of_corrections(event_id: str) -> str:
    """Return the name of the key that seals corrections of an event that name no person: nobody's pseudonym looks so."""
    return f"corrects:{event_id}"


def day_of(at_ms: int) -> str:
    """Return the UTC day of an epoch time in ms, as keys of days are named."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


class Keyring:
    """Give and destroy data keys; safe for threads, and for processes of one machine.

    The file is opened, or made, at first use. `random(n)` returns n bytes fit for keys. Up to `cached` keys are remembered; a key that any process destroyed is not used again.
    Raises UnavailableError where another process holds the file for half a minute, ContractError where it is no keyring.
    """

    def __init__(
        self, path: Path, *, clock: Clock, random: Callable[[int], bytes] = os.urandom, cached: int = 100_000
    ) -> None:
        self.path = path
        self._clock = clock
        self._random = random
        self._lock = threading.RLock()
        self._cached = cached
        self._by_name: OrderedDict[tuple[str, str], DataKey] = OrderedDict()
        self._by_id: OrderedDict[str, bytes | None] = OrderedDict()
        self._opened: sqlite3.Connection | None = None
        self._version = self._destructions = -1

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None
                self._version = -1

    def keys_of_subjects(self, subjects: Iterable[str]) -> dict[str, DataKey]:
        """Return subject -> its living key; keys that are new are durable, in one transaction, before this returns."""
        return self._living("subject", subjects)

    def key_of_day(self, day: str) -> DataKey:
        """Return the living key of a day (YYYY-MM-DD, UTC); a new one is durable before this returns."""
        return self._living("day", (day,))[day]

    def key_of_today(self) -> DataKey:
        """Return the living key of the day that the clock shows."""
        return self.key_of_day(day_of(self._clock()))

    def signing_key(self) -> bytes:
        """Return the 32 bytes from which receipts are signed; they are made once."""
        return self._living(_SIGNING, (_SIGNING,))[_SIGNING].key

    def key(self, key_id: str) -> bytes | None:
        """Return the key of an id, or None if it was destroyed. Raises ContractError for an id that was never known here."""
        return self.keys((key_id,))[key_id]

    def keys(self, key_ids: Iterable[str]) -> dict[str, bytes | None]:
        """Return id -> key, or None where it was destroyed. Raises ContractError for an id that was never known here."""
        with self._lock:
            self._forget_destroyed()
            found: dict[str, bytes | None] = {}
            missing = []
            for one in set(key_ids):
                if one in self._by_id:
                    found[one] = self._by_id[one]
                    self._by_id.move_to_end(one)
                else:
                    missing.append(one)
            for some in _parts(missing):
                for key_id, key in self._rows(f"SELECT id, key FROM keys WHERE id IN ({_marks(some)})", some):
                    found[key_id] = self._by_id[key_id] = key
            _cut(self._by_id, self._cached)
        unknown = [one for one in missing if one not in found]
        if unknown:
            raise ContractError(
                "unknown_data_key",
                f"{self.path} never held the key {unknown[0]}"
                + (f" and {len(unknown) - 1} more" if unknown[1:] else ""),
                "set BAROMETER_KEYRING to the keyring that the gateway uses, or bring its backup to this path",
            )
        return found

    def destroy_subject(self, subject: str) -> list[Tombstone]:
        """Destroy the subject's key; return the tombstones of all that it ever had. Doing it again changes nothing.

        When this returns, no byte of the keys is in the file or its log, and no process of this machine takes them from memory
        for a call that begins later.
        """
        return self.destroy_subjects((subject,))

    def destroy_subjects(self, subjects: Collection[str]) -> list[Tombstone]:
        """Destroy the keys of several subjects as `destroy_subject` does one's; return all their tombstones."""
        return self._each(subjects, "kind = 'subject' AND name", self._destroy)

    def destroy_ids(self, key_ids: Collection[str]) -> list[Tombstone]:
        """Destroy keys of subjects by their ids; return the tombstones of these ids."""
        return self._each(key_ids, "kind = 'subject' AND id", self._destroy)

    def destroy_days_before(self, day: str, keep_ids: Collection[str] = ()) -> list[str]:
        """Destroy the keys of days before `day` but those of `keep_ids`; return the ids that were destroyed now."""
        kept = list(keep_ids)
        return self._destroy(f"kind = 'day' AND name < ? AND id NOT IN ({_marks(kept)})", (day, *kept))

    def tombstones(self, subjects: Collection[str]) -> list[Tombstone]:
        """Return what is left of the destroyed keys of subjects."""
        return self._each(subjects, "kind = 'subject' AND name")

    def living(self, subjects: Collection[str]) -> list[str]:
        """Return the ids of the living keys of subjects; makes none."""
        found = []
        for some in _parts(subjects):
            where = f"kind = 'subject' AND destroyed_ms IS NULL AND name IN ({_marks(some)})"
            found += self._rows(f"SELECT id FROM keys WHERE {where}", some)
        return [key_id for (key_id,) in found]

    def _each(
        self, values: Collection[str], where: str, act: Callable[[str, Sequence[str]], object] | None = None
    ) -> list[Tombstone]:
        """Act on the keys of `values`, a part at a time, then return their tombstones."""
        out = []
        for some in _parts(values):
            chosen = f"{where} IN ({_marks(some)})"
            if act is not None:
                act(chosen, some)
            out += self._rows(
                f"SELECT id, made_ms, destroyed_ms FROM keys WHERE {chosen} AND destroyed_ms IS NOT NULL ORDER BY id",
                some,
            )
        return [Tombstone(*row) for row in out]

    def living_days(self) -> list[tuple[str, str]]:
        """Return (day, key id) of the days whose keys live, oldest first."""
        return list(
            self._rows("SELECT name, id FROM keys WHERE kind = 'day' AND destroyed_ms IS NULL ORDER BY name", ())
        )

    def _living(self, kind: str, names: Iterable[str]) -> dict[str, DataKey]:
        with self._lock:
            self._forget_destroyed()
            found, missing = {}, []
            for name in set(names):
                key = self._by_name.get((kind, name))
                if key is None:
                    missing.append(name)
                else:
                    found[name] = key
                    self._by_name.move_to_end((kind, name))
            if missing:
                for name, key in self._made(kind, missing).items():
                    found[name] = self._by_name[kind, name] = key
                _cut(self._by_name, self._cached)
        return found

    def _made(self, kind: str, names: list[str]) -> dict[str, DataKey]:
        found = self._stored(kind, names)
        new = [name for name in names if name not in found]
        while new:
            now = self._clock()
            rows = [(self._random(ID_BYTES).hex(), kind, name, self._random(KEY_BYTES), now) for name in new]
            with self._transaction() as db:
                # another process may have made one since: the unique index lets the first stand, for everybody
                db.executemany(
                    "INSERT INTO keys (id, kind, name, key, made_ms) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (kind, name) WHERE destroyed_ms IS NULL DO NOTHING", rows,
                )  # fmt: skip
            found |= self._stored(kind, new)
            new = [name for name in new if name not in found]  # destroyed by another process in between
        return found

    def _stored(self, kind: str, names: list[str]) -> dict[str, DataKey]:
        found = {}
        for some in _parts(names):
            for name, key_id, key in self._rows(
                f"SELECT name, id, key FROM keys WHERE kind = ? AND destroyed_ms IS NULL AND name IN ({_marks(some)})",
                (kind, *some),
            ):
                found[name] = DataKey(key_id, key)
        return found

    def _destroy(self, where: str, values: Sequence[str]) -> list[str]:
        with self._lock:
            with self._transaction() as db:
                ids = [
                    row[0] for row in db.execute(f"SELECT id FROM keys WHERE {where} AND destroyed_ms IS NULL", values)
                ]
                db.executemany(
                    "UPDATE keys SET key = NULL, destroyed_ms = ? WHERE id = ?", [(self._clock(), one) for one in ids]
                )
                if ids:
                    db.execute("UPDATE destructions SET count = count + 1")
            self._version = -1
            self._forget_destroyed()
            # also where nothing was destroyed now: a process that died here before may have left its log behind
            busy = self._rows("PRAGMA wal_checkpoint(TRUNCATE)", ())[0][0]
            if busy:
                raise UnavailableError(
                    "keyring_busy", f"{self.path}: another process reads it, its log still holds the key"
                )
        return ids

    def _forget_destroyed(self) -> None:
        """Drop remembered keys if a process destroyed some since the last look; costs one read of shared memory otherwise."""
        version = self._rows("PRAGMA data_version", ())[0][0]
        if version != self._version:
            count = self._rows("SELECT count FROM destructions", ())[0][0]
            if count != self._destructions:
                self._by_name.clear()
                self._by_id.clear()
            self._version, self._destructions = version, count

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = opened(self.path)
        return self._opened

    def _transaction(self) -> Transaction:
        return Transaction(self._db, self.path)

    def _rows(self, query: str, values: Iterable[str]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(query, tuple(values)).fetchall()
            except sqlite3.OperationalError as error:
                raise refused(self.path, error) from error


def _parts(values: Collection[str]) -> Iterator[list[str]]:
    every = list(values)
    for at in range(0, len(every), _AT_ONCE):
        yield every[at : at + _AT_ONCE]


def _marks(values: Collection[str]) -> str:
    return ",".join("?" * len(values))


def _cut(remembered: OrderedDict[Any, Any], limit: int) -> None:
    while len(remembered) > limit:
        remembered.popitem(last=False)
