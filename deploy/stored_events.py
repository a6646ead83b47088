"""Events that ClickHouse holds, read back in order of arrival as stage 1 once saw them: for a backtest without a file.

Texts are not needed to count and stay where they are.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from clickhouse_driver import Client

from deploy.native_lines import Arrival
from schemas.event import Answer, Channel, Direction, FeedbackEvent, Lane, Order, Traits
from sinks.clickhouse import PASSING, unavailable

BLOCK_ROWS = 8_192
_MS = "toUnixTimestamp64Milli"
_COLUMNS = (
    "event_id", "channel", "kind", "source", "subject", "conversation_ref", "in_reply_to", "direction", "survey_ref",
    "touchpoint", "product", "agent_ref", "attributes", "corrects", "retract", "lane",
)  # fmt: skip
_BLANK = ("subject", "conversation_ref", "in_reply_to", "survey_ref", "touchpoint", "product", "agent_ref", "corrects")
"""Strings that are '' in the table where the event has none."""
_ANSWERS = ("question", "question_version", "score", "scale_min", "scale_max", "derived_by")
_TRAITS = ("backfill", "second_hand", "probe", "non_human")
_ORDER = ("order_ref", "order_amount_minor", "order_currency", "order_items")


def stored_arrivals(client: Client, *, since_ms: int, until_ms: int, as_live: bool = False) -> Iterator[Arrival]:
    """Yield the events that arrived in [since, until), oldest first; rows stream, a block at a time.

    With `as_live` imported events count as if they had come live when they occurred: history that was loaded at once
    tests a rule only so. Raises UnavailableError.
    """
    at = "if(lane = 'history', occurred_at, arrived_at)" if as_live else "arrived_at"
    query = f"""
        SELECT {", ".join((*_COLUMNS, *_ORDER, *(f"answer_{name}" for name in _ANSWERS), *_TRAITS))},
            {_MS}(order_promised_at) AS promised, {_MS}(order_delivered_at) AS delivered,
            {_MS}(occurred_at) AS occurred, {_MS}(received_at) AS received, {_MS}({at}) AS at
        FROM feedback_events
        WHERE at >= %(since)s AND at < %(until)s
        ORDER BY at, topic, partition, offset
    """
    try:
        rows = client.execute_iter(
            query, {"since": since_ms, "until": until_ms}, with_column_types=True,
            settings={"max_block_size": BLOCK_ROWS},
        )  # fmt: skip
        columns = [name for name, _ in next(rows)]
        for row in rows:
            one = _arrival(dict(zip(columns, row, strict=True)))
            yield as_if_live(one) if as_live else one
    except PASSING as error:
        raise unavailable(error) from error
    finally:
        client.disconnect()


def as_if_live(one: Arrival) -> Arrival:
    """Return an event of the history lane as if it had come live when it occurred; a live one as it is."""
    if one.lane is Lane.LIVE:
        return one
    at = one.event.occurred_at
    return Arrival(event=msgspec.structs.replace(one.event, received_at=at), arrived_at=at, lane=Lane.LIVE)


def _arrival(row: dict[str, Any]) -> Arrival:
    blank: dict[str, Any] = {name: row[name] or None for name in _BLANK}
    traits: dict[str, Any] = {name: bool(row[name]) for name in _TRAITS}
    order = Order(
        ref=row["order_ref"], amount_minor=row["order_amount_minor"], currency=row["order_currency"] or None,
        items=row["order_items"], promised_at=row["promised"], delivered_at=row["delivered"],
    )  # fmt: skip
    event = FeedbackEvent(
        **blank,
        event_id=row["event_id"], channel=Channel(row["channel"]), kind=row["kind"], source=row["source"],
        direction=Direction(row["direction"]), order=order if row["order_ref"] else None,
        occurred_at=row["occurred"], received_at=row["received"], answers=list(_answers(row)),
        attributes=dict(row["attributes"]), retract=bool(row["retract"]),
        traits=Traits(**traits),
    )  # fmt: skip
    return Arrival(event=event, arrived_at=row["at"], lane=Lane(row["lane"]))


def _answers(row: dict[str, Any]) -> Iterator[Answer]:
    for values in zip(*(row[f"answer_{name}"] for name in _ANSWERS), strict=True):
        given = dict(zip(_ANSWERS, values, strict=True))
        yield Answer(**{**given, "derived_by": given["derived_by"] or None})
