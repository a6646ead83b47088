"""The folder that holds everything a local stack keeps, and the lock that lets one process at a time own it."""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from deploy.engines.errors import AlreadyRunningError

LOCK = "lock"


class DataDir:
    """An owned data folder; the ownership ends with `close` or with the process, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def own(cls, path: Path, *, clear: bool = False) -> "DataDir":
        """Take the folder (made when missing) for this process; `clear` empties it once it is ours.

        Raises:
            AlreadyRunningError: another process owns it; the message names its pid.
        """
        path = path.resolve()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 32, 0).decode().strip() or "unknown"
            os.close(descriptor)
            raise AlreadyRunningError(
                "already_running",
                f"{path} is in use: process {pid} runs on it",
                f"stop it (kill {pid}) or choose another folder with --data-dir",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        if clear:
            for entry in path.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                elif entry.name != LOCK:
                    entry.unlink()
        return cls(path, descriptor)

    def folder(self, name: str) -> Path:
        """Return the sub-folder `name`, made when missing."""
        folder = self.path / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def secret(self, name: str) -> str:
        """Return the secret kept under `name` (file mode 0600), generated at the first call."""
        file = self.folder("secrets") / name
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return file.read_text().strip()
        with os.fdopen(descriptor, "w") as stream:
            secret = secrets.token_urlsafe(24)
            stream.write(secret + "\n")
        return secret

    def close(self) -> None:
        """Give the folder up."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
