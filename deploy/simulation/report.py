"""The simulation report: what runs, on how many processes, and in which order it is written."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from deploy.progress import Step
from deploy.simulation import (
    days,
    delays,
    delays_counts,
    found,
    knowledge,
    null_answers,
    null_counts,
    null_hours,
    null_strained,
    through_engine,
)
from deploy.simulation.coverage import FULL, SMALL, coverage
from deploy.simulation.covered import Row
from deploy.simulation.written import Results, written

PROCESSES = 2
Task = Callable[[int, float], list[Any]]
QUICK: Mapping[str, float] = {
    "independent, 100 a day": 0.4, "independent, 100 a minute": 0.1, "20 keys": 0.42, "mix": 0.4, "campaign": 0.7,
    "learned from 1000": 0.2, "returning": 0.3, "day effects 0.02, 100 a day": 0.28, "dispersion 2": 0.2, "counts by hour": 0.2,
    "hours evenings four times as bad as days, 1000 a day, 29 days": 1.0,
    "delay 0.1 0.3": 0.05, "delay counts 0.4 10 events a pane": 0.05, "engine null": 0.25, "engine days": 0.4, "engine delay grouped": 0.2,
    "found": 1.0, "coverage": 0.0,
}  # fmt: skip
"""The slice that runs in seconds: task -> size."""


def tasks() -> dict[str, Task]:
    """Return everything that the report computes: name -> (seed, size) -> rows. What takes longest comes first."""
    out: dict[str, Task] = {"coverage": _coverage}
    out |= delays.work()
    out |= {f"knowledge {p0} {p1}": partial(knowledge.of_knowledge, p0, p1) for p0, p1 in delays.CHANGES}
    out |= delays_counts.work()
    out |= null_answers.work()
    out |= null_strained.work()
    out |= null_hours.work()
    out |= days.work()
    out |= null_counts.work()
    out["engine null"] = through_engine.null_world
    out["engine days"] = through_engine.day_world
    for grouping in ("grouped", "averaged"):
        out[f"engine delay {grouping}"] = partial(through_engine.delay_world, grouping)
    out["found"] = found.reach
    return out


def _coverage(seed: int, size: float) -> list[Row]:
    return coverage(FULL if size >= 1 else SMALL, seed)


def run(seed: int, *, quick: bool = False, processes: int = PROCESSES, step: Step | None = None) -> Results:
    """Compute everything; the same rows for the same seed, whatever the number of processes."""
    chosen = [(name, task, QUICK.get(name, 1.0) if quick else 1.0) for name, task in tasks().items()
              if not quick or name in QUICK]  # fmt: skip
    out: Results = {}
    if processes == 1:
        for done, (name, task, size) in enumerate(chosen, 1):
            out[name] = task(seed, size)
            if step is not None:
                step(done)
        return out
    # started anew, since a fork of a process with threads can hang
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as workers:
        waiting = [(name, workers.submit(task, seed, size)) for name, task, size in chosen]
        for done, (name, one) in enumerate(waiting, 1):
            out[name] = one.result()
            if step is not None:
                step(done)
    return out


def write(path: Path, seed: int, *, quick: bool = False, step: Step | None = None) -> Results:
    """Compute everything and write the report."""
    results = run(seed, quick=quick, step=step)
    path.write_text(written(results, seed, quick=quick), encoding="utf-8")
    return results


def count(*, quick: bool = False) -> int:
    """Return how many tasks a report has."""
    return len(QUICK) if quick else len(tasks())
