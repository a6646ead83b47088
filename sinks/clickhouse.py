"""ClickHouse by its native protocol: one connection, made from the settings, and which of its errors pass."""

from urllib.parse import urlsplit

from clickhouse_driver import Client
from clickhouse_driver.errors import Error as DriverError
from clickhouse_driver.errors import NetworkError, PartiallyConsumedQueryError, ServerException, SocketTimeoutError

from schemas.errors import SettingsError, UnavailableError
from schemas.settings import Settings

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60
PASSING = (NetworkError, SocketTimeoutError, PartiallyConsumedQueryError, ServerException, EOFError, OSError)
"""Errors behind which a server may stand that is down, full, read-only, misconfigured or new: wait, alarm, try again."""


def database_of(settings: Settings) -> str:
    """Return the database: the one in the URL, else `clickhouse_database`."""
    return urlsplit(settings.clickhouse_url).path.strip("/") or settings.clickhouse_database


def connect(settings: Settings, *, database: str | None = None) -> Client:
    """Return a client that connects at its first query. Raises SettingsError."""
    url = urlsplit(settings.clickhouse_url)
    if url.scheme not in {"clickhouse", "clickhouses"} or not url.hostname:
        raise SettingsError("bad_setting", "clickhouse_url wants clickhouse://user:password@host:port/database")
    return Client(
        url.hostname,
        port=url.port or (9440 if url.scheme == "clickhouses" else 9000),
        user=url.username or "default",
        password=url.password or "",
        secure=url.scheme == "clickhouses",
        database=database_of(settings) if database is None else database,
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
        compression=False,
    )


def unavailable(error: BaseException) -> UnavailableError:
    """Return what an error of PASSING means to the caller."""
    text = str(error).partition("Stack trace:")[0].strip() if isinstance(error, DriverError) else repr(error)
    return UnavailableError(
        "clickhouse_unavailable", text, "start, mend or enlarge ClickHouse; nothing is skipped meanwhile"
    )
