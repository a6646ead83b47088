"""Commands about data: import, migrate, replay, simulate, bench."""

import json
import os
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from rich.console import Console

from deploy import wiring
from deploy.cli_options import DataDir, Json, located
from deploy.progress import Told
from schemas.settings import load


def import_(
    file: Path,
    /,
    *,
    mapping: Annotated[
        Path | None,
        Parameter(help="TOML file that says what the columns of a CSV mean"),
    ] = None,
    source: Annotated[
        str,
        Parameter(help="name of the source; part of the ids (default: the file's name)"),
    ] = "",
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Import past feedback: CSV with a mapping, JSON lines, mbox, .eml or a folder of them.

    Every row becomes an event or a rejected record. An import that was interrupted goes on where it stopped; repeating
    one is harmless, since ids come from the source.

    Example: `barometer import reviews.csv --mapping reviews.toml`
    """
    told = Told(Console(stderr=True))
    size = wiring.import_size(file)
    with told.step(f"{file.name}, bytes", size) as step:
        result = wiring.import_file(
            located(data_dir), file, mapping=mapping, source=source, progress=lambda so_far: step(so_far.read_bytes)
        )
    if json_:
        print(json.dumps(msgspec.to_builtins(result)))
    else:
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(result.reasons.items()))
        print(
            f"{file.name}: {result.rows} rows: {result.published} published, {result.rejected} rejected,"
            f" {result.skipped} done before{reasons}"
        )
    return 0 if result.published or result.skipped or not result.rows else 1


def migrate(*, data_dir: DataDir = None) -> int:
    """Bring the ClickHouse database up to date. Safe to repeat. Example: `barometer migrate`"""
    wiring.migrate(located(data_dir), tell=print)
    return 0


def replay(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Count everything again from the topics, with the stored times of arrival, and compare with what is stored.

    Exit code 0 only if every block, final reading and alarm transition is the same.

    Example: `barometer replay`
    """
    from deploy import replay as replaying

    return replaying.run(located(data_dir), json_=json_)


def simulate(
    *,
    seeds: int = 100,
    first: int = 1,
    report: Annotated[
        Path | None,
        Parameter(help="write the simulation report to this file instead: false alarms, delays, coverage"),
    ] = None,
    seed: Annotated[int, Parameter(help="seed of the report")] = 1,
    quick: Annotated[bool, Parameter(negative="", help="a small slice of the report")] = False,
    json_: Json = False,
) -> int:
    """Simulate months of a shop chain: how many drops are found, and how many false alarms the budget really costs.

    With --report, try the promises of all detectors on worlds whose truth is known, and write what came out as Markdown.

    Example: `barometer simulate --seeds 100`, `barometer simulate --report deploy/docs/alarms.md --seed 1`
    """
    if report is not None:
        from deploy.simulation import report as reporting

        with Told(Console(stderr=True)).step("worlds", reporting.count(quick=quick)) as step:
            reporting.write(report, seed, quick=quick, step=step)
        return 0
    from deploy.demo import simulate as simulating

    return simulating.run(seeds=seeds, first_seed=first, json_=json_)


def bench(*, quick: Annotated[bool, Parameter(negative="")] = False, json_: Json = False) -> int:
    """Measure each stage on local engines of its own: events per CPU-second, and ratios to the bare libraries.

    Example: `barometer bench --quick`
    """
    from deploy import bench as benching

    return benching.run(load(os.environ), quick=quick, json_=json_)
