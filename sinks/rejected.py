"""What is kept of rejected inputs, and what became of them: rows of rejected_events with their fates."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from clickhouse_driver import Client

from sinks.clickhouse import PASSING, unavailable
from sinks.storing import SETTINGS

REINJECTED, EXPIRED, OPEN = "reinjected", "expired", "open"
Row = dict[str, Any]
_LISTED = (
    "rejected_id, received_at, stage, channel, source, reason, field, detail, raw_bytes, replays, fate, event_id, fate_at,"
    " fate_by"
)
_PLACE = "toString(topic_id) AS topic_id, `partition`, `offset`"


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Which rejections a command is about; what is empty does not matter. Times in epoch ms, `before_ms` not included."""

    ids: tuple[str, ...] = ()
    reason: str = ""
    source: str = ""
    stage: str = ""
    before_ms: int = 0
    fates: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """Return the condition in SQL on v_rejected."""
        out = [f"{name} = %({name})s" for name in ("reason", "source", "stage") if getattr(self, name)]
        out += ["rejected_id IN %(ids)s"] * bool(self.ids) + ["fate IN %(fates)s"] * bool(self.fates)
        out += ["received_at < fromUnixTimestamp64Milli(%(before_ms)s, 'UTC')"] * bool(self.before_ms)
        return " AND ".join(out) or "1"


class Rejected(NamedTuple):
    """A rejection as it is fed again: where its row stands, and its bytes as they are kept. Times in epoch ms."""

    rejected_id: str
    topic_id: str
    partition: int
    offset: int
    stage: str
    source: str
    reason: str
    fate: str
    raw_bytes: int
    received_at: int
    """By the clock that received it; of what this clock took for the future, by the store's if that is later."""
    kept: bytes = b""

    @property
    def place(self) -> tuple[str, str, int, int]:
        """Return what names the row."""
        return self.rejected_id, self.topic_id, self.partition, self.offset


class Fate(NamedTuple):
    """What became of a rejection; `at_ms` in epoch ms."""

    rejected_id: str
    topic_id: str
    partition: int
    offset: int
    fate: str
    event_id: str
    at_ms: int
    by: str
    note: str


def _rows(client: Client, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    try:
        found: list[tuple[Any, ...]] = client.execute(query, values, settings={"max_query_size": 1 << 26})
    except PASSING as error:
        raise unavailable(error) from error
    return found


def _named(client: Client, query: str, values: dict[str, Any]) -> list[Row]:
    try:
        rows, columns = client.execute(query, values, with_column_types=True)
    except PASSING as error:
        raise unavailable(error) from error
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


def listed(client: Client, chosen: Chosen, *, limit: int = 50) -> list[Row]:
    """Return rejections without their bytes, the newest first."""
    return _named(
        client,
        f"SELECT {_LISTED} FROM v_rejected WHERE {chosen.condition} ORDER BY received_at DESC, rejected_id LIMIT %(limit)s",
        {**_values(chosen), "limit": limit},
    )


def summary(client: Client, chosen: Chosen) -> list[Row]:
    """Return counts by stage, source, reason and fate, the most frequent first."""
    return _named(
        client,
        "SELECT stage, source, reason, fate, count() AS inputs, min(received_at) AS first, max(received_at) AS last"
        f" FROM v_rejected WHERE {chosen.condition} GROUP BY stage, source, reason, fate ORDER BY inputs DESC, stage, source, reason, fate",
        _values(chosen),
    )


def one(client: Client, rejected_id: str) -> Row | None:
    """Return the newest rejection of an id with its bytes as text (in hex, where they are no UTF-8), or None."""
    rows = _named(
        client,
        f"SELECT {_LISTED}, topic_id, `partition`, `offset`, arrived_at, rejected_at FROM v_rejected"
        " WHERE rejected_id = %(id)s ORDER BY arrived_at DESC, `offset` DESC LIMIT 1",
        {"id": rejected_id},
    )
    if not rows:
        return None
    kept = _kept(client, [tuple(rows[0][name] for name in ("rejected_id", "topic_id", "partition", "offset"))])
    raw = next(iter(kept.values()), b"")
    try:
        return rows[0] | {"raw": raw.decode(), "raw_hex": ""}
    except UnicodeDecodeError:
        return rows[0] | {"raw": "", "raw_hex": raw.hex()}


def chosen_rows(client: Client, chosen: Chosen) -> list[Rejected]:
    """Return the rejections of a choice without their bytes, in the order in which they came."""
    rows = _rows(
        client,
        f"SELECT rejected_id, toString(topic_id), `partition`, `offset`, toString(stage), toString(source), toString(reason),"
        " toString(fate), raw_bytes, toUnixTimestamp64Milli(if(reason = 'future_time', greatest(received_at, rejected_at), received_at))"
        f" FROM v_rejected WHERE {chosen.condition}"
        " ORDER BY received_at, rejected_id, `offset`",
        _values(chosen),
    )
    return [Rejected(*row) for row in rows]


def with_bytes(client: Client, some: Sequence[Rejected]) -> list[Rejected]:
    """Return rejections with their bytes as they are kept; empty where they are gone."""
    kept = _kept(client, [one.place for one in some])
    return [one._replace(kept=kept.get(one.place, b"")) for one in some]


def _kept(client: Client, places: Sequence[tuple[Any, ...]]) -> dict[tuple[Any, ...], bytes]:
    if not places:
        return {}
    rows = _rows(
        client,
        "SELECT rejected_id, toString(topic_id), `partition`, `offset`, hex(raw) FROM rejected_events"
        " WHERE (rejected_id, toString(topic_id), `partition`, `offset`) IN %(places)s",
        {"places": [tuple(one) for one in places]},
    )
    return {row[:4]: bytes.fromhex(row[4]) for row in rows}


def say(client: Client, fates: Sequence[Fate]) -> None:
    """Store fates; one that was said before (the same event, or the same end) is not said again."""
    said = {
        tuple(row)
        for row in _rows(
            client,
            f"SELECT rejected_id, {_PLACE}, toString(fate), event_id FROM rejected_fates WHERE rejected_id IN %(ids)s",
            {"ids": [one.rejected_id for one in fates] or [""]},
        )
    }
    new = [one for one in fates if one[:6] not in said]
    if not new:
        return
    token = hashlib.sha256(repr([one[:6] for one in new]).encode()).hexdigest()
    try:
        client.execute(
            "INSERT INTO rejected_fates (rejected_id, topic_id, `partition`, `offset`, fate, event_id, `at`, `by`, note) VALUES",
            new,
            settings={**SETTINGS, "insert_deduplication_token": f"fates:{token}"},
        )
    except PASSING as error:
        raise unavailable(error) from error


def empty(client: Client, some: Sequence[Rejected]) -> None:
    """Empty the bytes of rejections; when this returns, no row of them shows any."""
    _rows(
        client,
        "ALTER TABLE rejected_events UPDATE raw = '' WHERE raw != ''"
        " AND (rejected_id, toString(topic_id), `partition`, `offset`) IN %(places)s SETTINGS mutations_sync = 2",
        {"places": [one.place for one in some]},
    )


def _values(chosen: Chosen) -> dict[str, Any]:
    return msgspec.structs.asdict(chosen)
