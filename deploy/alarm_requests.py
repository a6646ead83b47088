"""What a request to the console may say: bodies and parameters of the console's API, checked, and errors as refusals."""

import re
from typing import TypeVar

import msgspec
from starlette.requests import Request

from deploy.alarm_access import Access
from producers.refusals import Refusal
from schemas.errors import BarometerError, UnavailableError, UsageError

T = TypeVar("T")
MAX_BODY_BYTES = 64 * 1024
_WHOLE = re.compile(r"[0-9]{1,9}")


class Decided(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of ack, resolve and note."""

    note: str = ""
    by: str = ""


class Silenced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a silence; one of `for_s` and `until` (ms)."""

    rule: str
    key: str = ""
    for_s: int | None = None
    until: int | None = None
    note: str = ""
    by: str = ""


async def bytes_of(request: Request) -> bytes:
    """Return the body. Raises Refusal for one that is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(413, "too_large", f"a body has at most {MAX_BODY_BYTES} bytes", "shorten the note")
    return body


async def body_of(request: Request, kind: type[T], access: Access) -> T:
    """Return the JSON body. Raises Refusal; a form of another site cannot send this content type."""
    access.own_page(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "not_json", "the body is not declared as JSON", "send Content-Type: application/json")
    try:
        return msgspec.json.decode(await bytes_of(request) or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        names = ", ".join(getattr(kind, "__struct_fields__", ()))
        raise Refusal(422, "bad_body", str(error), f"send an object with {names}") from error


def whole(given: str, name: str, most: int) -> int:
    """Return the whole number from 1 to `most` that a parameter says. Raises Refusal."""
    if not _WHOLE.fullmatch(given) or not 0 < int(given) <= most:
        raise Refusal(422, "bad_parameter", f"{name}={given}", f"a whole number from 1 to {most}")
    return int(given)


def refusal_of(error: BarometerError) -> Refusal:
    """Return the answer that an error stands for; raises again what is nobody's request's fault."""
    if isinstance(error, UnavailableError):
        return Refusal(503, error.reason, error.detail, error.remedy or "try again soon", retry_after_s=2)
    if not isinstance(error, UsageError):
        raise error
    status = {"no_such_alarm": 404, "ambiguous_id": 409, "alarm_over": 409}.get(error.reason, 422)
    return Refusal(status, error.reason, error.detail, error.remedy)
