"""A query as the read-only user of a local stack, as a BI tool asks it."""

from collections.abc import Mapping
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError

from schemas.errors import SettingsError, UnavailableError, UsageError


def ask_as_reader(endpoints: Mapping[str, Any], sql: str) -> list[dict[str, Any]]:
    """Return the rows of a query as the read-only user of a local stack. Raises UsageError for what ClickHouse refuses."""
    if not endpoints.get("bi_user"):
        raise SettingsError(
            "nowhere",
            "no local stack with a read-only user runs here",
            "start `barometer up`",
        )
    host, port = endpoints["clickhouse_native"]
    client = Client(
        host,
        port=port,
        user=endpoints["bi_user"],
        password=endpoints["bi_password"],
        database=endpoints["database"],
    )
    try:
        with client:
            rows, columns = client.execute(sql, with_column_types=True)
    except DriverError as error:
        raise UsageError("refused", str(error).partition("Stack trace:")[0].strip()) from error
    except OSError as error:
        raise UnavailableError("clickhouse_unavailable", f"{host}:{port}: {error}") from error
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]
