"""Send the last day through the real gateway: evenly over time, single events and small batches, repeats byte for byte."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import httpx
import msgspec

from deploy.demo.scenario import Send
from schemas.clock import Clock
from schemas.errors import BarometerError, UnavailableError

MAX_BATCH = 8
SINGLES = 0.4
AT_ONCE = 4
"""Requests in flight."""
TRIES = 8
RETRY_S = 0.5


@dataclass(slots=True, kw_only=True)
class Sent:
    """What was sent and how it was answered; `occurred_at` by event id, in ms."""

    items: int = 0
    accepted: int = 0
    rejected: int = 0
    requests: int = 0
    occurred_at: dict[str, int] = field(default_factory=dict)


async def send_day(
    sends: Sequence[Send],
    *,
    gateway: str,
    write_key: str,
    clock: Clock,
    seed: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Send every item at its time and return the tally of the answers; `tell` hears how many items are sent.

    Raises UnavailableError if the gateway does not take a request after several tries, BarometerError for an answer that
    contradicts what was sent.
    """
    rng = Random(f"{seed} requests")
    out = Sent()
    bodies: dict[str, bytes] = {}
    started = time.monotonic()
    slots = asyncio.Semaphore(AT_ONCE)
    headers = {"Authorization": f"Bearer {write_key}", "Content-Type": "application/json"}
    async with (
        httpx.AsyncClient(base_url=gateway, headers=headers, timeout=30.0) as client,
        asyncio.TaskGroup() as requests,
    ):
        at = 0
        while at < len(sends):
            # A batch waits for its last item, as a page does that collects what happens and sends it together.
            size = 1 if rng.random() < SINGLES else rng.randrange(2, MAX_BATCH + 1)
            chosen = sends[at : at + size]
            at += len(chosen)
            await asyncio.sleep(max(0.0, started + chosen[-1].at_s - time.monotonic()))
            items = [_body(send, bodies, out, clock) for send in chosen]
            await slots.acquire()
            requests.create_task(_post(client, items, out, slots))
            tell(at)
    return out


def _body(send: Send, bodies: dict[str, bytes], out: Sent, clock: Clock) -> bytes:
    """Return the bytes of an item: occurred now, unless it is a repeat of what was sent before."""
    if send.broken:
        return msgspec.json.encode(send.event)
    name = send.event["id"]
    if name not in bodies:
        out.occurred_at[name] = clock()
        bodies[name] = msgspec.json.encode({**send.event, "occurred_at": out.occurred_at[name]})
    return bodies[name]


async def _post(client: httpx.AsyncClient, items: list[bytes], out: Sent, slots: asyncio.Semaphore) -> None:
    body = items[0] if len(items) == 1 else b"[" + b",".join(items) + b"]"
    try:
        answer = await _answered(client, body)
    finally:
        slots.release()
    given = answer.json()
    accepted, rejected = given["accepted"], len(given["rejected"])
    if accepted + rejected != len(items):
        raise BarometerError("bad_answer", f"{len(items)} items sent, {accepted} accepted, {rejected} rejected")
    out.requests += 1
    out.items += len(items)
    out.accepted += accepted
    out.rejected += rejected


async def _answered(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    """Return the answer 202 or 422 to a body, sent again with the same bytes while the gateway asks for that."""
    why = ""
    for _ in range(TRIES):
        try:
            answer = await client.post("/v1/feedback", content=body)
        except httpx.TransportError as error:
            why = f"{type(error).__name__}: {error}"
            await asyncio.sleep(RETRY_S)
            continue
        if answer.status_code in {202, 422}:
            return answer
        why = f"{answer.status_code}: {answer.text[:200]}"
        if answer.status_code not in {429, 503}:
            raise BarometerError("refused", f"the gateway answered {why}", "see the gateway's log")
        await asyncio.sleep(float(answer.headers.get("Retry-After", RETRY_S)))
    raise UnavailableError("gateway_unavailable", f"no answer after {TRIES} tries: {why}", "see the gateway's log")
