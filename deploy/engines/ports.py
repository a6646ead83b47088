"""Loopback ports that no other stack of this machine is about to use.

A port is probed long before its server binds it (the broker takes three seconds), so a probe alone would let two stacks that
start at once choose the same one. A lock file per port closes that gap; it is held until `release`.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

from deploy.engines.errors import EngineError

LOOPBACK = "127.0.0.1"
ATTEMPTS = 400


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # Connections of a killed server linger in TIME_WAIT; they do not keep a server from binding with this option.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


class Ports:
    """The ports of one stack: `take` reserves, `release` gives all back."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"barometer-ports-{os.getuid()}"
        self._held: dict[int, int] = {}

    def take(self, preferred: int) -> int:
        """Reserve `preferred`, or the next free port above it when it is taken.

        Raises:
            EngineError: no port is free in the range searched; free one or configure another start.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for port in range(preferred, min(preferred + ATTEMPTS, 65_536)):
            if port not in self._held and self._lock(port):
                if is_free(port):
                    return port
                self._unlock(port)
        raise EngineError("no_port", f"no free port from {preferred} on", "stop a server there, or set another port")

    def release(self) -> None:
        """Give every reserved port back."""
        for port in tuple(self._held):
            self._unlock(port)

    def _lock(self, port: int) -> bool:
        descriptor = os.open(self._folder / f"{port}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._held[port] = descriptor
        return True

    def _unlock(self, port: int) -> None:
        os.close(self._held.pop(port))
