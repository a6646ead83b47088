"""One insert = the rows of one vector under its token; on any doubt the same again, until they are stored.

Nothing is skipped: while ClickHouse is down, full or read-only the vector waits, and readiness says so. After an insert whose
fate was in doubt the stored offsets are looked up, and rows that miss are inserted under a token of their own.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from clickhouse_driver import Client

from schemas.errors import ContractError
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from sinks.clickhouse import PASSING, unavailable
from sinks.ranges import Range
from sinks.rows import Rows, Values

BLOCK_ROWS = 1_048_449
"""What the server keeps as one block; an insert is atomic only within one."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0
LONGEST_PAUSE_S = 3600.0
"""How long a paused owner may sleep between journal and insert and still be recognised by its token."""
SETTLE_ROUNDS = 3
SETTINGS = {"async_insert": 0, "insert_deduplicate": 1, "max_partitions_per_insert_block": 0}
_WINDOW = re.compile(r"non_replicated_deduplication_window = (\d+)")

Connect = Callable[[], Client]


class Inserter:
    """Inserts into one database, over one connection that is made anew after every error."""

    def __init__(
        self, connect: Connect, telemetry: Telemetry, readiness: Readiness, check_owner: Callable[[], None]
    ) -> None:
        """`check_owner` raises when this process no longer owns the partitions: then nothing more is tried."""
        self._connect = connect
        self._client: Client | None = None
        self._telemetry = telemetry
        self._readiness = readiness
        self._check_owner = check_owner

    async def store(self, table: str, rows: Rows, ranges: Sequence[Range], token: str, *, doubt: bool = False) -> None:
        """Store the rows once, however long it takes.

        `doubt`: an earlier attempt at this vector may have got through, wholly or in part.
        """
        if not rows:
            return
        if len(rows) > BLOCK_ROWS:
            raise ContractError(
                "vector_too_large", f"{len(rows)} rows of {table}, an insert is atomic up to {BLOCK_ROWS}"
            )
        failed = await self._until_done(table, lambda client: _insert(client, table, rows, token))
        if doubt or failed:
            await self._settle(table, rows, ranges)

    async def _settle(self, table: str, rows: Rows, ranges: Sequence[Range]) -> None:
        """Compare what is stored of the vector with what belongs there; insert what misses."""
        for _ in range(SETTLE_ROUNDS):
            stored = await self.ask(lambda client: stored_places(client, table, ranges))
            missing = [i for i, place in enumerate(rows.places()) if place not in stored]
            if not missing:
                return
            await self._add(table, rows.take(missing))
        raise ContractError(
            "rows_vanish",
            f"{len(missing)} rows of {table} were inserted and are not there",
            "compare the TTL of the table with the retention of its topics; look for a second writer",
        )

    async def _add(self, table: str, rows: Rows) -> None:
        own = hashlib.sha256(repr(rows.places()).encode()).hexdigest()
        await self._until_done(table, lambda client: _insert(client, table, rows, f"{table}:missing:{own}"))

    async def ask(self, query: Callable[[Client], Any]) -> Any:
        """Return the answer to a query, however long it takes."""
        answer: list[Any] = []
        await self._until_done("", lambda client: answer.append(query(client)))
        return answer[-1]

    async def _until_done(self, table: str, act: Callable[[Client], object]) -> bool:
        """Do `act` until it succeeds, and return whether it failed before."""
        wait_s, failed = FIRST_WAIT_S, False
        while True:
            self._check_owner()
            started = time.monotonic()
            try:
                await asyncio.to_thread(self._act, act)
            except PASSING as error:
                failed = True
                self.close()
                self._readiness.fail("clickhouse", str(unavailable(error)))
                if table:
                    self._telemetry.count("inserts_total", table=table, outcome="retried")
            else:
                self._readiness.ok("clickhouse")
                if table:
                    self._telemetry.count("inserts_total", table=table, outcome="stored")
                    self._telemetry.observe("insert_seconds", time.monotonic() - started, table=table)
                return failed
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _act(self, act: Callable[[Client], object]) -> None:
        if self._client is None:
            self._client = self._connect()
        act(self._client)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None


def columns_statement(table: str, rows: Rows) -> tuple[str, list[Values]]:
    """Return the statement and the columns of an insert."""
    names = ", ".join(f"`{name}`" for name in rows.columns)
    return f"INSERT INTO {table} ({names}) VALUES", list(rows.columns.values())


def _insert(client: Client, table: str, rows: Rows, token: str) -> None:
    statement, columns = columns_statement(table, rows)
    client.execute(statement, columns, columnar=True, settings={**SETTINGS, "insert_deduplication_token": token})


def stored_places(client: Client, table: str, ranges: Sequence[Range]) -> set[tuple[str, int, int]]:
    """Return (topic id, partition, offset) of the rows that are stored of a vector."""
    if not ranges:
        return set()
    within = " OR ".join(
        f"(topic_id = '{one.topic_id}' AND `partition` = {one.partition} AND `offset` BETWEEN {one.first} AND {one.last})"
        for one in ranges
    )
    columns = client.execute(
        f"SELECT DISTINCT toString(topic_id), `partition`, `offset` FROM {table} WHERE {within}", columnar=True
    )
    return set(zip(*columns, strict=True)) if columns else set()


def check_token_window(client: Client, table: str, flush_s: float) -> None:
    """Raise ContractError unless ClickHouse remembers the tokens of a table for longer than a paused owner may sleep."""
    found = client.execute(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = %(table)s",
        {"table": table},
    )
    if not found:
        raise ContractError("no_table", f"no table {table}", "run `barometer migrate`")
    window = _WINDOW.search(found[0][0])
    needed = int(LONGEST_PAUSE_S / max(flush_s, 0.001))
    if window is None or int(window.group(1)) < needed:
        raise ContractError(
            "token_window",
            f"{table} remembers {window.group(1) if window else 0} insert tokens, {needed} are needed",
            f"ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = {needed}, or raise sink_flush_s",
        )
