"""Everything that is held about a person, for an access request: events with their texts, alarms that name them, cases, keys."""

from typing import Any

from clickhouse_driver import Client

from schemas.keyring import Keyring, owner_of_corrections
from schemas.settings import Settings, identifying
from sinks import erasing

NOT_SEARCHED = (
    "refused inputs of the last 7 days: they are sealed, and no pseudonym was made of them",
    "events that came without a customer",
)


def export(
    settings: Settings, pseudonyms: list[str], *, client: Client, keyring: Keyring, exactly: bool = False
) -> dict[str, Any]:
    """Return what is held of the person behind some pseudonyms, as plain values. Raises UnavailableError."""
    person = erasing.person_of(client, pseudonyms, exactly=exactly)
    events = erasing.events_held(client, person)
    ids = [one["event_id"] for one in events]
    owners = [*person, *(owner_of_corrections(one) for one in ids)]
    found = erasing.held(client, person, sorted(identifying(settings)))
    return {
        "pseudonyms": erasing.by_subject(client, person),
        "events": events,
        "alarms": erasing.alarms_naming(client, ids),
        "cases": erasing.cases_of(client, person),
        "living_keys": keyring.living(owners),
        "destroyed_keys": [{"id": one.id, "destroyed_ms": one.destroyed_ms} for one in keyring.tombstones(owners)],
        "readable_events": found.readable,
        "not_searched": list(NOT_SEARCHED),
    }
