"""Time as an argument: code that needs the time of day takes a `Clock`."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Return the current time in epoch milliseconds, UTC."""


def system_clock() -> int:
    """Return the machine's time in epoch milliseconds, UTC."""
    return time.time_ns() // 1_000_000
