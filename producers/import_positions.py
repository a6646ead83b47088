"""Where an import stands: the last row of a file that is durable, so that one that was broken off goes on behind it."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog

from schemas.errors import UsageError

log = structlog.get_logger("producers.importing")


class ImportPosition:
    """The position of one file, read in one way (`how`: format, source and mapping), in the folder of positions.

    It is forgotten when the import is done. A kill leaves the old position or the new one; where a power cut leaves neither, the
    import begins again, which is harmless.
    """

    def __init__(self, folder: Path, path: Path, fingerprint: str, how: str) -> None:
        self._folder = folder
        self._of = str(path.absolute())
        self._fingerprint = fingerprint
        self._unnamed = 0
        self._path = folder / f"{fingerprint[:32]}-{hashlib.sha256(how.encode()).hexdigest()[:16]}.json"

    def check_unchanged(self) -> None:
        """Forget an import of the same path that was broken off before the file changed: it begins anew, under the same ids.

        Raises UsageError if rows of it have no id of their own: those would come again, as other events.
        """
        for path, known in self._others():
            unnamed = known.get("unnamed", 0)
            if unnamed:
                raise UsageError(
                    "file_changed",
                    f"{self._of} has changed since its import was broken off at row {known['row']}, and up to {unnamed}"
                    " imported rows have no id: they would be imported again as other events",
                    f"bring the old file back and finish, or give the rows ids; remove {path} to import it all the same",
                )
            log.warning("the file has changed: its import begins anew, under the same ids", file=self._of)
            path.unlink(missing_ok=True)

    def read(self) -> int:
        """Return the number of the last durable row, 0 if none."""
        known = _content(self._path)
        self._unnamed = int(known.get("unnamed", 0))
        return int(known.get("row", 0))

    def write(self, row: int, unnamed: int) -> None:
        """Remember the last durable row, and how many rows since the start of this process had no id of their own."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        content = {"row": row, "unnamed": self._unnamed + unnamed, "path": self._of, "fingerprint": self._fingerprint}
        fresh.write_text(json.dumps(content))
        fresh.replace(self._path)

    def forget(self) -> None:
        """Remove the position of a finished import."""
        self._path.unlink(missing_ok=True)

    def _others(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in sorted(self._folder.glob("*.json")):
            known = _content(path)
            if known.get("path") == self._of and known.get("fingerprint") != self._fingerprint:
                yield path, known


def _content(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
