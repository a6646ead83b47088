"""Commands that run everything on this machine: up and demo."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from deploy.cli_options import DataDir, Json, settings_of
from deploy.demo import generate
from deploy.demo.run import run_demo
from deploy.demo.shops import shops_of
from deploy.engines.signals import StopSignals
from deploy.stack import Stack
from deploy.wiring import catalogue_file
from schemas.settings import check, load

DEMO_FOLDER = "demo"
DEMO_PANE_MS = 1_000
DEMO_PROVISIONAL_STEP_MS = 10_000
DEMO_SEED = 1


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def up(*, data_dir: DataDir = None) -> int:
    """Start everything here and stay up until Ctrl-C; the data is kept.

    Example: `barometer up --data-dir .barometer`
    """
    with StopSignals() as signals:
        stack = Stack(settings_of(data_dir), environ=os.environ, tell=_say)
        try:
            stack.start()
            _say(_where(stack))
            signals.wait()
        finally:
            with signals.ignored():
                stack.stop()
    return 0


def demo(
    *,
    once: Annotated[bool, Parameter(negative="", help="end with exit code 0 after the checks")] = False,
    seed: int = DEMO_SEED,
    json_: Json = False,
    generate_: Annotated[
        Path | None,
        Parameter(name="--generate", help="only write 28 days of events to this file"),
    ] = None,
    null: Annotated[
        bool,
        Parameter(negative="", help="with --generate: nothing goes wrong at any shop"),
    ] = False,
    data_dir: DataDir = None,
) -> int:
    """Run a month of a shop chain through everything, show readings and alarms, stay up.

    Examples: `barometer demo`, `barometer demo --once --json`, `barometer demo --generate events.jsonl --seed 7`
    """
    settings = load(os.environ)
    if generate_ is not None:
        month = generate.real_time(shops_of(catalogue_file(settings)), seed, inject=not null)
        generate.write(month, generate_)
        _say(
            f"{generate_}: {len(month.events)} events; try: barometer backtest {generate_} --commands {generate_}.commands.jsonl --alarms-only"
        )
        return 0
    settings = check(
        msgspec.structs.replace(
            settings,
            data_dir=str(data_dir or Path(settings.data_dir) / DEMO_FOLDER),
            pane_ms=DEMO_PANE_MS,
            provisional_step_ms=DEMO_PROVISIONAL_STEP_MS,
        )
    )
    code = 1
    with StopSignals() as signals:
        stack = Stack(settings, environ=os.environ, clear=True, tell=_say)
        try:
            stack.start()
            code = run_demo(stack.endpoints, stack.settings, seed=seed, json_=json_)
            if not once:
                _say(_where(stack))
                signals.wait()
        finally:
            with signals.ignored():
                stack.stop()
    return code


def _where(stack: Stack) -> str:
    found = stack.endpoints
    return (
        f"\nup: gateway {found['gateway']}  card page {found['gateway']}/c/lyon  alarms {found['console']}  ClickHouse {found['clickhouse_http']}"
        f"\n    keys, passwords and pids: {stack.settings.data_dir}/endpoints.json   logs: {found['logs']}"
        "\n    Ctrl-C ends everything"
    )
