"""The row of an event that the store refused, at the place where it belongs, once the store takes it.

Stage 1 has counted such an event: sent again it would count twice. Its row takes the place of its rejection, so that every offset
still has one row and `barometer audit` still holds.
"""

from clickhouse_driver import Client

from schemas.bulk import decode_events
from schemas.errors import InvalidEventError, UndecodableError
from schemas.event import Lane
from schemas.topics import ADMITTED
from sinks.admissions import event_ids
from sinks.clickhouse import PASSING, unavailable
from sinks.ranges import Range
from sinks.refusals import REASON, speaks_of_a_row, words_of
from sinks.rejected import Rejected
from sinks.rows import Place, event_rows, place_columns
from sinks.seals import Seals
from sinks.storing import insert, stored_counts

TABLE = "feedback_events"


def event_id_of(raw: bytes) -> str:
    """Return the id of the event in wire bytes. Raises UndecodableError."""
    decoded = decode_events([raw])
    if decoded.bad:
        raise decoded.bad[0][1]
    return event_ids(decoded)[0]


def place(client: Client, one: Rejected, raw: bytes, seals: Seals) -> None:
    """Store the row of an event that was refused, and remove its rejection. Safe to repeat; it never makes a second row.

    Raises InvalidEventError if the store still refuses it, UndecodableError, UnavailableError.
    """
    decoded = decode_events([raw])
    if decoded.bad:
        raise UndecodableError(decoded.bad[0][1].reason, decoded.bad[0][1].detail)
    stands = Place(one.source, one.topic_id, one.partition, one.offset, one.received_at)
    lane = Lane.HISTORY if one.source == ADMITTED.name else Lane.LIVE
    rows = event_rows(decoded.events, {**place_columns([stands]), "lane": [str(lane)]})
    seals.open(rows)
    where = Range(one.topic_id, one.partition, one.offset, one.offset)
    try:
        if not stored_counts(client, TABLE, [where]):
            insert(client, TABLE, rows, f"placed:{one.topic_id}:{one.partition}:{one.offset}")
        client.execute(
            "DELETE FROM rejected_events WHERE rejected_id = %(id)s AND topic_id = %(topic)s"
            " AND `partition` = %(partition)s AND `offset` = %(offset)s",
            {"id": one.rejected_id, "topic": one.topic_id, "partition": one.partition, "offset": one.offset},
            settings={"lightweight_deletes_sync": 2},
        )
    except Exception as error:
        client.disconnect()
        if speaks_of_a_row(error):
            raise InvalidEventError(
                REASON, "", words_of(error), "let the table take it, then reinject again"
            ) from error
        if isinstance(error, PASSING):
            raise unavailable(error) from error
        raise
