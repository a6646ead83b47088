"""A signed webhook by the Standard Webhooks rules: the id is the transition's, each attempt is signed with its own time.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from schemas.clock import Clock
from schemas.settings import Settings, webhook_keys
from sinks.notifying.deliveries import Alarm, Notice
from sinks.notifying.messages import link
from sinks.notifying.outcomes import ACCEPTED, Outcome
from sinks.notifying.posting import client, post
from sinks.notifying.transition import Transition, instant

REMEDY = "check BAROMETER_NOTIFY_WEBHOOK_URL and the secret at the receiver; this notice is not sent again"
LISTED = 25
"""Transitions that a digest holds one by one: the specification advises bodies below 20 kB."""
TIMES = ("pane", "first_pane", "change_pane", "occurred_first", "occurred_last", "silenced_until")


def signature(keys: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the header webhook-signature: one signature a key, so that a key can be changed without a gap."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)


def payload(notice: Notice, public_url: str) -> bytes:
    """Return the body: {type, timestamp, data}; the same notice, the same bytes."""
    newest = max(one.pane for one in notice.transitions)
    data: dict[str, Any] = (
        {
            "count": len(notice.transitions),
            "transitions": [_fields(one, public_url) for one in notice.transitions[:LISTED]],
        }
        if notice.digest
        else _fields(notice.transitions[0], public_url)
    )
    kind = "alarms.digest" if notice.digest else f"alarm.{notice.transitions[0].state}"
    return msgspec.json.encode(
        {"type": kind, "timestamp": instant(newest), "data": {**data, "level": notice.level}}, order="sorted"
    )


def _fields(one: Transition, public_url: str) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(one)
    fields |= {name: instant(fields[name]) for name in TIMES if fields[name] is not None}
    return fields | ({"link": link(one, public_url)} if public_url else {})


class Webhook:
    """Posts each notice, signed."""

    name = "webhook"
    keep_every_s: float | None = None

    def __init__(self, settings: Settings, clock: Clock, http: httpx.AsyncClient | None = None) -> None:
        self._url, self._public_url = settings.notify_webhook_url, settings.notify_public_url
        self._keys = webhook_keys(settings)
        self._clock = clock
        self._http = http or client()

    async def tell(self, notice: Notice) -> Outcome:
        """Post one notice."""
        body, now_s = payload(notice, self._public_url), self._clock() // 1000
        headers = {
            "webhook-id": notice.id,
            "webhook-timestamp": str(now_s),
            "webhook-signature": signature(self._keys, notice.id, now_s, body),
        }
        return await post(self._http, self._url, body, headers, clock=self._clock, remedy=REMEDY)

    async def keep(self, _standing: Sequence[Alarm]) -> Outcome:
        """Do nothing: what was told stays told."""
        return ACCEPTED

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
