"""Shadow tables: what a clean pass says, stored beside the live tables and held against them by SQL.

They stand in a database of their own, made anew for each pass: nobody who asks the live tables ever sees them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from clickhouse_driver import Client

from schemas.errors import ContractError
from schemas.outputs import AlarmTransition, Output
from schemas.settings import Settings
from sinks.clickhouse import connect, database_of
from sinks.rows import PLACE_COLUMNS, Place, Record, Rows, reading_rows, tally_rows, transition_rows
from sinks.storing import SETTINGS, columns_statement

INSERT_ROWS = 20_000
SHOWN = 10
NOWHERE = Place("", "", 0, 0, 0)
_BIG = {"max_bytes_before_external_group_by": 1 << 30, "max_bytes_before_external_sort": 1 << 30}


class Compared(NamedTuple):
    """A table of a range, live and shadow: rows and the sum of their hashes; `differing` shows the first rows that differ."""

    table: str
    topic_id: str
    live_rows: int
    live_hash: str
    shadow_rows: int
    shadow_hash: str
    differing: list[str]

    @property
    def equal(self) -> bool:
        """Return whether both hold the same rows, each as often."""
        return (self.live_rows, self.live_hash) == (self.shadow_rows, self.shadow_hash)


class Part(NamedTuple):
    """How a table is made anew and compared."""

    table: str
    make: Any
    time: str
    """Column of arrived time that the range is about."""
    only: str
    """Which live rows a pass of the judge can give."""
    placed: bool
    """Whether the place in the log belongs to what must be equal."""


TALLY_ROWS, READING_ROWS, TRANSITION_ROWS = (
    Part("tallies", tally_rows, "to_pane", "1", placed=True),
    Part("readings", reading_rows, "as_of", "seq > 0", placed=False),
    Part("alarm_transitions", transition_rows, "pane", "seq > 0", placed=False),
)
PARTS = (TALLY_ROWS, READING_ROWS, TRANSITION_ROWS)


def rows_of(output: Output) -> Part:
    """Return the table that an output of the judge belongs to."""
    return TRANSITION_ROWS if isinstance(output, AlarmTransition) else READING_ROWS


class Shadow:
    """The shadow tables of one pass over arrived times in (from_ms, to_ms]."""

    def __init__(self, settings: Settings, from_ms: int, to_ms: int) -> None:
        """Make the tables, empty. Raises what the driver raises."""
        self.live = database_of(settings)
        self.database = f"{self.live}_shadow"
        self._range = {"from": from_ms, "to": to_ms}
        self._client: Client = connect(settings)
        self._held: dict[str, list[tuple[Record, Place]]] = {part.table: [] for part in PARTS}
        self._client.execute(f"DROP DATABASE IF EXISTS `{self.database}` SYNC")
        self._client.execute(f"CREATE DATABASE `{self.database}`")
        for part in PARTS:
            self._client.execute(f"CREATE TABLE `{self.database}`.{part.table} AS `{self.live}`.{part.table}")
            self._client.execute(
                f"ALTER TABLE `{self.database}`.{part.table} REMOVE TTL"
            )  # rows without a place look old

    def add(self, part: Part, record: Record, place: Place = NOWHERE) -> None:
        """Take one record as the sink would."""
        held = self._held[part.table]
        held.append((record, place))
        if len(held) >= INSERT_ROWS:
            self._store(part)

    def _store(self, part: Part) -> None:
        held = self._held[part.table]
        if not held:
            return
        rows: Rows = part.make([one for one, _ in held], [place for _, place in held])
        held.clear()
        if len(rows):
            statement, columns = columns_statement(f"`{self.database}`.{part.table}", rows)
            # two batches may well be equal row by row, places left out: they are two all the same
            self._client.execute(statement, columns, columnar=True, settings={**SETTINGS, "insert_deduplicate": 0})

    def compared(self, live_topic_ids: Mapping[str, str]) -> list[Compared]:
        """Return how the live tables compare; `live_topic_ids`: table -> id of the topic that fills it."""
        for part in PARTS:
            self._store(part)
        return [self._compare(part, live_topic_ids[part.table]) for part in PARTS]

    def _compare(self, part: Part, topic_id: str) -> Compared:
        one = _row(self._client, self.live, part)
        given = {**self._range, "topic_id": topic_id}
        sides = _live(self.live, part), f"FROM `{self.database}`.{part.table} WHERE {_within(part)}"
        live, shadow = (_counted(self._client, one, side, given) for side in sides)
        differing = []
        if live != shadow:
            rows = self._client.execute(
                f"SELECT row, sum(side) AS more FROM (SELECT {one} AS row, 1 AS side {sides[0]}"
                f" UNION ALL SELECT {one} AS row, -1 AS side {sides[1]}) GROUP BY row HAVING more != 0"
                f" ORDER BY row LIMIT {SHOWN}",
                given, settings=_BIG,
            )  # fmt: skip
            differing = [
                f"{abs(more)} x only in {'the store' if more > 0 else 'the clean pass'}: {row}" for row, more in rows
            ]
        return Compared(part.table, topic_id, *live, *shadow, differing)

    def close(self, *, keep: bool) -> None:
        """Drop the shadow tables, unless they are to be looked at."""
        if not keep:
            self._client.execute(f"DROP DATABASE IF EXISTS `{self.database}` SYNC")
        self._client.disconnect()


def live_hashes(
    settings: Settings, from_ms: int, to_ms: int, topic_ids: Mapping[str, str]
) -> dict[str, tuple[int, str]]:
    """Return table -> rows and the sum of their hashes, of the live tables as they stand now."""
    client, live = connect(settings), database_of(settings)
    try:
        return {
            part.table: _counted(
                client, _row(client, live, part), _live(live, part),
                {"from": from_ms, "to": to_ms, "topic_id": topic_ids[part.table]},
            )
            for part in PARTS
        }  # fmt: skip
    finally:
        client.disconnect()


def _within(part: Part) -> str:
    time = f"toUnixTimestamp64Milli({part.time})"
    return f"{time} > %(from)s AND {time} <= %(to)s"


def _live(database: str, part: Part) -> str:
    return f"FROM `{database}`.{part.table} WHERE {_within(part)} AND {part.only} AND topic_id = %(topic_id)s"


def _counted(client: Client, row: str, side: str, given: Mapping[str, Any]) -> tuple[int, str]:
    rows, total = client.execute(f"SELECT count(), lower(hex(sum(sipHash64({row})))) {side}", given, settings=_BIG)[0]
    return rows, total


def _row(client: Client, database: str, part: Part) -> str:
    """Return the expression for all that a row says, as one text."""
    found = client.execute(
        "SELECT name FROM system.columns WHERE database = %(database)s AND table = %(table)s ORDER BY position",
        {"database": database, "table": part.table},
    )
    if not found:
        raise ContractError("no_table", f"no table {part.table}", "run `barometer migrate`")
    # when the sink saw a record is no part of what it says; where it stands is, where the pass read it there
    left_out = {"arrived_at"} if part.placed else set(PLACE_COLUMNS)
    return f"toString(({', '.join(f'`{name}`' for (name,) in found if name not in left_out)}))"
