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


def rejected(client: Client, *, limit: int = 50, reason: str = "") -> list[Row]:
    """Return what was rejected, without the bytes."""
    return _ask(
        client,
        "SELECT rejected_id, received_at, stage, channel, source, reason, field, detail, raw_bytes FROM rejected_events"
        " WHERE %(reason)s = '' OR reason = %(reason)s ORDER BY received_at DESC, rejected_id LIMIT %(limit)s",
        {"limit": limit, "reason": reason},
    )


def one_rejected(client: Client, rejected_id: str) -> Row | None:
    """Return one rejection with its bytes as text (and in hex, where they are no UTF-8), or None."""
    rows = _ask(
        client,
        "SELECT * EXCEPT raw, if(isValidUTF8(raw), raw, '') AS raw, if(isValidUTF8(raw), '', hex(raw)) AS raw_hex"
        " FROM rejected_events WHERE rejected_id = %(id)s LIMIT 1",
        {"id": rejected_id},
    )
    return rows[0] if rows else None


def alarms(client: Client, *, only_open: bool = True, limit: int = 200) -> list[Row]:
    """Return the open alarms, or every transition."""
    view = "v_alarms_open" if only_open else "v_alarm_history"
    return _ask(
        client,
        f"SELECT alarm_id, rule, metric, dimension, key, severity, state, pane AS at, first_pane AS opened_at, statistic,"
        f" p0, p1, n, bad, event_id, actor, note, evidence FROM {view} ORDER BY pane DESC, alarm_id, sequence DESC LIMIT %(limit)s",
        {"limit": limit},
    )
