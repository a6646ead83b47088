"""The console process: alarms over HTTP, read from ClickHouse, decided in the tallies log."""

from collections.abc import Mapping
from typing import Any

import uvicorn

from deploy import alarms as decisions
from deploy.alarm_http import Console, Row, build_app
from deploy.alarms import By
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import SettingsError
from schemas.outputs import DecisionKind
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from sinks import queries
from sinks.clickhouse import connect
from sinks.verbatims import shown

APPLY_TIMEOUT_S = 15.0
"""A browser waits so long for the judge; then the decision stands in the log and is said to be under way."""
GRACE_S = 3


class StoredAlarms:
    """Alarms of a running installation; each call has a connection of its own, since calls run beside each other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def open(self) -> list[Row]:
        """Return the alarms that stand."""
        return queries.open_alarms(connect(self._settings))

    def history(self, prefix: str, limit: int) -> list[Row]:
        """Return the steps of the alarms whose ids begin with `prefix`, newest first; with ids of verbatims unless of all."""
        rows = queries.alarm_history(connect(self._settings), prefix=prefix, limit=limit)
        if not prefix:
            return rows
        with connect(self._settings) as client:
            return shown(client, rows)

    def states(self, prefix: str) -> dict[str, str]:
        """Return alarm id -> state of those whose ids begin with `prefix`."""
        return queries.alarm_states(connect(self._settings), prefix)

    def decide(self, kind: DecisionKind, by: By, body: Mapping[str, Any]) -> int | None:
        """Write a decision and wait until it is applied; return the pane judged with it."""
        return decisions.decide(self._settings, kind, by, body, timeout_s=APPLY_TIMEOUT_S)


def run_console(
    settings: Settings, *, catalogue: Catalogue, clock: Clock, telemetry: Telemetry, readiness: Readiness
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. Raises SettingsError for a port that is taken."""
    console = Console(
        settings, StoredAlarms(settings), catalogue, clock=clock, telemetry=telemetry, readiness=readiness
    )
    config = uvicorn.Config(
        build_app(console), host=settings.console_host, port=settings.console_port, loop="uvloop", http="httptools",
        ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )  # fmt: skip
    server = uvicorn.Server(config)
    try:
        server.run()
    except (SystemExit, OSError) as error:
        raise SettingsError(
            "port_taken", f"the console cannot listen on {settings.console_host}:{settings.console_port}: {error}",
            "set BAROMETER_CONSOLE_PORT to a free port",
        ) from error  # fmt: skip
    return 0
