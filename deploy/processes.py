"""The composition root of processes: each with its settings, logs, metrics, health and what ends it.

Each function imports its own part, so that a process starts without the others'.
"""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from deploy import logs
from deploy.ops import OpsServer
from deploy.wiring import catalogue, catalogue_file, in_force, needs, schemas_in_use
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.errors import BarometerError, SettingsError, UnavailableError, UsageError
from schemas.readiness import Readiness
from schemas.settings import Settings, notified
from schemas.telemetry import Telemetry

CATALOGUE_EVERY_S = 10.0
"""How often the console looks whether another catalogue counts."""
log = logging.getLogger(__name__)


def _begun(settings: Settings, name: str) -> Telemetry:
    """Send this process's logs out under its name; return its metrics."""
    logs.configure(name, settings.log_level)
    telemetry = Telemetry()
    telemetry.set("build_info", 1, version=version("barometer"), process=name)
    return telemetry


def _process(
    settings: Settings,
    name: str,
    run: Callable[[Telemetry, Readiness], int],
    *checks: str,
) -> int:
    """Run one process with its logs, metrics and health; return its exit code."""
    telemetry, readiness = _begun(settings, name), Readiness(*checks)
    ops = OpsServer(settings.ops_host, settings.ops_port, telemetry.registry, readiness)
    code = 1
    try:
        schemas_in_use(settings)
        code = run(telemetry, readiness)
    except* BarometerError as group:
        for error in _leaves(group):
            log.critical("%s ends: %s", name, error)
    finally:
        ops.close()
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _until_asked(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> int:
    """Run until SIGTERM or SIGINT; what `run` raises ends the process."""

    async def until_asked() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(stop)

    asyncio.run(until_asked())
    return 0


def gateway(settings: Settings) -> int:
    """Run the gateway; its metrics and health are served by itself."""
    from producers.gateway import run_gateway

    needs(settings, "kafka_bootstrap", "write_keys", "pseudonym_key")
    telemetry = _begun(settings, "gateway")
    schemas_in_use(settings)
    return run_gateway(
        settings,
        catalogue=catalogue_file(settings),
        clock=system_clock,
        telemetry=telemetry,
        readiness=Readiness(),
    )


def tally(settings: Settings) -> int:
    """Run stage 1."""
    # Read by polars when it is imported: its batches are small, and more threads only cost a fifth more CPU.
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
    from streams.tallying import run_tally

    needs(settings, "kafka_bootstrap")
    return _process(
        settings,
        "tally",
        lambda telemetry, readiness: run_tally(settings, telemetry, readiness),
    )


def judge(settings: Settings) -> int:
    """Run stage 2."""
    from streams.judging import run_judge

    needs(settings, "kafka_bootstrap")
    return _process(settings, "judge", lambda telemetry, readiness: run_judge(settings, telemetry, readiness))


def sink(settings: Settings, tables: Sequence[str]) -> int:
    """Run the sinks of these tables; of all if none is named."""
    from sinks.sinking import run_sink
    from sinks.tables import TABLES

    needs(settings, "kafka_bootstrap", "clickhouse_url")
    unknown = sorted(set(tables) - set(TABLES))
    if unknown:
        raise UsageError("unknown_table", f"{', '.join(unknown)} is none of {', '.join(TABLES)}")

    wanted = tuple(tables) or tuple(TABLES)
    return _process(
        settings,
        "sink",
        lambda telemetry, readiness: _until_asked(
            lambda stop: run_sink(settings, telemetry, readiness, wanted, stop=stop)
        ),
    )


def gate(settings: Settings) -> int:
    """Run the gate of the history lane."""
    from sinks.gate import run_gate

    needs(settings, "kafka_bootstrap", "clickhouse_url")

    return _process(
        settings,
        "gate",
        lambda telemetry, readiness: _until_asked(lambda stop: run_gate(settings, telemetry, readiness, stop=stop)),
    )


def recount(settings: Settings, *, once: bool = False) -> int:
    """Run the recount of windows that the judge no longer holds."""
    from sinks.recounting import run_recount
    from streams.core.values import value_of

    needs(settings, "kafka_bootstrap", "clickhouse_url")
    known = catalogue_file(settings)  # it follows the declared ones by itself
    return _process(
        settings,
        "recount",
        lambda telemetry, readiness: _until_asked(
            lambda stop: run_recount(settings, known, value_of, telemetry, readiness, stop=stop, once=once)
        ),
    )


def notify(settings: Settings) -> int:
    """Tell alarms to the receivers that the settings name."""
    from sinks.notifying.notifier import run_notify

    needs(settings, "kafka_bootstrap")
    if not notified(settings):
        raise SettingsError(
            "setting_missing",
            "no receiver of alarms is named",
            "set BAROMETER_ALERTMANAGER_URL, BAROMETER_NOTIFY_WEBHOOK_URL or BAROMETER_NOTIFY_SMTP_URL",
        )
    return _process(
        settings,
        "notify",
        lambda telemetry, readiness: _until_asked(lambda stop: run_notify(settings, telemetry, readiness, stop=stop)),
    )


def console(settings: Settings) -> int:
    """Run the operators' console; its metrics and health are served by itself."""
    from deploy.console import run_console

    needs(settings, "kafka_bootstrap", "clickhouse_url")
    telemetry = _begun(settings, "console")
    known = catalogue(settings)
    changed = _ends_with(settings, known)
    code = run_console(settings, catalogue=known, clock=system_clock, telemetry=telemetry, readiness=Readiness())
    if changed.is_set():
        log.warning("the console ends, to be started again: the catalogue it began with no longer counts")
        return 1
    return code


def _ends_with(settings: Settings, known: Catalogue) -> threading.Event:
    """Ask this process to end as soon as another catalogue counts; the event says that it was so."""
    changed, own = threading.Event(), catalogue_file(settings)

    def watch() -> None:
        while not changed.wait(CATALOGUE_EVERY_S):
            try:
                if in_force(settings, own)[0].hash != known.hash:
                    changed.set()
            except UnavailableError as error:
                log.warning("the catalogue in force is not known: %s", error)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="catalogue", daemon=True).start()
    return changed
