"""Where the values of a TOML text stand: message path such as `$.metric[3].box` -> line.

The text has been parsed before, so it is valid: only strings, comments, brackets, headers and keys are told apart here.
"""

import re
from collections.abc import Iterator

_SKIP = re.compile(r"[ \t\r\n]+|#[^\n]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_AT = re.compile(r"at line (\d+)")


def lines_of(text: str) -> dict[str, int]:
    """Return path -> line (from 1) of every table and key of a valid TOML text; keys of inline tables included."""
    found: dict[str, int] = {"$": 1}
    tables: dict[str, int] = {}
    prefix, at = "$", 0
    while at < len(text):
        skipped = _SKIP.match(text, at)
        if skipped:
            at = skipped.end()
            continue
        line = text.count("\n", 0, at) + 1
        if text.startswith("[[", at):
            keys, at = _key(text, at + 2)
            parent = _place(tables, keys[:-1])
            array = f"{parent}.{keys[-1]}"
            tables[array] = tables.get(array, -1) + 1
            prefix, at = f"{array}[{tables[array]}]", text.index("]]", at) + 2
            found.setdefault(array, line)
            found[prefix] = line
        elif text[at] == "[":
            keys, at = _key(text, at + 1)
            prefix, at = _place(tables, keys), text.index("]", at) + 1
            found[prefix] = line
        else:
            at = _pair(text, at, prefix, found)
    return found


def line_of(path: str, lines: dict[str, int]) -> int:
    """Return the line of a path, or of the nearest table around it."""
    while path not in lines:
        cut = max(path.rfind("."), path.rfind("["))
        path = path[:cut] if cut > 0 else "$"
    return lines[path]


def line_of_syntax_error(message: str, text: str) -> int:
    """Return the line that a message of the TOML parser names; the last one where it says `end of document`."""
    named = _AT.search(message)
    return int(named[1]) if named else text.rstrip("\n").count("\n") + 1


def _place(tables: dict[str, int], keys: list[str]) -> str:
    """Return the path of a table; a name of an array of tables means its last one."""
    path = "$"
    for key in keys:
        path = f"{path}.{key}"
        if path in tables:
            path = f"{path}[{tables[path]}]"
    return path


def _key(text: str, at: int) -> tuple[list[str], int]:
    """Return the parts of a dotted key and the position after it."""
    parts = []
    while True:
        at = _blank(text, at)
        quoted = _STRING.match(text, at)
        bare = quoted or _BARE.match(text, at)
        assert bare is not None
        parts.append(bare[0][1:-1] if quoted else bare[0])
        at = _blank(text, bare.end())
        if at >= len(text) or text[at] != ".":
            return parts, at
        at += 1


def _blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t":
        at += 1
    return at


def _pair(text: str, at: int, prefix: str, found: dict[str, int]) -> int:
    """Note a key and the keys inside its value; return the position after the value."""
    line = text.count("\n", 0, at) + 1
    keys, at = _key(text, at)
    for i in range(1, len(keys) + 1):
        found.setdefault(".".join([prefix, *keys[:i]]), line)
    return _value(text, text.index("=", at) + 1, ".".join([prefix, *keys]), found)


def _value(text: str, at: int, path: str, found: dict[str, int]) -> int:
    at = _blank(text, at)
    if text[at] == "{":
        at = _blank(text, at + 1)
        while text[at] != "}":
            at = _blank(text, _pair(text, at, path, found))
            at = _blank(text, at + 1) if text[at] == "," else at
        return at + 1
    if text[at] == "[":
        at = _after(text, at + 1)
        index = 0
        while text[at] != "]":
            found[f"{path}[{index}]"] = text.count("\n", 0, at) + 1
            at, index = _after(text, _value(text, at, f"{path}[{index}]", found)), index + 1
            at = _after(text, at + 1) if text[at] == "," else at
        return at + 1
    quoted = _STRING.match(text, at)
    if quoted:
        return quoted.end()
    while at < len(text) and text[at] not in ",]}\n#":
        at += 1
    return at


def _after(text: str, at: int) -> int:
    for skipped in _skips(text, at):
        at = skipped
    return at


def _skips(text: str, at: int) -> Iterator[int]:
    while skipped := _SKIP.match(text, at):
        at = skipped.end()
        yield at
