"""Why an HTTP request is refused: one type, so that every answer names its reason and says what to do."""

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

RETRY_AFTER_S = 2


class Refusal(Exception):
    """A whole request is refused; `raw` holds the body as far as it was read, for the rejected topic."""

    def __init__(
        self, status: int, reason: str, detail: str, remedy: str, *, retry_after_s: int | None = None,
        raw: bytes = b"", raw_bytes: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(f"{status} {reason}: {detail}")
        self.status = status
        self.reason = reason
        self.detail = detail
        self.remedy = remedy
        self.raw = raw
        self.raw_bytes = raw_bytes
        self.headers: dict[str, str] = {}
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        if status == 401:
            self.headers["WWW-Authenticate"] = 'Bearer realm="barometer"'

    def answer(self) -> Response:
        """Return the JSON answer."""
        body = {"error": self.reason, "detail": self.detail, "remedy": self.remedy}
        return json_answer(self.status, body, self.headers)


def json_answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer that no cache keeps."""
    return Response(
        msgspec.json.encode(body),
        status,
        {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
        media_type="application/json",
    )


def unavailable(detail: str) -> Refusal:
    """Return the refusal of what cannot be made durable now."""
    return Refusal(
        503, "unavailable", detail, "send the same events with the same ids again", retry_after_s=RETRY_AFTER_S
    )
