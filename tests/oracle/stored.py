"""Read events and readings back from ClickHouse as the plain dictionaries that the recount and the comparison take."""

from pathlib import Path
from typing import Any

from clickhouse_driver import Client

SQL = Path(__file__).parent / "sql"
METRICS = sorted(path.stem for path in SQL.glob("*.sql"))


def events(client: Client) -> list[dict[str, Any]]:
    """Return every row of feedback_events."""
    rows = client.execute(
        """
        SELECT event_id, channel, kind, direction, touchpoint, lane, toUnixTimestamp64Milli(occurred_at),
               toUnixTimestamp64Milli(received_at), toUnixTimestamp64Milli(arrived_at), probe, second_hand, non_human,
               answer_question, answer_score, answer_scale_min, answer_scale_max, product, retract, order_amount_minor,
               order_currency, subject, conversation_ref, corrects, attributes['topic'], (topic_id, partition), offset
        FROM feedback_events
        """
    )
    return [
        {
            "event_id": row[0],
            "channel": row[1],
            "kind": row[2],
            "direction": row[3],
            "touchpoint": row[4],
            "lane": row[5],
            "occurred_at": row[6],
            "received_at": row[7],
            "arrived_at": row[8],
            "traits": {"probe": row[9], "second_hand": row[10], "non_human": row[11]},
            "product": row[16],
            "retract": row[17],
            "order": {"amount_minor": row[18], "currency": row[19]},
            **dict(
                zip(
                    ("subject", "conversation_ref", "corrects", "topic", "partition_of", "offset"),
                    row[20:],
                    strict=True,
                )
            ),
            "answers": [
                {"question": question, "score": score, "scale_min": low, "scale_max": high}
                for question, score, low, high in zip(*row[12:16], strict=True)
            ],
        }
        for row in rows
    ]


def readings(client: Client) -> list[dict[str, Any]]:
    """Return every row of readings."""
    names = ("metric", "dimension", "key", "window", "window_end", "status", "revision", "quality", "n", "value", "lo", "hi",
             "method", "bins")  # fmt: skip
    rows = client.execute(
        """
        SELECT metric, dimension, key, window, toUnixTimestamp64Milli(window_end), status, revision, quality, n, value, lo,
               hi, method, bins
        FROM readings
        """
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def sql_differences(client: Client, metric: str) -> list[tuple[Any, ...]]:
    """Return the final readings of a metric that hand-written SQL counts otherwise."""
    found: list[tuple[Any, ...]] = client.execute((SQL / f"{metric}.sql").read_text("utf-8"))
    return found
