"""Plain tables of a catalogue file -> structs, field by field, so that all wrong fields of a file are told at once."""

from collections.abc import Mapping
from difflib import get_close_matches
from enum import EnumType
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Problem(NamedTuple):
    """What is wrong with a catalogue: `path` as in `$.metric[3].box`, the reason, and what to do about it."""

    path: str
    reason: str
    remedy: str


def struct_of(plain: Any, kind: type[T], path: str) -> tuple[T | None, list[Problem]]:
    """Return the struct of one table (None where a known field is wrong or missing), and all that is wrong with its fields."""
    if not isinstance(plain, Mapping):
        return None, [
            Problem(path, f"is a {type(plain).__name__}, not a table", f"write [[{path[2:].partition('[')[0]}]]")
        ]
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    unknown = [_unknown(name, list(fields), path) for name in plain if name not in fields]
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in plain:
            if field.required:
                problems.append(Problem(path, f"{name} is missing", f"add {name} = {_example(field.type)}"))
            continue
        try:
            values[field.name] = msgspec.convert(plain[name], field.type)
        except msgspec.ValidationError as error:
            problems.append(_wrong(error, f"{path}.{name}", name, field.type))
    return (None if problems else kind(**values)), unknown + problems


def structs_of(plain: Any, kind: type[T], path: str) -> tuple[dict[int, T], list[Problem]]:
    """Return index -> struct of the sound tables of an array of tables, and what is wrong with the others."""
    if not isinstance(plain, list):
        return {}, [Problem(path, "is no array of tables", f"write [[{path[2:]}]] above each")]
    found: dict[int, T] = {}
    problems: list[Problem] = []
    for index, table in enumerate(plain):
        one, wrong = struct_of(table, kind, f"{path}[{index}]")
        problems += wrong
        if one is not None:
            found[index] = one
    return found, problems


def _unknown(name: str, known: list[str], path: str) -> Problem:
    near = get_close_matches(name, known, n=1)
    remedy = f"write {near[0]}, or take it out" if near else "take it out; deploy/docs/catalogue.md has every key"
    return Problem(f"{path}.{name}", f"unknown key {name}", remedy)


def _wrong(error: msgspec.ValidationError, path: str, name: str, kind: Any) -> Problem:
    reason, _, inner = str(error).partition(" - at `$")
    choices = _choices(kind)
    remedy = f"write one of {', '.join(choices)}" if choices else f"write {name} = {_example(kind)}"
    return Problem(path + inner.rstrip("`"), f"{name}: {reason[0].lower()}{reason[1:]}".replace("`", "'"), remedy)


def _choices(kind: Any) -> list[str]:
    """Return the words that a field allows, also inside tuples and beside None."""
    if isinstance(kind, EnumType):
        return [str(one) for one in list[Any](kind)]
    if get_origin(kind) is Literal:
        return [str(one) for one in get_args(kind)]
    return [word for part in get_args(kind) for word in _choices(part)]


_EXAMPLES = {str: '"text"', int: "1", float: "0.5", bool: "true"}


def _example(kind: Any) -> str:
    """Return a value of the right shape."""
    choices = _choices(kind)
    if kind in _EXAMPLES:
        return _EXAMPLES[kind]
    if get_origin(kind) is tuple:
        return (
            f'["{choices[0]}"]'
            if choices
            else f"[{', '.join(_example(one) for one in get_args(kind) if one is not ...)}]"
        )
    if get_origin(kind) is dict:
        return f"{{ name = {_example(get_args(kind)[1])} }}"
    if choices:
        return f'"{choices[0]}"'
    inner = [one for one in get_args(kind) if one is not type(None)]
    return _example(inner[0]) if inner else "2026-12-24"
