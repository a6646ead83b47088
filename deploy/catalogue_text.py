"""A catalogue as the text of a file: to look at one that was declared, or to go back to it."""

from typing import Any

import msgspec

from schemas.catalogue import Catalogue


def as_toml(catalogue: Catalogue) -> str:
    """Return a catalogue as a file that reads as the same one."""
    plain = msgspec.to_builtins(catalogue)
    return "\n".join(_table(name, row) for name, rows in plain.items() for row in rows)


def _table(name: str, row: dict[str, Any]) -> str:
    lines = [f"{key} = {_toml(value)}\n" for key, value in row.items() if value is not None]
    return f"[[{name}]]\n{''.join(lines)}"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {_toml(one)}" for key, one in value.items() if one is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _text(value: str) -> str:
    # a JSON string is a TOML one, but for the character that JSON leaves as it is
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
