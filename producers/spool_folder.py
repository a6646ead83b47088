"""The folder of the spool: durable, readable by its owner only, and in use by one process at a time."""

import errno
import fcntl
import os
from pathlib import Path

from schemas.errors import SettingsError

LOCK = "lock"


def own(folder: Path) -> int:
    """Take the folder (made when missing) for this process; it is given up when the returned descriptor is closed.

    Raises SettingsError if another process has it.
    """
    make_folder(folder)
    owner = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(owner, 32, 0).decode().strip() or "unknown"
        os.close(owner)
        raise SettingsError(
            "spool_in_use", f"{folder} is the spool of another gateway: process {pid}",
            "stop it, or give this gateway a BAROMETER_DATA_DIR of its own",
        ) from None  # fmt: skip
    os.ftruncate(owner, 0)
    os.pwrite(owner, f"{os.getpid()}\n".encode(), 0)
    return owner


def make_folder(folder: Path) -> None:
    """Make a folder, for its owner only, that a power cut does not take away. Raises SettingsError."""
    try:
        for one in reversed((folder, *folder.absolute().parents)):
            if not one.exists():
                one.mkdir(mode=0o700, exist_ok=True)
                above = os.open(one.parent, os.O_RDONLY)
                try:
                    os.fsync(above)
                finally:
                    os.close(above)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise SettingsError(
            "no_spool", f"{folder}: {error.strerror}",
            "give this user the right to write there, name another BAROMETER_DATA_DIR, or set BAROMETER_SPOOL_MAX_BYTES=0",
        ) from error  # fmt: skip
