"""The spool: records that wait on this disk for the broker, in order, sealed, in one SQLite file with one owner.

What `append` has returned from survives kill -9 and a power cut: WAL mode with synchronous=FULL, so each transaction is fsynced.
Entries are sealed under the key of their day, so that what a deleted entry leaves on the disk is unreadable once the key is gone.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from producers.publisher import Record
from producers.spool_entries import ROW_BYTES, Entry, bound_to, cut, packed, unpacked
from producers.spool_folder import own
from schemas.clock import Clock
from schemas.errors import ContractError, UnavailableError, UndecodableError
from schemas.keyring import DataKey
from schemas.sealing import NONCE_BYTES, open_sealed, seal

FILE = "gateway.sqlite"
KEY_DAYS = 7
"""A day's key is destroyed when so many whole days lie behind the day, unless entries of it still wait."""
SHRINK_BYTES = 16 << 20
_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY, key_id TEXT NOT NULL, spooled_at INTEGER NOT NULL, records INTEGER NOT NULL,
    bytes INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS totals ON entries (key_id, records, bytes);
CREATE TABLE IF NOT EXISTS probe (one INTEGER PRIMARY KEY CHECK (one = 1), filling BLOB NOT NULL) STRICT;
CREATE TEMP TABLE unreadable (seq INTEGER PRIMARY KEY);
"""


class DayKeys(Protocol):
    """Where the keys of days come from; `schemas.keyring.Keyring` is one."""

    def key_of_day(self, day: str) -> DataKey:
        """Return the key of a day (YYYY-MM-DD, UTC), durable before it is returned."""

    def key(self, key_id: str) -> bytes | None:
        """Return the key of an id, None if it was destroyed. Raises ContractError if it was never known."""

    def destroy_days_before(self, day: str, keep_ids: Collection[str] = ()) -> list[str]:
        """Destroy the keys of earlier days but those kept; return the ids."""

    def close(self) -> None:
        """Give the keys up."""


class Spool:
    """Entries in the order in which they were appended; safe to use from several threads.

    `records`, `bytes` and `oldest_at` (epoch ms, None when empty) describe what is in the file, `last_seq` its newest entry,
    `unreadable` the entries set aside.
    Raises SettingsError where another process owns the folder, ContractError where the file is no spool.
    """

    def __init__(
        self, folder: Path, *, keys: DayKeys, clock: Clock, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.path = folder / FILE
        self._keys = keys
        self._clock = clock
        self._random = random
        self._lock = threading.Lock()
        self._owner = own(folder)
        try:
            self._db = _opened(self.path)
        except BaseException:
            os.close(self._owner)
            raise
        rows = self._db.execute("SELECT key_id, count(*), sum(records), sum(bytes) FROM entries GROUP BY key_id")
        totals = rows.fetchall()
        self.entries = sum(row[1] for row in totals)
        self.records = sum(row[2] for row in totals)
        self.bytes = sum(row[3] for row in totals)
        self.last_seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]
        self.oldest_at: int | None = None
        self._find_oldest()
        self.unreadable = 0
        self.trouble = ""
        """Why the disk refused the last write; empty: it did not."""

    def close(self) -> None:
        """Close the file and give the folder up."""
        with self._lock:
            self._db.close()
            self._keys.close()
            os.close(self._owner)

    def append(self, requests: Sequence[Sequence[Record]]) -> None:
        """Store the records of several requests, in one transaction: when this returns they are on the disk.

        Raises UnavailableError, with nothing stored, if the disk or the keyring refuses.
        """
        now = self._clock()
        key = self._keys.key_of_day(_day(now))
        with self._lock:
            seq = self.last_seq
            rows = []
            for records in requests:
                for part in cut(records):
                    seq += 1
                    sealed = seal(key.key, packed(part), bound_to(seq, now), self._random(NONCE_BYTES))
                    rows.append((seq, key.id, now, len(part), len(sealed) + ROW_BYTES, sealed))
            with self._written() as db:
                db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
            if self.oldest_at is None:
                self.oldest_at = now
            self.entries += len(rows)
            self.records += sum(row[3] for row in rows)
            self.bytes += sum(row[4] for row in rows)
            self.last_seq = seq

    def page(self, after: int, max_bytes: int) -> list[Entry]:
        """Return the next entries behind the entry `after`: up to `max_bytes`, but one at least, if there is one."""
        out: list[Entry] = []
        size = 0
        with self._lock, _refusals(self.path):
            rows = self._db.execute(
                "SELECT seq, key_id, spooled_at, records, sealed FROM entries WHERE seq > ? ORDER BY seq", (after,)
            )
            for row in rows:
                entry = Entry(*row)
                size += entry.bytes
                if out and size > max_bytes:
                    break
                out.append(entry)
            rows.close()
        return out

    def opened(self, entry: Entry) -> list[Record]:
        """Return the records of an entry. Raises UndecodableError if the keys do not open it; it stays where it is."""
        try:
            key = self._keys.key(entry.key_id)
            if key is None:
                raise UndecodableError("key_destroyed", f"the key {entry.key_id} was destroyed")
            return unpacked(open_sealed(key, entry.sealed, bound_to(entry.seq, entry.spooled_at)))
        except (ContractError, msgspec.DecodeError) as error:
            raise UndecodableError("unreadable_entry", str(error)) from error

    def set_aside(self, entry: Entry) -> None:
        """Keep an entry that cannot be read from being deleted, until the next start, which tries it again."""
        with self._lock:
            self._db.execute("INSERT INTO unreadable VALUES (?)", (entry.seq,))
            self.unreadable += 1

    def delete(self, after: int, up_to: int) -> None:
        """Remove the entries behind `after` up to `up_to`, but those set aside.

        Raises UnavailableError, with nothing removed, if the disk refuses.
        """
        some = "FROM entries WHERE seq > ? AND seq <= ? AND seq NOT IN (SELECT seq FROM unreadable)"
        with self._lock:
            with self._written() as db:
                gone = db.execute(f"SELECT count(*), total(records), total(bytes) {some}", (after, up_to)).fetchone()
                db.execute(f"DELETE {some}", (after, up_to))
            self.entries -= gone[0]
            self.records -= int(gone[1])
            self.bytes -= int(gone[2])
            with _refusals(self.path):
                self._find_oldest()
            if not self.entries and self.path.stat().st_size > SHRINK_BYTES:
                with _refusals(self.path):
                    self._db.execute("VACUUM")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def probe(self) -> None:
        """Write a little to see whether the disk takes it again. Raises UnavailableError."""
        with self._lock, self._written() as db:
            db.execute("INSERT OR REPLACE INTO probe VALUES (1, ?)", (self._random(4096),))

    def destroy_old_keys(self) -> list[str]:
        """Destroy the keys of days that are over for KEY_DAYS but those of entries that wait; return the ids."""
        with self._lock, _refusals(self.path):
            waiting = [row[0] for row in self._db.execute("SELECT DISTINCT key_id FROM entries")]
            return self._keys.destroy_days_before(_day(self._clock(), KEY_DAYS), waiting)

    def _find_oldest(self) -> None:
        row = self._db.execute("SELECT spooled_at FROM entries ORDER BY seq LIMIT 1").fetchone()
        self.oldest_at = None if row is None else row[0]

    @contextmanager
    def _written(self) -> Iterator[sqlite3.Connection]:
        """Give the connection in a transaction that is on the disk when the block ends."""
        try:
            with _refusals(self.path):
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                    raise
        except UnavailableError as error:
            self.trouble = error.detail
            raise
        self.trouble = ""


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """Turn what the disk refuses (full, read-only, broken) into UnavailableError."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        raise UnavailableError("spool_unavailable", f"{path}: {error}", "is the disk full or broken?") from error


def _day(now_ms: int, days_before: int = 0) -> str:
    return (datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=days_before)).date().isoformat()


def _opened(path: Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # exclusive: its index is in memory, so that a full disk does not keep a gateway from starting
        for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
            db.execute(f"PRAGMA {setting}").fetchall()
        db.executescript(_TABLES)
    except (sqlite3.DatabaseError, OSError) as error:
        raise ContractError(
            "spool_damaged", f"{path}: {error}",
            "free its disk, or move the folder aside and start again; what it holds was answered with 202 and is missing until then",
        ) from error  # fmt: skip
    return db
