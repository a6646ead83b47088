"""Commands for people who watch: doctor, topics, config, endpoints, query."""

import json
import os
import sys
from typing import Annotated

import cyclopts
import msgspec
from cyclopts import Parameter

from deploy import topics as topic_commands
from deploy import wiring
from deploy.cli_options import DataDir, Json, located, settings_of
from deploy.cli_rows import show_rows
from deploy.doctor import examine
from deploy.located import endpoints as running_endpoints
from deploy.located import ready_urls
from deploy.reading import ask_as_reader
from deploy.settle import settle
from deploy.unsent import unsent
from schemas.errors import UsageError
from schemas.settings import load, shown
from sinks import queries

topics = cyclopts.App(name="topics", help="Create and describe the topics.")
config = cyclopts.App(name="config", help="The settings in force.")


def doctor(
    *,
    settled: Annotated[
        bool,
        Parameter(help="wait until all that was sent is counted, judged and stored"),
    ] = False,
    timeout_s: float = 120.0,
    json_: Json = False,
    data_dir: DataDir = None,
) -> int:
    """Say whether everything is there and moves, and what to do where not.

    Example: `barometer doctor --settled`
    """
    settings = located(data_dir)
    if settled:
        pane = settle(
            settings.kafka_bootstrap,
            settings.topic_prefix,
            timeout_s=timeout_s,
            unsent=lambda: unsent(running_endpoints(settings).get("metrics", {}).get("gateway", "")),
            tell=lambda why: print(f"waiting for {why}", file=sys.stderr),
        )
        print(json.dumps({"pane": pane}) if json_ else f"settled; the last pane judged ended at {pane} ms")
        return 0
    findings = list(
        examine(
            bootstrap=settings.kafka_bootstrap,
            prefix=settings.topic_prefix,
            ask_clickhouse=lambda: queries.state(wiring.clickhouse(settings)),
            ready_urls=ready_urls(running_endpoints(settings)),
        )
    )
    rows = [
        {
            "check": one.name,
            "ok": one.ok,
            "seen": one.seen,
            "remedy": "" if one.ok else one.remedy,
        }
        for one in findings
    ]
    show_rows(rows, "doctor", as_json=json_)
    return 0 if all(one.ok for one in findings) else 1


@topics.command
def apply(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Create the topics that are missing. Safe to repeat. Example: `barometer topics apply`"""
    settings = located(data_dir)
    states = topic_commands.apply(settings.kafka_bootstrap, settings.topic_prefix, replicas=settings.kafka_replication)
    show_rows([msgspec.to_builtins(one) for one in states], "topics", as_json=json_)
    return 0


@topics.command
def describe(*, json_: Json = False, data_dir: DataDir = None) -> int:
    """Show the topics as they stand on the broker. Example: `barometer topics describe`"""
    settings = located(data_dir)
    states = topic_commands.describe(settings.kafka_bootstrap, settings.topic_prefix)
    show_rows([msgspec.to_builtins(one) for one in states], "topics", as_json=json_)
    return 0


@config.command(name="show")
def show_config(*, json_: Json = False) -> int:
    """Show the settings in force, secrets masked. Example: `BAROMETER_PANE_MS=1000 barometer config show`"""
    rows = [{"setting": f"BAROMETER_{name.upper()}", "value": value} for name, value in shown(load(os.environ)).items()]
    show_rows(rows, "settings", as_json=json_)
    return 0


@config.command(name="check")
def check_config() -> int:
    """Check settings and catalogue without starting anything. Example: `barometer config check`"""
    settings = load(os.environ)
    catalogue = wiring.catalogue_file(settings)
    print(f"settings are fine; catalogue {catalogue.hash}: {', '.join(one.name for one in catalogue.metric)}")
    return 0


def endpoints(name: str = "", /, *, data_dir: DataDir = None) -> int:
    """Print where the local stack listens, or one entry of it. Example: `curl $(barometer endpoints gateway)/livez`"""
    found = running_endpoints(settings_of(data_dir))
    if not found:
        raise UsageError(
            "nowhere",
            "no local stack runs here",
            "start `barometer up` or `barometer demo`",
        )
    if name and name not in found:
        raise UsageError("no_such_entry", f"{name!r} is none of {', '.join(sorted(found))}")
    value = found[name] if name else found
    print(value if isinstance(value, str) else json.dumps(value, indent=2))
    return 0


def query(sql: str, /, *, data_dir: DataDir = None, json_: Json = False) -> int:
    """Ask ClickHouse as the read-only user. Example: `barometer query "SELECT * FROM v_channel_volume LIMIT 5"`"""
    show_rows(ask_as_reader(running_endpoints(settings_of(data_dir)), sql), "result", as_json=json_)
    return 0
