"""Inserts that wait: one vector under its token; on any doubt the same again, until it is stored.

Nothing is skipped: while ClickHouse is down, full or read-only the vector waits, and readiness says so. A row that the store
refuses for what it holds is found by cutting the vector in halves; its neighbours are stored.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from clickhouse_driver import Client

from schemas.errors import ContractError
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from sinks.clickhouse import PASSING, unavailable
from sinks.ranges import Range
from sinks.refusals import Refusal, RowsRefusedError, speaks_of_a_row
from sinks.rows import Rows
from sinks.storing import SETTLE_ROUNDS, Doubt, Piece, RowPlace, Storing

BLOCK_ROWS = 1_048_449
"""What the server keeps as one block; an insert is atomic only within one."""
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 10.0

Connect = Callable[[], Client]


class Inserter:
    """Inserts into one database, over one connection that is made anew after every error."""

    def __init__(
        self,
        connect: Connect,
        telemetry: Telemetry,
        readiness: Readiness,
        check_owner: Callable[[], None],
        check: str = "clickhouse",
    ) -> None:
        """`check_owner` raises when this process no longer owns the partitions: then nothing more is tried.

        `check`: the name under which readiness hears of the store; one each where several fill tables in one process.
        """
        self._connect = connect
        self._client: Client | None = None
        self._speaking = threading.Lock()
        self._telemetry = telemetry
        self._readiness = readiness
        self._check_owner = check_owner
        self._check = check

    async def store(
        self,
        table: str,
        rows: Rows,
        ranges: Sequence[Range],
        token: str,
        *,
        doubt: Doubt = Doubt.NONE,
        aside: Collection[RowPlace] = (),
        found: Callable[[Refusal], None] | None = None,
        took: Callable[[], None] = lambda: None,
        cut: Callable[[], None] = lambda: None,
    ) -> list[Refusal]:
        """Store the rows once, however long it takes; return the records that the store refuses for what they hold.

        `found` hears of each of those at once and may raise; without it a refused row makes the vector wait, like everything else.
        `took` hears of each piece that is stored; `aside` and `cut` as Storing says.
        """
        if not rows:
            return []
        if len(rows) > BLOCK_ROWS:
            raise ContractError(
                "vector_too_large", f"{len(rows)} rows of {table}, an insert is atomic up to {BLOCK_ROWS}"
            )
        work = Storing(table, rows, ranges, token, doubt=doubt, aside=aside, found=found, cut=cut)
        await self._piece(work, table, None, took, cutting=found is not None)
        if work.in_doubt:
            await self._settle(work, table)
        return work.refused

    async def _piece(
        self, work: Storing, table: str, piece: Piece | None, took: Callable[[], None], *, cutting: bool
    ) -> None:
        """Store a piece; where the store refuses a row of it, its halves."""
        if not (cutting and work.had_refused(piece or work.whole)):
            try:
                await self._until_done(table, lambda client: work.attempt(client, piece), refusals=cutting)
            except RowsRefusedError as error:
                if (piece or work.whole).records == 1:
                    work.refuse((piece or work.whole).lo, error)
                    return
            else:
                took()
                return
        if (piece or work.whole).records > 1:
            for half in (piece or work.whole).halves():
                await self._piece(work, table, half, took, cutting=cutting)
                work.cut()

    async def _settle(self, work: Storing, table: str) -> None:
        """Compare what is stored of the vector with what belongs there; insert what misses."""
        for _ in range(SETTLE_ROUNDS):
            missing = await self.ask(work.missing)
            if not missing:
                return
            await self._until_done(table, partial(work.add, at=missing))
        raise ContractError(
            "rows_vanish",
            f"{len(missing)} rows of {table} were inserted and are not there",
            "compare the TTL of the table with the retention of its topics; look for a second writer",
        )

    async def ask(self, query: Callable[[Client], Any]) -> Any:
        """Return the answer to a query, however long it takes."""
        answer: list[Any] = []
        await self._until_done("", lambda client: answer.append(query(client)))
        return answer[-1]

    async def _until_done(self, table: str, act: Callable[[Client], object], *, refusals: bool = False) -> None:
        """Do `act` until it succeeds. Raises RowsRefusedError, with `refusals`, if the store refuses a row."""
        wait_s = FIRST_WAIT_S
        while True:
            self._check_owner()
            started = time.monotonic()
            try:
                await asyncio.to_thread(self._act, act)
            except Exception as error:
                self.close()
                if refusals and speaks_of_a_row(error):
                    self._told(table, "refused")
                    raise RowsRefusedError from error
                if not isinstance(error, PASSING):
                    raise
                self._readiness.fail(self._check, str(unavailable(error)))
                self._told(table, "retried")
            else:
                self._readiness.ok(self._check)
                if table:
                    self._told(table, "stored")
                    self._telemetry.observe("insert_seconds", time.monotonic() - started, table=table)
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _told(self, table: str, outcome: str) -> None:
        if table:
            self._telemetry.count("inserts_total", table=table, outcome=outcome)

    def _act(self, act: Callable[[Client], object]) -> None:
        with self._speaking:
            if self._client is None:
                self._client = self._connect()
            act(self._client)

    def close(self) -> None:
        """Close the connection; the next use opens another.

        One whose thread still speaks, as after a cancelled wait, is left to the end of the process.
        """
        if self._speaking.acquire(blocking=False):
            try:
                if self._client is not None:
                    self._client.disconnect()
                    self._client = None
            finally:
                self._speaking.release()
