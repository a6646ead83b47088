"""The certificate of a replay: what was counted again, with which code and catalogues, and that it is what stands in the store.

A JSON file. Whoever holds the store can check it: `barometer replay --check FILE` hashes the live tables of its range anew.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from schemas.clock import Clock
from schemas.declared import Catalogues
from schemas.errors import UsageError

FORM = "barometer.replay.v1"


class Offsets(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of one partition: offsets [first, end)."""

    topic: str
    topic_id: str
    partition: int
    first: int
    end: int


class TableHash(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a table in the range: how many, and the sum of their hashes, in hex."""

    table: str
    topic_id: str
    rows: int
    hash: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found; times in ms, the range is (from_ms, to_ms] of arrived time."""

    form: str = FORM
    made_at_ms: int
    from_ms: int
    to_ms: int
    equal: bool
    barometer: str
    python: str
    source_sha256: str
    catalogues: list[tuple[int, str]]
    """(from pane, hash) of every catalogue that the log was counted with."""
    log: Offsets
    sources: list[Offsets]
    events: int
    blocks: int
    decisions: int
    outputs: int
    tables: list[TableHash]
    differences: list[str]
    content_sha256: str = ""
    """Of all the other fields: finds a slip of the pen, not a forger."""


def certificate(
    *, clock: Clock, from_ms: int, to_ms: int, catalogues: Catalogues, log: Offsets, sources: list[Offsets],
    events: int, blocks: int, decisions: int, outputs: int, tables: list[TableHash], differences: list[str],
) -> Certificate:  # fmt: skip
    """Return the certificate of a pass that ended with these differences (none: the range is certified)."""
    made = Certificate(
        made_at_ms=clock(), from_ms=from_ms, to_ms=to_ms, equal=not differences, barometer=version("barometer"),
        python=platform.python_version(), source_sha256=source_hash(),
        catalogues=[(one.from_pane, one.catalogue.hash) for one in catalogues], log=log, sources=sources, tables=tables,
        differences=differences, events=events, blocks=blocks, decisions=decisions, outputs=outputs,
    )  # fmt: skip
    return msgspec.structs.replace(made, content_sha256=_content(made))


def source_hash() -> str:
    """Return the SHA-256 over all modules that decide what is counted: those of schemas and streams, in order of their paths."""
    root = Path(__file__).parent.parent
    found = hashlib.sha256()
    for folder in ("schemas", "streams"):
        for path in sorted((root / folder).rglob("*.py")):
            found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def write(made: Certificate, path: Path) -> None:
    """Write a certificate as JSON that people can read."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


def read(path: Path) -> Certificate:
    """Return the certificate in a file. Raises UsageError for what is none, or was changed by hand."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Certificate)
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError("no_certificate", f"{path}: {error}", "name a file that `barometer replay` wrote") from error
    if found.form != FORM or found.content_sha256 != _content(found):
        raise UsageError("changed_certificate", f"{path} is not as it was written", "replay anew")
    return found


def _content(made: Certificate) -> str:
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(made, content_sha256=""))
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()
