"""The keyring's file: SQLite, opened so that a key that was returned is on disk and a destroyed one is no longer in it."""

import os
import sqlite3
from pathlib import Path
from types import TracebackType

from schemas.errors import ContractError, UnavailableError

_BUSY_MS = 30_000
_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, key BLOB, made_ms INTEGER NOT NULL, destroyed_ms INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS living ON keys (kind, name) WHERE destroyed_ms IS NULL;
CREATE INDEX IF NOT EXISTS named ON keys (kind, name);
CREATE TABLE IF NOT EXISTS destructions (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL);
INSERT OR IGNORE INTO destructions VALUES (1, 0);
"""


class Transaction:
    """One write transaction: committed and on disk when the block ends, rolled back when it raises."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise refused(self._path, error) from error
        return self._db

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.OperationalError as failed:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise refused(self._path, failed) from failed


def opened(path: Path) -> sqlite3.Connection:
    """Return the file, made if need be. Raises ContractError for what is no keyring, UnavailableError if it is held."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ContractError(
            "no_keyring",
            f"{path}: {error.strerror}",
            "give this user the right to read and write the file and its folder",
        ) from error
    db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    try:
        for setting in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            db.execute(f"PRAGMA {setting}").fetchall()
        db.executescript(_TABLES)
    except sqlite3.OperationalError as error:
        raise refused(path, error) from error
    except sqlite3.DatabaseError as error:
        raise ContractError(
            "no_keyring", f"{path}: {error}", "set BAROMETER_KEYRING to the keyring, or bring its backup"
        ) from error
    return db


def refused(path: Path, error: sqlite3.OperationalError) -> UnavailableError:
    """Return what to raise where SQLite refuses: the caller tries again later."""
    return UnavailableError(
        "keyring_busy", f"{path}: {error}", "see who else holds the file, and whether its disk is full"
    )
