"""Tell a person at a terminal, or a log, how far long work has come."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINES = 5
"""Plain lines for one long step where no terminal is."""


class Step(Protocol):
    """Hear how much of a step is done."""

    def __call__(self, done: int) -> None:
        """Take the units done so far."""


class Told:
    """Progress on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        """Print one line."""
        self._console.print(line, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str, total: int) -> Iterator[Step]:
        """Show a step of `total` units; the yielded function takes the units done so far."""
        if not self._console.is_terminal:
            yield _lines(self._console, what, total)
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as shown:
            task = shown.add_task(what, total=total)

            def step(done: int) -> None:
                shown.update(task, completed=done)

            yield step


def _lines(console: Console, what: str, total: int) -> Step:
    told = 0

    def step(done: int) -> None:
        nonlocal told
        part = done * LINES // max(total, 1)
        if part > told:
            told = part
            console.print(f"  {what}: {done} of {total}", highlight=False, soft_wrap=True)

    return step
