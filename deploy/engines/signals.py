"""Ctrl-C and SIGTERM as one request to end: an exception while something starts, a return from `wait` once it runs."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class StopRequested(BaseException):
    """A person or the system asked this process to end (SIGINT or SIGTERM)."""


class StopSignals:
    """Within the `with` block, the two signals raise StopRequested in the main thread, at its end StopRequested is over."""

    def __enter__(self) -> Self:
        self._requested = threading.Event()
        self._before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        return kind is StopRequested

    @property
    def requested(self) -> bool:
        """Say whether the end was asked for."""
        return self._requested.is_set()

    def wait(self) -> None:
        """Sleep until the end is asked for."""
        try:
            while not self._requested.is_set():
                signal.pause()
        except StopRequested:
            pass

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Let nothing interrupt the block: a second Ctrl-C must not leave children behind."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in self._before}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._requested.set()
        raise StopRequested
