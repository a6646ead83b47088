"""What a sink asserts of ClickHouse before it begins, so that nothing is lost or doubled in silence later.

Token windows of the table and of every table that a materialised view fills from it, the settings of an insert, and that
rows are kept for at least as long as the topics that they come from.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from clickhouse_driver import Client

from schemas.errors import ContractError
from schemas.topics import Topic
from schemas.windows import DAY_MS, HOUR_MS

LONGEST_PAUSE_S = 3600.0
"""How long a paused owner may sleep between journal and insert and still be recognised by its token."""
_WINDOW = re.compile(r"\b(?:non_)?replicated_deduplication_window = (\d+)")
_REPLICATED_WINDOW = 100
"""What a Replicated table has by default in the oldest versions; newer ones have more."""
_TTL = re.compile(r"\bTTL\s+(.*?)(?:\s+SETTINGS\b|$)", re.DOTALL)
_INTERVAL = re.compile(r"toInterval(\w+)\((\d+)\)")
_UNIT_MS = {
    "Second": 1000, "Minute": 60_000, "Hour": HOUR_MS, "Day": DAY_MS, "Week": 7 * DAY_MS, "Month": 28 * DAY_MS,
    "Quarter": 89 * DAY_MS, "Year": 365 * DAY_MS,
}  # fmt: skip
"""Each at its shortest."""


class Kept(NamedTuple):
    """A table as the server knows it; `views` are the (database, name) of the materialised views that read it."""

    engine: str
    statement: str
    views: tuple[tuple[str, str], ...]


def check_store(
    client: Client, table: str, topics: Iterable[Topic], flush_s: float, settings: Mapping[str, int]
) -> None:
    """Raise ContractError, with a remedy, unless the table can be filled exactly once from these topics."""
    check_settings(client, settings)
    check_token_window(client, table, flush_s)
    check_views(client, table, flush_s)
    check_ttl(client, table, topics)


def find_table(client: Client, name: str, database: str | None = None) -> Kept:
    """Return a table of the database, None: of the connection's. Raises ContractError."""
    found = client.execute(
        "SELECT engine, create_table_query, dependencies_database, dependencies_table FROM system.tables"
        f" WHERE database = {'currentDatabase()' if database is None else '%(database)s'} AND name = %(name)s",
        {"name": name, "database": database},
    )
    if not found:
        raise ContractError("no_table", f"no table {name}", "run `barometer migrate`")
    engine, statement, databases, names = found[0]
    return Kept(engine, statement, tuple(zip(databases, names, strict=True)))


def check_settings(client: Client, settings: Mapping[str, int]) -> None:
    """Raise ContractError unless the settings of an insert are in force when they are sent with it."""
    rows = client.execute(
        "SELECT name, value FROM system.settings WHERE name IN %(names)s", {"names": tuple(settings)}, settings=settings
    )
    found = dict(rows)
    wrong = [name for name, value in settings.items() if found.get(name, "") != str(value)]
    if wrong:
        raise ContractError(
            "insert_settings",
            f"ClickHouse does not take {', '.join(f'{name} = {settings[name]}' for name in wrong)}",
            "allow these settings in the profile of the sink's user, or use a ClickHouse that knows them",
        )


def window_of(kept: Kept) -> int:
    """Return how many insert tokens a table remembers; 0: none, and a retry would double its rows."""
    window = _WINDOW.search(kept.statement)
    if window is not None:
        return int(window.group(1))
    return _REPLICATED_WINDOW if kept.engine.startswith("Replicated") else 0


def needed_window(flush_s: float) -> int:
    """Return how many tokens must be remembered at one insert every `flush_s`."""
    return int(LONGEST_PAUSE_S / max(flush_s, 0.001))


