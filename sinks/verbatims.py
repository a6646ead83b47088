"""Which verbatims show what an alarm is about: event ids for whoever shows alarms; their texts are for `bi_text` alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from clickhouse_driver import Client

from sinks.clickhouse import PASSING, unavailable

Row = dict[str, Any]
MACHINES = frozenset({"judge", "tally"})
"""Actors whose steps carry evidence."""


def verbatims(client: Client, alarm_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return alarm id -> ids of events with a text, at most five, the most telling first. Raises UnavailableError."""
    if not alarm_ids:
        return {}
    try:
        found = client.execute(
            "SELECT alarm_id, event_ids FROM v_alarm_verbatims WHERE alarm_id IN %(ids)s", {"ids": tuple(alarm_ids)}
        )
    except PASSING as error:
        raise unavailable(error) from error
    return dict(found)


def shown(client: Client, rows: Sequence[Row]) -> list[Row]:
    """Return rows of `sinks.queries`, of each alarm the step that opened it last with `verbatims` in its evidence.

    An alarm that never opened has them at its newest step by a machine; an immediate one names its event in the row already.
    """
    steps: dict[str, list[Row]] = {}
    for row in rows:
        if row["actor"] in MACHINES and not row["event_id"]:
            steps.setdefault(row["alarm_id"], []).append(row)
    found = verbatims(client, list(steps))
    telling = {
        (alarm, max(own, key=lambda row: (row["state"] == "open", row["sequence"]))["sequence"])
        for alarm, own in steps.items()
    }
    return [
        _with(row, found.get(row["alarm_id"], [])) if (row["alarm_id"], row["sequence"]) in telling else row
        for row in rows
    ]


def _with(row: Mapping[str, Any], ids: Sequence[str]) -> Row:
    if not ids:
        return dict(row)
    evidence = msgspec.json.decode(row["evidence"] or "{}", type=dict[str, Any])
    return {**row, "evidence": msgspec.json.encode(evidence | {"verbatims": list(ids)}).decode()}
