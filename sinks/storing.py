"""One vector into one table: its rows once, its neighbours too where the store refuses a row for what it holds.

The cut is a function of the vector: records lo..hi of its rows stand for one insert under the vector's token, or, once the
whole was refused, under that token and the two numbers. So who does it again makes the same inserts. After any doubt the
stored offsets decide what is still to insert; the token then only guards against an insert that is still under way.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from enum import Enum, auto
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from clickhouse_driver import Client

from schemas.errors import ContractError
from sinks.ranges import Range
from sinks.refusals import Refusal, RowsRefusedError, words_of
from sinks.rows import Rows, Values
from sinks.store_checks import expired_before_ms, watching_views

SETTLE_ROUNDS = 3
SETTINGS = {
    "async_insert": 0, "insert_deduplicate": 1, "max_partitions_per_insert_block": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
}  # fmt: skip
"""Of each insert; said explicitly, since the defaults differ between versions and profiles."""
RowPlace = tuple[str, int, int]


class Doubt(Enum):
    """What may be stored of a vector before it is inserted."""

    NONE = auto()
    REPLAYED = auto()
    """All or a part, under the tokens of this vector."""
    RECUT = auto()
    """All or a part, under tokens of other vectors: the position was lost, and the log is read again."""


class Piece(NamedTuple):
    """Records lo..hi of the rows of a vector, hi excluded."""

    lo: int
    hi: int

    @property
    def records(self) -> int:
        """Return how many records it holds."""
        return self.hi - self.lo

    def halves(self) -> "tuple[Piece, Piece]":
        """Return the two pieces that a refused one is cut into."""
        middle = (self.lo + self.hi) // 2
        return Piece(self.lo, middle), Piece(middle, self.hi)


class Storing:
    """One vector on its way into one table; `refused` are the records that the store does not take."""

    def __init__(
        self,
        table: str,
        rows: Rows,
        ranges: Sequence[Range],
        token: str,
        *,
        doubt: Doubt,
        aside: Collection[RowPlace] = (),
        found: Callable[[Refusal], None] | None = None,
        cut: Callable[[], None] = lambda: None,
    ) -> None:
        """`aside`: records set aside earlier. `found` hears of each refused record, `cut` of each piece that is done."""
        self.refused: list[Refusal] = []
        self.in_doubt = doubt is not Doubt.NONE
        self._table, self._rows, self._ranges, self._token = table, rows, ranges, token
        self._doubt, self._aside, self._found, self._cut = doubt, frozenset(aside), found, cut
        self._unsure = self.in_doubt
        self._stored: Collection[RowPlace] = ()

    @cached_property
    def _places(self) -> list[RowPlace]:
        return self._rows.places()

    @cached_property
    def _starts(self) -> list[int]:
        """Where each record begins, and the end; a record of several rows is never cut."""
        changes = [i for i, (one, after) in enumerate(pairwise(self._places), 1) if one != after]
        return [0, *changes, len(self._places)]

    @property
    def whole(self) -> Piece:
        """Return the piece that is all of it."""
        return Piece(0, len(self._starts) - 1)

    def had_refused(self, piece: Piece) -> bool:
        """Return whether a record of the piece was set aside earlier: then the piece was refused, and is not tried again."""
        if not self._aside:
            return False
        return any(self._places[self._starts[i]] in self._aside for i in range(piece.lo, piece.hi))

    def attempt(self, client: Client, piece: Piece | None) -> None:
        """Insert what is not stored of a piece, None: of all. Safe to repeat after any error."""
        self.in_doubt |= self._unsure
        if self._unsure:
            again = self._doubt is not Doubt.RECUT and watching_views(client, self._table)
            # under a known token the server drops the rows and still mends the views that missed them
            self._stored = () if again else stored_places(client, self._table, self._ranges)
            self._unsure = False
        rows = self._wanted(piece)
        if not rows:
            return
        self._unsure = True
        token = self._token if piece is None else f"{self._token}:{piece.lo}-{piece.hi}"
        insert(client, self._table, rows, token)
        self._unsure = False

    def _wanted(self, piece: Piece | None) -> Rows:
        if piece is None and not self._stored:
            return self._rows
        first, end = (0, len(self._places)) if piece is None else (self._starts[piece.lo], self._starts[piece.hi])
        wanted = [i for i in range(first, end) if self._places[i] not in self._stored]
        return self._rows if len(wanted) == len(self._places) else self._rows.take(wanted)

    def refuse(self, at: int, error: RowsRefusedError) -> None:
        """Take note that record `at` is refused alone."""
        assert error.__cause__ is not None
        one = Refusal(self._places[self._starts[at]], words_of(error.__cause__))
        self.refused.append(one)
        if self._found is not None:
            self._found(one)

    def cut(self) -> None:
        """Say that a piece of a refused vector is done."""
        self._cut()

    def missing(self, client: Client) -> list[int]:
        """Return the rows that should be stored and are not. Raises ContractError if some are stored twice."""
        counts = stored_counts(client, self._table, self._ranges)
        mine = Counter(self._places)
        twice = sorted(place for place, count in mine.items() if counts[place] > count)
        if twice and self._doubt is not Doubt.RECUT:
            raise ContractError(
                "rows_twice",
                f"{len(twice)} records of {self._table} have their rows twice, the first at {twice[0]}",
                "the token log of the table was lost, or somebody else writes to it: delete the second rows, count its"
                " materialised views anew, then start again",
            )
        out = {one.place for one in self.refused} | self._aside
        lacking = [i for i, place in enumerate(self._places) if not counts[place] and place not in out]
        if lacking:
            since = expired_before_ms(client, self._table)
            lacking = [i for i in lacking if self._rows.columns["arrived_at"][i] >= since]
        return lacking

    def add(self, client: Client, at: Sequence[int]) -> None:
        """Insert rows that are missing although the vector's token is known, under a token of their own."""
        rows = self._rows.take(at)
        own = hashlib.sha256(repr(rows.places()).encode()).hexdigest()
        insert(client, self._table, rows, f"{self._table}:missing:{own}")


def columns_statement(table: str, rows: Rows) -> tuple[str, list[Values]]:
    """Return the statement and the columns of an insert."""
    names = ", ".join(f"`{name}`" for name in rows.columns)
    return f"INSERT INTO {table} ({names}) VALUES", list(rows.columns.values())


def insert(client: Client, table: str, rows: Rows, token: str) -> None:
    """Insert rows as one block under a token."""
    statement, columns = columns_statement(table, rows)
    client.execute(statement, columns, columnar=True, settings={**SETTINGS, "insert_deduplication_token": token})


def stored_counts(client: Client, table: str, ranges: Sequence[Range], which: str = "1") -> Counter[RowPlace]:
    """Return (topic id, partition, offset) -> rows that are stored of a vector; `which` is a condition in SQL."""
    if not ranges:
        return Counter()
    within = " OR ".join(
        f"(topic_id = '{one.topic_id}' AND `partition` = {one.partition} AND `offset` BETWEEN {one.first} AND {one.last})"
        for one in ranges
    )
    columns = client.execute(
        f"SELECT toString(topic_id), `partition`, `offset`, count() FROM {table} WHERE ({within}) AND {which}"
        " GROUP BY topic_id, `partition`, `offset`",
        columnar=True,
    )
    return Counter(dict(zip(zip(*columns[:3], strict=True), columns[3], strict=True))) if columns else Counter()


def stored_places(client: Client, table: str, ranges: Sequence[Range], which: str = "1") -> set[RowPlace]:
    """Return (topic id, partition, offset) of the records that have rows."""
    return set(stored_counts(client, table, ranges, which))
