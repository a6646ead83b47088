"""What cannot be read as a native event, and the words for it: reason code, field at fault and remedy, whatever a library said."""

import json
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from producers.channels.native_shape import NativeEvent
from schemas.errors import InvalidEventError
from schemas.event import Channel

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<path>.*)`$")
_NAMED = re.compile(r"field `(?P<name>.*?)`")
_TIMES = ("occurred_at", "order.promised_at", "order.delivered_at")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from _strings(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _strings(one)


def check_string(value: str, field: str = "") -> None:
    """Refuse what no store keeps: NUL characters and lone surrogates. Raises InvalidEventError."""
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise InvalidEventError(
            "bad_text", field, "holds a NUL character or half a surrogate pair", "send plain UTF-8 text"
        )


def check_text(native: NativeEvent) -> None:
    """Check every string of an event. Raises InvalidEventError that names the field."""
    for name in native.__struct_fields__:
        for text in _strings(msgspec.to_builtins(getattr(native, name))):
            check_string(text, name)


def refuse_type(message: str, cause: Exception) -> NoReturn:
    """Raise the InvalidEventError that a message of msgspec stands for."""
    place = _PLACE.search(message)
    path = place["path"] if place else ""
    what = message[: place.start()] if place else message
    named = _NAMED.search(what)
    if named and what.startswith("Object missing"):
        path = f"{path}.{named['name']}" if path else named["name"]
        raise InvalidEventError("missing_field", path, "is required") from cause
    if named and what.startswith("Object contains unknown"):
        path = f"{path}.{named['name']}" if path else named["name"]
        raise InvalidEventError(
            "unknown_field", path, "is no field of an event", "put free keys into `attributes`"
        ) from cause
    if path == "channel" and what.startswith("Invalid enum"):
        known = ", ".join(Channel)
        raise InvalidEventError("unknown_channel", path, what, f"one of: {known}") from cause
    if "of length <=" in what:
        raise InvalidEventError("too_large", path, what, "shorten it") from cause
    if path in _TIMES:
        raise InvalidEventError(
            "bad_time", path, what, "write RFC 3339 with an offset, or epoch milliseconds"
        ) from cause
    if path == "order.amount":
        raise InvalidEventError("bad_amount", path, what, 'write a decimal string, such as "12.50"') from cause
    raise InvalidEventError("bad_type", path, what) from cause


def refuse_json(raw: object, cause: Exception) -> NoReturn:
    """Raise the InvalidEventError for bytes that are no JSON at all, or not in UTF-8; `cause`: what a decoder said."""
    if isinstance(cause, UnicodeError):
        raise InvalidEventError("bad_text", "", "is not UTF-8 throughout", "send UTF-8") from cause
    if isinstance(cause, RecursionError):
        raise InvalidEventError("bad_json", "", "is nested too deeply") from cause
    if isinstance(raw, (bytes, bytearray, memoryview, msgspec.Raw)) and _SURROGATE.search(bytes(raw)):
        try:
            json.loads(bytes(raw))
        except (ValueError, RecursionError):
            pass
        else:
            raise InvalidEventError("bad_text", "", "holds half a surrogate pair", "send plain UTF-8 text") from cause
    raise InvalidEventError("bad_json", "", f"is no JSON object: {cause}") from cause
