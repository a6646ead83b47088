"""Commands that are one process each: gateway, worker, sink, gate. In production a supervisor starts them; locally `up` does."""

import logging
import os
from typing import Annotated, Literal

from cyclopts import Parameter

from deploy import processes
from schemas.settings import load


def gateway() -> int:
    """Take feedback in over HTTP and publish it.

    Example: `BAROMETER_KAFKA_BOOTSTRAP=localhost:9092 BAROMETER_WRITE_KEYS=shop:KEY barometer gateway`
    """
    return processes.gateway(load(os.environ))


def worker(
    *,
    stage: Annotated[Literal["tally", "judge"], Parameter(help="which of the two applications")],
) -> int:
    """Run one of the two stream stages: `tally` counts, `judge` decides.

    Example: `barometer worker --stage tally`
    """
    settings = load(os.environ)
    code = processes.tally(settings) if stage == "tally" else processes.judge(settings)
    logging.shutdown()
    os._exit(code)  # Faust's threads are no daemons: an orderly exit would wait for them


def sink(
    *,
    table: Annotated[
        list[str] | None,
        Parameter(help="only this table; repeat for more (default: all)"),
    ] = None,
) -> int:
    """Write the topics into ClickHouse, each row once.

    Example: `barometer sink --table feedback_events`
    """
    return processes.sink(load(os.environ), tuple(table or ()))


def gate() -> int:
    """Admit old and imported events whose ids ClickHouse does not know yet.

    Example: `barometer gate`
    """
    return processes.gate(load(os.environ))


def recount(
    *, once: Annotated[bool, Parameter(negative="", help="up to where the judge stands now, then end")] = False
) -> int:
    """Revise the readings whose windows answers changed that came too late for the judge, from the stored tallies.

    Example: `barometer recount --once`
    """
    return processes.recount(load(os.environ), once=once)


def notify() -> int:
    """Tell alarms to Alertmanager, a signed webhook and by e-mail, each as far as the settings name it.

    Example: `BAROMETER_ALERTMANAGER_URL=http://localhost:9093 barometer notify`
    """
    return processes.notify(load(os.environ))


def console() -> int:
    """Show alarms to operators and take their decisions: pages in French and English, and JSON under /v1.

    Example: `BAROMETER_CONSOLE_PORT=8090 barometer console`
    """
    return processes.console(load(os.environ))
