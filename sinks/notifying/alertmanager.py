"""Alertmanager by its v2 API: an alarm is an alert whose labels and startsAt name it, so that telling it twice is telling it once.

An alert that stands open is sent again every minute with an end that lies ahead; without us it ends by itself after a
quarter of an hour. Source: alertmanager api/v2/openapi.yaml (postableAlert: labels required, times RFC 3339).
"""

from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from schemas.clock import Clock
from schemas.settings import Settings
from schemas.windows import MINUTE_MS
from sinks.notifying.deliveries import INFO, LEVELS, Alarm, Notice
from sinks.notifying.messages import LANGUAGES, Words, body, details, headline, link, subject
from sinks.notifying.outcomes import ACCEPTED, Outcome
from sinks.notifying.posting import client, post
from sinks.notifying.transition import Transition, instant

PATH = "/api/v2/alerts"
KEEP_EVERY_S = 60.0
HOLD_MS = 15 * MINUTE_MS
DIGEST = "BarometerDigest"
SOURCE = "barometer"
REMEDY = "check BAROMETER_ALERTMANAGER_URL (its address without /api/v2, with user and password where it wants them)"


def alert(one: Transition, *, called: bool, now_ms: int, words: Words, public_url: str) -> dict[str, Any]:
    """Return one step as a postableAlert; `called`: with the severity of its rule, else as information.

    What changes from step to step stands in the annotations: labels are the identity.
    """
    labels = {
        "alertname": one.rule, "source": SOURCE, "alarm_id": one.alarm_id, "metric": one.metric,
        "dimension": one.dimension, "key": one.key, "direction": one.direction,
        "severity": one.severity if called and one.severity in LEVELS else INFO,
    }  # fmt: skip
    return {
        # an empty label is the same as none to Alertmanager, which refuses it in older versions
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {
            "summary": headline(one, words), "description": "\n".join(details(one, words, public_url)),
            "state": one.state, "transition_id": one.transition_id, "severity_of_rule": one.severity,
        },
        "startsAt": instant(one.first_pane),
        "endsAt": instant(one.pane if one.over else now_ms + HOLD_MS),
        **({"generatorURL": link(one, public_url)} if public_url else {}),
    }  # fmt: skip


def alerts(notice: Notice, *, now_ms: int, words: Words, public_url: str) -> list[dict[str, Any]]:
    """Return what a notice posts: the new state of each alarm that it changes, and for a digest an alert about itself.

    An alarm that came and went unseen stands in the digest only.
    """
    out = [
        alert(
            one, called=not late, now_ms=now_ms, words=words, public_url=public_url
        )
        for one, known, late in notice.changes
        if known or not one.over
    ]  # fmt: skip
    if notice.digest:
        out.append(
            {
                "labels": {"alertname": DIGEST, "source": SOURCE, "digest_id": notice.id, "severity": INFO},
                "annotations": {"summary": subject(notice, words), "description": body(notice, words, public_url)},
                "startsAt": instant(max(one.pane for one in notice.transitions)),
                "endsAt": instant(now_ms + HOLD_MS),
            }
        )
    return out


class Alertmanager:
    """Posts alerts, and keeps those alive that stand open."""

    name = "alertmanager"
    keep_every_s: float | None = KEEP_EVERY_S

    def __init__(self, settings: Settings, clock: Clock, http: httpx.AsyncClient | None = None) -> None:
        self._url = settings.alertmanager_url.rstrip("/") + PATH
        self._public_url = settings.notify_public_url
        self._words = LANGUAGES[settings.notify_lang]
        self._clock = clock
        self._http = http or client()

    async def tell(self, notice: Notice) -> Outcome:
        """Post what a notice changes."""
        return await self._post(alerts(notice, now_ms=self._clock(), words=self._words, public_url=self._public_url))

    async def keep(self, standing: Sequence[Alarm]) -> Outcome:
        """Post the alarms that stand open once more."""
        now_ms, words, url = self._clock(), self._words, self._public_url
        return await self._post(
            [alert(one.last, called=not one.late, now_ms=now_ms, words=words, public_url=url) for one in standing]
        )

    async def _post(self, posted: list[dict[str, Any]]) -> Outcome:
        if not posted:
            return ACCEPTED
        return await post(self._http, self._url, msgspec.json.encode(posted), {}, clock=self._clock, remedy=REMEDY)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
