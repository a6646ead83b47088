"""Write keys: who may send, and how fast."""

import base64
import binascii
import hashlib
import math
from collections.abc import Mapping

from producers.refusals import Refusal
from schemas.clock import Clock

BURST_S = 10


class WriteKeys:
    """Key -> name, kept as digests, so that a look-up's time says nothing about the keys."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = {_digest(key): name for key, name in names.items()}

    def name_of(self, authorization: str | None) -> str:
        """Return the name of the key in an Authorization header: Bearer KEY, or Basic KEY: (no password).

        Raises Refusal: 401 without a readable key, 403 for one that is not ours.
        """
        scheme, _, given = (authorization or "").partition(" ")
        key = given.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                key = ""
        elif scheme.lower() != "bearer":
            key = ""
        if not key:
            raise Refusal(
                401,
                "no_write_key",
                "no write key was sent",
                "send Authorization: Bearer KEY, or Basic with KEY as user",
            )
        name = self._names.get(_digest(key))
        if name is None:
            raise Refusal(
                403,
                "unknown_write_key",
                "this write key is not known here",
                "check the key with whoever runs Barometer",
            )
        return name


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class RateLimit:
    """A token bucket per name: `rate_s` events a second, averaged over ten seconds."""

    def __init__(self, rate_s: float, clock: Clock, *, max_names: int = 10_000) -> None:
        self._rate_s = rate_s
        self._capacity = max(1.0, rate_s * BURST_S)
        self._clock = clock
        self._max_names = max_names
        self._buckets: dict[str, tuple[float, int]] = {}

    def check(self, name: str) -> None:
        """Raise the Refusal 429 of a name that has no token left, before its request costs anything."""
        self._take(name, 1, keep=True)

    def take(self, name: str, events: int) -> None:
        """Take `events` tokens. Raises Refusal 429 with the time to wait, having taken none.

        A batch larger than the bucket passes when the bucket is full, and leaves a debt.
        """
        self._take(name, events, keep=False)

    def _take(self, name: str, events: int, *, keep: bool) -> None:
        now = self._clock()
        tokens, at = self._buckets.get(name, (self._capacity, now))
        tokens = min(self._capacity, tokens + self._rate_s * max(0, now - at) / 1000)
        needed = min(float(events), self._capacity)
        if tokens < needed:
            wait_s = max(1, math.ceil((needed - tokens) / self._rate_s))
            raise Refusal(429, "too_fast", f"more than {self._rate_s:g} events a second", f"wait {wait_s} s, then send it again",
                          retry_after_s=wait_s)  # fmt: skip
        if name not in self._buckets and len(self._buckets) >= self._max_names:
            self._buckets.clear()
        self._buckets[name] = (tokens if keep else tokens - events, now)
