"""What keeps a process from being ready, by name; /readyz shows it."""

import threading


class Readiness:
    """Named checks, each ok or failing with a reason; safe to use from several threads."""

    def __init__(self, *names: str) -> None:
        """Begin with every name failing: a process is ready when it has said so of each."""
        self._lock = threading.Lock()
        self._failing: dict[str, str] = dict.fromkeys(names, "not yet reached")

    def fail(self, name: str, why: str) -> None:
        """Mark a check as failing."""
        with self._lock:
            self._failing[name] = why

    def ok(self, name: str) -> None:
        """Mark a check as passing."""
        with self._lock:
            self._failing.pop(name, None)

    def failing(self) -> dict[str, str]:
        """Return the failing checks with their reasons; empty means ready."""
        with self._lock:
            return dict(self._failing)
