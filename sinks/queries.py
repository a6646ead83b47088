"""Questions that commands ask of the tables; each answer is plain: column -> value, newest first."""

from typing import Any

from clickhouse_driver import Client

from sinks.clickhouse import PASSING, unavailable
from sinks.tables import TABLES

Row = dict[str, Any]


def _ask(client: Client, query: str, parameters: dict[str, Any] | None = None) -> list[Row]:
    try:
        rows, columns = client.execute(query, parameters or {}, with_column_types=True)
    except PASSING as error:
        raise unavailable(error) from error
    finally:
        client.disconnect()
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


def state(client: Client) -> str:
    """Return version and row counts in one line. Raises UnavailableError."""
    names = ", ".join(f"(SELECT count() FROM {name}) AS {name}" for name in TABLES)
    row = _ask(client, f"SELECT version() AS version, {names}")[0]
    version = row.pop("version")
    return f"ClickHouse {version}; " + ", ".join(f"{name} {count}" for name, count in row.items())


_ALARM = (
    "alarm_id, sequence, rule, metric, dimension, key, direction, severity, state, pane AS at, first_pane AS first_at,"
    " statistic, p0, p1, n, bad, change_pane AS changed_at, occurred_first, occurred_last, event_id, actor, note, evidence"
)
_ANY = "startsWith(alarm_id, %(prefix)s)"


def open_alarms(client: Client, *, limit: int = 1_000) -> list[Row]:
    """Return the alarms that are not resolved, with the evidence of their newest judgement."""
    return _ask(
        client,
        f"SELECT {_ALARM}, opened_at, acknowledged_at, acknowledged_by, last_note FROM v_alarms_open"
        " ORDER BY at DESC, alarm_id LIMIT %(limit)s",
        {"limit": limit},
    )


def alarm_history(client: Client, *, prefix: str = "", limit: int = 1_000) -> list[Row]:
    """Return the transitions of the alarms whose ids begin with `prefix`, the newest first."""
    return _ask(
        client,
        f"SELECT {_ALARM} FROM v_alarm_history WHERE {_ANY} ORDER BY at DESC, alarm_id, sequence DESC LIMIT %(limit)s",
        {"prefix": prefix, "limit": limit},
    )


def alarm_states(client: Client, prefix: str, *, limit: int = 10) -> dict[str, str]:
    """Return alarm id -> state of the alarms whose ids begin with `prefix`; at most `limit`."""
    rows = _ask(
        client,
        f"SELECT alarm_id, argMax(state, sequence) AS last FROM v_alarm_history WHERE {_ANY} GROUP BY alarm_id"
        " ORDER BY alarm_id LIMIT %(limit)s",
        {"prefix": prefix, "limit": limit},
    )
    return {row["alarm_id"]: row["last"] for row in rows}


def known_keys(client: Client, metric: str, dimension: str) -> list[str]:
    """Return the keys of a dimension that a metric has readings for."""
    rows = _ask(
        client,
        "SELECT DISTINCT key FROM readings WHERE metric = %(metric)s AND dimension = %(dimension)s ORDER BY key",
        {"metric": metric, "dimension": dimension},
    )
    return [row["key"] for row in rows]
