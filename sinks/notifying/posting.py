"""One HTTP request to a receiver, and what its answer means."""

import httpx

from schemas.clock import Clock
from sinks.notifying.outcomes import ACCEPTED, Failed, Outcome, Refused, retry_after_s

TIMEOUT_S = 15.0
SHOWN_CHARACTERS = 200
NOT_TAKEN = frozenset({429, 503})
"""Answers by which a receiver says that it has not taken the request."""


def client() -> httpx.AsyncClient:
    """Return a client that follows no redirects: alarms go where the settings say."""
    return httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False)


async def post(
    http: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str], *, clock: Clock, remedy: str
) -> Outcome:
    """Send and return the outcome. 408, 429 and 5xx may go better later; any other answer but 2xx is a refusal."""
    try:
        answer = await http.post(url, content=body, headers={"content-type": "application/json", **headers})
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return Failed(detail=_named(error), doubt=False)
    except httpx.TransportError as error:
        return Failed(detail=_named(error), doubt=True)
    if answer.is_success:
        return ACCEPTED
    said = " ".join(answer.text[:SHOWN_CHARACTERS].split())
    detail = f"HTTP {answer.status_code}" + (f": {said}" if said else "")
    if answer.status_code in {408, 429} or answer.is_server_error:
        after_s = retry_after_s(answer.headers.get("retry-after"), clock())
        return Failed(detail=detail, doubt=answer.status_code not in NOT_TAKEN, after_s=after_s)
    return Refused(detail=detail, remedy=remedy)


def _named(error: httpx.TransportError) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
