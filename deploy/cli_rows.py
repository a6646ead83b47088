"""Rows of an answer on a terminal, in a pipe, or as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

WIDE = 240


def show_rows(rows: Sequence[dict[str, Any]], title: str, *, as_json: bool) -> None:
    """Print rows, column -> value, as a table with a title; as one JSON list with `as_json`."""
    if as_json:
        print(json.dumps(rows, default=str, ensure_ascii=False))
        return
    if not rows:
        print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    # a pipe has no width: do not fold what a person will grep
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
