"""A mapping that mends native JSON: fields renamed, dropped and set, by dotted paths. Pure.

    drop = ["internal"]
    [rename]
    score = "answers.0.score"
    [set]
    channel = "card"

Renamed first, then dropped, then set. A number in a path is a place in a list; the place behind its end adds to it.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from schemas.errors import InvalidEventError, UsageError

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_MISSING = object()


class FieldMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a mapping file says: old path -> new path, paths to leave out, path -> value."""

    rename: dict[str, str] = {}
    drop: list[str] = []
    set: dict[str, Any] = {}


def read_map(path: Path) -> FieldMap:
    """Return the mapping of a TOML file. Raises UsageError."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), FieldMap)
    except OSError as error:
        raise UsageError("no_file", f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError("bad_map", f"{path}: {error}", "see `deploy/docs/rejected.md`") from error


def mapped(raw: bytes, by: FieldMap) -> bytes:
    """Return the bytes of a JSON object with the mapping applied. Raises InvalidEventError for what it does not fit."""
    try:
        item = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidEventError("bad_json", "", f"is no JSON object, no mapping mends it: {error}") from error
    if not isinstance(item, dict):
        raise InvalidEventError("bad_json", "", "is no JSON object, no mapping mends it")
    for old, new in by.rename.items():
        value = _taken(item, old)
        if value is _MISSING:
            continue
        if _at(item, new) is not _MISSING:
            raise InvalidEventError("map_conflict", new, f"is there already, {old} cannot become it")
        _put(item, new, value)
    for path in by.drop:
        _taken(item, path)
    for path, value in _leaves(by.set):
        _put(item, path, value)
    return _ENCODER.encode(item)


def _leaves(values: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Return (path, value) of nested tables: TOML reads `order.currency = "EUR"` as one."""
    out = []
    for name, value in values.items():
        path = f"{before}{name}"
        out += _leaves(value, f"{path}.") if isinstance(value, dict) and value else [(path, value)]
    return out


def _at(item: Any, path: str) -> Any:
    for name in path.split("."):
        if isinstance(item, dict) and name in item:
            item = item[name]
        elif isinstance(item, list) and name.isdecimal() and int(name) < len(item):
            item = item[int(name)]
        else:
            return _MISSING
    return item


def _taken(item: Any, path: str) -> Any:
    """Take a value out and return it."""
    before, _, last = path.rpartition(".")
    held, value = _at(item, before) if before else item, _at(item, path)
    if value is not _MISSING:
        del held[int(last) if isinstance(held, list) else last]
    return value


def _put(item: Any, path: str, value: Any) -> None:
    names = path.split(".")
    for i, name in enumerate(names):
        following = value if i == len(names) - 1 else [] if names[i + 1].isdecimal() else {}
        if isinstance(item, dict):
            if i < len(names) - 1:
                following = item.setdefault(name, following)
            else:
                item[name] = following
        elif isinstance(item, list) and name.isdecimal() and int(name) <= len(item):
            at = int(name)
            if at == len(item):
                item.append(following)
            elif i < len(names) - 1:
                following = item[at]
            else:
                item[at] = following
        else:
            raise InvalidEventError("map_conflict", path, f"{name!r} cannot be set in what stands there")
        item = following
