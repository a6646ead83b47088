"""Commands about data: import, migrate, replay, simulate, bench."""

import json
import os
from datetime import UTC, datetime
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
    one is harmless, since ids come from the source. While Kafka is away it waits and says so.

    Example: `barometer import reviews.csv --mapping reviews.toml`
    """
    told = Told(Console(stderr=True))
    size = wiring.import_size(file)
    with told.step(f"{file.name}, bytes", size) as step:
        result = wiring.import_file(
            located(data_dir), file, mapping=mapping, source=source, progress=lambda so_far: step(so_far.read_bytes),
            tell=told.say,
        )  # fmt: skip
    if json_:
        print(json.dumps(msgspec.to_builtins(result)))
    else:
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(result.reasons.items()))
        print(
            f"{file.name}: {result.rows} rows: {result.published} published, {result.rejected} rejected,"
            f" {result.skipped} done before{reasons}"
        )
    return 0 if result.published or result.skipped or not result.rows else 1


def migrate(
    *,
    show: Annotated[bool, Parameter(negative="", help="print the statements and run none")] = False,
    data_dir: DataDir = None,
) -> int:
    """Bring the ClickHouse database up to date. Safe to repeat.

    With BAROMETER_CLICKHOUSE_TABLES=replicated the tables are Replicated ones: run it at each replica.

    Example: `barometer migrate`, `BAROMETER_CLICKHOUSE_TABLES=replicated barometer migrate --show`
    """
    if show:
        from sinks.migrate import shown

        print(shown(load(os.environ)))
        return 0
    wiring.migrate(located(data_dir), tell=print)
    return 0


def replay(
    *,
    from_: Annotated[
        datetime | None, Parameter(name="--from", help="compare what arrived after this (UTC unless it says otherwise)")
    ] = None,
    to: Annotated[
        datetime | None, Parameter(help="compare what arrived up to this (default: all that is judged)")
    ] = None,
    certificate: Annotated[Path | None, Parameter(help="write what was found to this file, as JSON")] = None,
    check: Annotated[
        Path | None, Parameter(help="only hash the stored rows again and hold them against this certificate")
    ] = None,
    keep: Annotated[
        bool, Parameter(negative="", help="leave the shadow tables in DATABASE_shadow, to look at")
    ] = False,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Count everything again from the topics, with the stored times of arrival, and compare with what is stored.

    The clean pass goes into shadow tables; exit code 0 only if every block, tally, reading and alarm transition of the range
    stands in the live tables exactly as often, and nothing else does.

    Example: `barometer replay`, `barometer replay --from 2026-11-01 --to 2026-11-08 --certificate week.json`,
    `barometer replay --check week.json`
    """
    from deploy import certificate as certificates
    from deploy import certifying
    from deploy.replay import Range

    settings = located(data_dir)
    if check is not None:
        made = certificates.read(check)
        changed = certifying.check(settings, made)
        print(
            json.dumps({"unchanged": not changed, "differences": changed})
            if json_
            else "\n".join(changed) or "unchanged"
        )
        return 1 if changed else 0
    within = Range(0 if from_ is None else _ms(from_), None if to is None else _ms(to))
    return certifying.run(settings, within=within, certified=certificate, keep=keep, json_=json_)


def _ms(at: datetime) -> int:
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


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