def check_token_window(client: Client, table: str, flush_s: float) -> None:
    """Raise ContractError unless ClickHouse remembers the tokens of a table for longer than a paused owner may sleep."""
    kept = find_table(client, table)
    window, needed = window_of(kept), needed_window(flush_s)
    if window < needed:
        raise ContractError(
            "token_window",
            f"{table} remembers {window} insert tokens, {needed} are needed",
            f"ALTER TABLE {table} MODIFY SETTING {_setting(kept)} = {needed}, or raise sink_flush_s",
        )


def watching_views(client: Client, table: str) -> bool:
    """Return whether materialised views read what is inserted into a table; a table that is away has none."""
    found = client.execute(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = %(table)s"
        " AND notEmpty(dependencies_table)",
        {"table": table},
    )
    return bool(found[0][0])


def check_views(client: Client, table: str, flush_s: float) -> None:
    """Raise ContractError for a materialised view, at any depth, whose target would count a retried insert twice."""
    left, seen = list(find_table(client, table).views), set()
    while left:
        view = left.pop()
        if view in seen:
            continue
        seen.add(view)
        database, name = target_of(client, *view)
        kept = find_table(client, name, database)
        left.extend(kept.views)
        window, needed = window_of(kept), needed_window(flush_s)
        if kept.engine != "Null" and window < needed:
            target = f"{database}.`{name}`"
            raise ContractError(
                "view_token_window",
                f"the materialised view {view[0]}.{view[1]} of {table} fills {target} ({kept.engine}), which remembers"
                f" {window} insert tokens, {needed} are needed: a retried insert would count twice there",
                f"ALTER TABLE {target} MODIFY SETTING {_setting(kept)} = {needed}, or drop the view",
            )


def target_of(client: Client, database: str, view: str) -> tuple[str, str]:
    """Return (database, name) of the table that a materialised view fills."""
    statement, uuid = client.execute(
        "SELECT create_table_query, toString(uuid) FROM system.tables WHERE database = %(database)s AND name = %(view)s",
        {"database": database, "view": view},
    )[0]
    named = re.search(r"^CREATE MATERIALIZED VIEW \S+ TO (?:`?([^`.\s]+)`?\.)?`?([^`\s(]+)`?", statement)
    return (named.group(1) or database, named.group(2)) if named else (database, f".inner_id.{uuid}")


def ttl_ms(kept: Kept) -> int | None:
    """Return how long rows of a table are kept at least; None: for ever."""
    ttl = _TTL.search(kept.statement)
    found = _INTERVAL.findall(ttl.group(1)) if ttl else []
    return min(_UNIT_MS[unit] * int(count) for unit, count in found) if found else None


def check_ttl(client: Client, table: str, topics: Iterable[Topic]) -> None:
    """Raise ContractError if a table drops rows whose records the log still holds: read again, they would be new."""
    kept_ms = ttl_ms(find_table(client, table))
    longest = max(topics, key=lambda topic: topic.retention_ms, default=None)
    if kept_ms is not None and longest is not None and kept_ms < longest.retention_ms:
        raise ContractError(
            "ttl_below_retention",
            f"{table} keeps rows for {kept_ms / DAY_MS:g} days, {longest.name} keeps records for"
            f" {longest.retention_ms / DAY_MS:g}",
            f"ALTER TABLE {table} MODIFY TTL toDateTime(arrived_at) + INTERVAL {longest.retention_ms // DAY_MS + 1} DAY",
        )


def expired_before_ms(client: Client, table: str) -> int:
    """Return the arrived time before which the TTL of a table may have taken rows away; 0: it has none by arrived time."""
    kept = find_table(client, table)
    kept_ms, ttl = ttl_ms(kept), _TTL.search(kept.statement)
    if kept_ms is None or ttl is None or "arrived_at" not in ttl.group(1):
        return 0
    now_ms: int = client.execute("SELECT toUnixTimestamp64Milli(now64(3))")[0][0]
    return now_ms - kept_ms


def _setting(kept: Kept) -> str:
    return f"{'' if kept.engine.startswith('Replicated') else 'non_'}replicated_deduplication_window"
