"""What became of an attempt to tell, and when to try again."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
LONGEST_RETRY_AFTER_S = 3_600.0
"""A receiver may ask for patience, not for silence."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The receiver will never take it; `remedy` says what to do."""

    detail: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """It may go better later. `doubt`: the receiver may have taken it nevertheless; `after_s`: what it asked for."""

    detail: str
    doubt: bool
    after_s: float | None = None


Outcome = Accepted | Refused | Failed
ACCEPTED = Accepted()


def retry_delay_s(failures: int, after_s: float | None, chance: float) -> float:
    """Return how long to wait after `failures` failures in a row (from 1): 1, 2, 4 .. 60 s, of which a half is chance (0..1).

    A receiver that asks for longer is obeyed, up to an hour.
    """
    longest = min(LONGEST_RETRY_S, FIRST_RETRY_S * math.ldexp(1.0, min(failures - 1, 30)))
    return max(longest * (0.5 + chance / 2), min(after_s or 0.0, LONGEST_RETRY_AFTER_S))


def retry_after_s(text: str | None, now_ms: int) -> float | None:
    """Return the seconds of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3); None if it is neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_ms / 1000)
    except ValueError:
        return None


Chance = Callable[[], float]
"""Return a number in 0..1, so that many senders do not retry in step."""
