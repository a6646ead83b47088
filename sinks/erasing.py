"""What feedback_events holds of a person, and how it is cleared: by pseudonyms, since nothing else names anybody there.

Rows stay, and with them every count: what can be read of a person is text and identifying attributes, and those become empty.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from clickhouse_driver import Client

from schemas.errors import ContractError
from sinks.clickhouse import PASSING, unavailable

Row = dict[str, Any]
Parameters = dict[str, Any]
_LONG = {"max_query_size": 1 << 26}
_NAMES = "arrayExists(name -> has(%(hidden)s, lower(name)), mapKeys(attributes))"
_WHOSE = "subject IN %(names)s AND data_key_id NOT IN %(spared)s"
_READABLE = f"(text != '' OR text_ciphertext != '' OR {_NAMES})"


class Held(NamedTuple):
    """Rows that name a person: all, those with something to read, and of the latter those that came unsealed.

    `newest_unsealed_ms`: when the newest of the last arrived; None: there are none.
    """

    rows: int
    readable: int
    unsealed: int
    newest_unsealed_ms: int | None


def asked(client: Client, query: str, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
    """Return the rows of a query. Raises UnavailableError."""
    try:
        found: list[tuple[Any, ...]] = client.execute(query, parameters or {}, settings=_LONG)
    except PASSING as error:
        raise unavailable(error) from error
    return found


def person_of(client: Client, pseudonyms: Collection[str], *, exactly: bool = False) -> list[str]:
    """Return all pseudonyms of the person behind some.

    Those are joined by the subjects of events that name one of them, then by what else the events of these subjects name.
    It stops there: whoever shares a phone with the person is named by neither. With `exactly` nothing is joined.
    """
    names = sorted(set(pseudonyms))
    if exactly:
        return names
    subjects = asked(
        client,
        "SELECT DISTINCT subject FROM feedback_events WHERE subject IN %(names)s OR hasAny(also_known_as, %(names)s)",
        {"names": names},
    )
    names = sorted({*names, *(one for (one,) in subjects)})
    others = asked(
        client,
        "SELECT DISTINCT arrayJoin(also_known_as) FROM feedback_events WHERE subject IN %(names)s",
        {"names": names},
    )
    return sorted({*names, *(one for (one,) in others)})


def held(client: Client, person: Sequence[str], hidden: Collection[str], spared: Collection[str] = ()) -> Held:
    """Return how much is held of a person, given all pseudonyms.

    `hidden`: names of identifying attributes, in lower case; `spared`: ids of keys whose rows are left out.
    """
    unsealed = f"{_READABLE} AND data_key_id = ''"
    row = asked(
        client,
        f"SELECT count(), countIf({_READABLE}), countIf({unsealed}),"
        f" toUnixTimestamp64Milli(maxOrNullIf(arrived_at, {unsealed})) FROM feedback_events WHERE {_WHOSE}",
        _values(person, hidden, spared),
    )[0]
    return Held(*row)


def by_subject(client: Client, person: Sequence[str]) -> dict[str, int]:
    """Return pseudonym -> rows under it."""
    rows = asked(
        client, "SELECT subject, count() FROM feedback_events WHERE subject IN %(names)s GROUP BY subject",
        {"names": list(person)},
    )  # fmt: skip
    found = dict(rows)
    return {name: found.get(name, 0) for name in person}


def event_ids(client: Client, person: Sequence[str]) -> list[str]:
    """Return the ids of a person's events."""
    rows = asked(
        client, "SELECT DISTINCT event_id FROM feedback_events WHERE subject IN %(names)s", {"names": list(person)}
    )
    return [one for (one,) in rows]


def clear(client: Client, person: Sequence[str], hidden: Collection[str], spared: Collection[str] = ()) -> None:
    """Begin to empty what can be read in the rows of a person; `pending` says when it is done.

    The hash of the body is replaced too: who knows a text could try it.
    """
    statement = (
        "ALTER TABLE feedback_events UPDATE text = '', text_ciphertext = '', event_hash = sipHash64(event_id),"
        " attributes = mapFilter((name, value) -> NOT has(%(hidden)s, lower(name)), attributes)"
        f" WHERE {_WHOSE} AND {_READABLE}"
    )
    try:
        client.execute(statement, _values(person, hidden, spared), settings={**_LONG, "mutations_sync": 0})
    except PASSING as error:
        raise unavailable(error) from error


def _values(person: Sequence[str], hidden: Collection[str], spared: Collection[str]) -> Parameters:
    # never empty: an empty array has no type
    return {"names": list(person), "hidden": [*hidden, ""], "spared": [*spared, "-"]}


def pending(client: Client) -> int:
    """Return how many parts still wait to be cleared. Raises ContractError if the store says that it cannot."""
    rows = asked(
        client,
        "SELECT parts_to_do, latest_fail_reason FROM system.mutations"
        " WHERE database = currentDatabase() AND table = 'feedback_events' AND NOT is_done",
    )
    for _, reason in rows:
        if reason:
            raise ContractError(
                "clearing_failed", reason.partition("Stack trace:")[0], "mend ClickHouse and erase again"
            )
    return sum(max(1, parts) for parts, _ in rows)


def replaced_parts(client: Client) -> set[str]:
    """Return the names of the parts of the table that others have replaced and that are still on the disk."""
    rows = asked(
        client,
        "SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'feedback_events' AND NOT active",
    )
    return {name for (name,) in rows}


def wake_cleanup(client: Client) -> None:
    """Have replaced parts that are old enough deleted now: an idle table looks for them every five minutes at most."""
    asked(client, "SYSTEM START CLEANUP feedback_events")


def export_rows(client: Client, query: str, parameters: Parameters) -> list[Row]:
    """Return the rows of a query as column -> value. Raises UnavailableError."""
    try:
        rows, columns = client.execute(query, parameters, with_column_types=True, settings=_LONG)
    except PASSING as error:
        raise unavailable(error) from error
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


def events_held(client: Client, person: Sequence[str]) -> list[Row]:
    """Return the events of a person with all that is stored of them, oldest first."""
    return export_rows(
        client,
        "SELECT * EXCEPT (topic_id, event_hash) FROM feedback_events WHERE subject IN %(names)s"
        " ORDER BY occurred_at, event_id",
        {"names": list(person)},
    )


def alarms_naming(client: Client, event_ids: Sequence[str]) -> list[Row]:
    """Return the steps of alarms that name one of some events."""
    return export_rows(
        client,
        "SELECT alarm_id, sequence, rule, key, state, pane AS at, event_id, actor, note, evidence FROM alarm_transitions"
        " WHERE alarm_id IN (SELECT alarm_id FROM alarm_transitions WHERE event_id IN %(ids)s) ORDER BY alarm_id, sequence",
        {"ids": list(event_ids)},
    )


def cases_of(client: Client, person: Sequence[str]) -> list[Row]:
    """Return the cases of a person: remarks, complaints, letters and disputes that belong together."""
    return export_rows(
        client,
        "SELECT * FROM v_escalation_customers WHERE customer IN %(names)s ORDER BY first_at",
        {"names": list(person)},
    )
