"""Applying corrections to what is stored: which events correct others, and the records that they stand for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from schemas.bulk import Decoded
from schemas.codec import Kind, encode
from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, to_record
from sinks.admissions import Admitted, event_ids
from sinks.corrections import applied
from sinks.insert import Inserter
from sinks.rows import refused_record
from sinks.seals import Seals
from sinks.stored import versions


class Rejection(NamedTuple):
    """A record for the rejected topic."""

    key: bytes
    value: bytes


def rejection(record: dict[str, Any]) -> Rejection:
    """Return the record of a rejection; its id is its key."""
    return Rejection(record["rejected_id"].encode(), encode(Kind.REJECTED, record))


def correcting(decoded: Decoded) -> set[str]:
    """Return the ids of the events that correct others."""
    corrects: list[Any] = decoded.events.column("corrects").to_pylist()
    return {name for name, one in zip(event_ids(decoded), corrects, strict=True) if one is not None}


async def corrected(
    store: Inserter, corrections: Sequence[FeedbackEvent], seals: Seals, hidden: frozenset[str]
) -> tuple[list[Admitted], list[Rejection]]:
    """Return the records that corrections of different events stand for, and the rejections of those that fit none.

    Everything admitted before must be stored: what a correction takes back is the version that stands in `store`. Neither its text
    nor the attributes `hidden` (lower case) go out again: on a topic they would outlive their erasure.
    """
    targets = [one.corrects for one in corrections if one.corrects is not None]
    found = await store.ask(lambda client: versions(client, targets, hidden=hidden))
    out: list[Admitted] = []
    refused = []
    for one in corrections:
        assert one.corrects is not None
        try:
            events = applied(one, found[one.corrects])
        except InvalidEventError as error:
            refused.append(rejection(seals.rejected(refused_record(one, error))))
            continue
        # one key for all versions of an event: its partition keeps their order
        key = found[one.corrects][0].key
        out += [Admitted(key, encode(Kind.EVENT, to_record(event)), (), event.event_id) for event in events]
    return out, refused
