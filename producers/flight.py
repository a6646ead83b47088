"""Records on their way to the broker, from the send to the last acknowledgement."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

Settled = Callable[["BaseException | None"], None]
log = structlog.get_logger("producers.flight")


class Sent(Protocol):
    """What the client gives for one record: done once the broker has answered or the record is given up."""

    is_done: bool
    value: Any
    exception: BaseException | None

    def add_callback(self, f: Callable[[Any], None]) -> Any:
        """Call `f` with the answer, at once if it is there."""

    def add_errback(self, f: Callable[[Any], None]) -> Any:
        """Call `f` with the error, at once if it is there."""


class Flight:
    """Settles exactly once, when every record has its answer; with the first error, or None.

    `settled` runs in the client's sender thread, or at once in the caller's if all is done already; it must not raise.
    A partition's records are answered in order, so watching from the last record backwards takes one callback per batch.
    """

    def __init__(self, sent: Sequence[Sent], settled: Settled, give_up: Callable[[], None] = lambda: None) -> None:
        """`give_up` is for whoever has waited too long: the client that took the records is not to be used any more."""
        self.give_up = give_up
        self._sent = sent
        self._left = len(sent)
        self._settled = settled
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._walk(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait until settled; return whether it is."""
        return self._done.wait(timeout_s)

    @property
    def error(self) -> BaseException | None:
        """The first error of a settled flight."""
        return self._error

    def _walk(self, _: object) -> None:
        while self._left:
            last = self._sent[self._left - 1]
            if not last.is_done:
                last.add_callback(self._walk)
                last.add_errback(self._walk)
                return
            self._left -= 1
        self._error = next((one.exception for one in self._sent if one.exception is not None), None)
        self._sent = ()
        self._done.set()
        self._settled(self._error)


def tell(
    loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[BaseException | None]", error: BaseException | None
) -> None:
    """Give `error`, or None, from any thread, to whoever waits in `loop`; nothing if it has given up."""

    def resolve() -> None:
        if not waiter.done():
            waiter.set_result(error)

    try:
        loop.call_soon_threadsafe(resolve)
    except RuntimeError:  # the loop was closed: nobody waits any more
        log.warning("an acknowledgement came after the end")
