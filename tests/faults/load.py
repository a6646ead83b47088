"""A load that gives up only where it says so: batches over HTTP, each sent again with the same bytes until it is acknowledged.

A share of the batches whose fate is unknown is given up, as a phone does that loses its network: they may stand once, or not.
"""

import threading
import time
import uuid
from collections.abc import Callable
from random import Random
from typing import Any

import httpx
import msgspec

from schemas.clock import system_clock
from schemas.windows import DAY_MS
from tests.faults.ledger import ACCEPTED, ALL_REJECTED, UNKNOWN, Ledger

SHOPS = ("paris", "lyon", "lille", "nantes", "geneve")
HIT = "lyon"
BATCH = 20
SENDERS = 2
PAUSE_S = 0.4
RETRY_S = 0.1
OLD_SHARE = 0.15
REPEATED = 0.05
GIVEN_UP = 0.05
DISPUTES = 0.002
ANSWER_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 120.0
SWING_S = 12.0
"""The bad share at one shop goes up and down in turn, so that alarms open and resolve in the middle of it all."""


class Load:
    """Threads that send; the ledger holds every send and answer."""

    def __init__(
        self,
        gateway: str,
        write_key: str,
        ledger: Ledger,
        *,
        seed: int | str,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.ledger = ledger
        self.retries = 0
        self.may_refuse = False
        """Whether single events may be refused: while a clock is wrong, say."""
        self._gateway, self._key = gateway, write_key
        self._timeout_s, self._pause_s = answer_timeout_s, pause_s
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._guarded, args=(Random(f"{seed} {number}"),), daemon=True)
            for number in range(SENDERS)
        ]

    @property
    def unanswered(self) -> int:
        """Return the requests that wait for an answer now."""
        return self.ledger.unanswered

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return when every batch begun is acknowledged or given up. Raises what made a sender end early."""
        self._stop.set()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._failed is not None:
            raise self._failed
        assert not any(thread.is_alive() for thread in self._threads), "a batch is still not acknowledged"

    def _guarded(self, rng: Random) -> None:
        try:
            self._send(rng)
        except BaseException as error:  # told by stop
            self._failed = error

    def _send(self, rng: Random) -> None:
        earlier: list[tuple[list[str], bytes]] = []
        with httpx.Client(
            base_url=self._gateway, headers={"Authorization": f"Bearer {self._key}"}, timeout=self._timeout_s
        ) as client:
            while not self._stop.is_set():
                if earlier and rng.random() < REPEATED:
                    ids, body = rng.choice(earlier)
                else:
                    old = rng.random() < OLD_SHARE
                    events = [self._event(rng, old=old) for _ in range(BATCH)]
                    ids, body = [event["id"] for event in events], msgspec.json.encode(events)
                    earlier.append((ids, body))
                self._until_acknowledged(client, ids, body, rng)
                self._stop.wait(self._pause_s * rng.random())

    def _until_acknowledged(self, client: httpx.Client, ids: list[str], body: bytes, rng: Random) -> None:
        while True:
            number = self.ledger.sending(body)
            try:
                answer = client.post("/v1/feedback", content=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in {ACCEPTED, ALL_REJECTED}:
                refused = [ids[one["index"]] for one in answer.json()["rejected"]]
                self.ledger.answered(number, ACCEPTED, ids, refused)
                assert self.may_refuse or not refused, answer.text
                return
            self.ledger.answered(number, UNKNOWN if answer is None else answer.status_code, ids)
            assert answer is None or answer.status_code in {429, 503}, answer.text
            if answer is None and rng.random() < GIVEN_UP:
                return
            self.retries += 1
            time.sleep(RETRY_S)

    def _event(self, rng: Random, *, old: bool) -> dict[str, Any]:
        shop = rng.choice(SHOPS)
        swung = int((time.monotonic() - self._began) / SWING_S) % 2 == 0
        bad_share = 0.5 if shop == HIT and swung and not old else 0.1
        return event(rng, shop, bad_share, old=old)


def event(rng: Random, shop: str, bad_share: float, *, old: bool) -> dict[str, Any]:
    """Return a card, call or mail of now, or of 8 to 20 days ago."""
    way = rng.random()
    score = rng.choice((1, 2, 3)) if rng.random() < bad_share else rng.choice((4, 5))
    out: dict[str, Any] = {
        "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "channel": "card" if way < 0.8 else "call" if way < 0.9 else "email",
        "touchpoint": shop,
        "occurred_at": system_clock() - (rng.randrange(8 * DAY_MS, 20 * DAY_MS) if old else 0),
    }
    if not old and rng.random() < DISPUTES:
        return {**out, "kind": "dispute", "text": "I dispute the charge."}
    return {**out, "kind": "rating", "answers": [{"question": "csat", "score": score}]}


def send_all(
    gateway: str,
    write_key: str,
    events: list[dict[str, Any]],
    ledger: Ledger,
    tell: Callable[[int], None] = lambda _: None,
) -> None:
    """Send events in batches, once each."""
    with httpx.Client(base_url=gateway, headers={"Authorization": f"Bearer {write_key}"}, timeout=30.0) as client:
        for start in range(0, len(events), 500):
            part = events[start : start + 500]
            body = msgspec.json.encode(part)
            number = ledger.sending(body)
            answer = client.post("/v1/feedback", content=body)
            ledger.answered(number, answer.status_code, [one["id"] for one in part])
            assert answer.status_code == ACCEPTED, answer.text
            tell(start)
