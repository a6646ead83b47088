"""Corrections in a file of events: applied to what the file itself said before, as the gate does to what is stored.

A correction goes the way of imported events: it changes readings at the time when the first version occurred, and no
detector hears of it.
"""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from deploy.native_lines import Arrival, BadLine
from schemas.errors import InvalidEventError
from schemas.event import FeedbackEvent, Lane
from sinks.corrections import applied


def corrected(arrivals: Iterable[Arrival], refuse: Callable[[BadLine], None]) -> Iterator[Arrival]:
    """Yield events, given in order of arrival, with each correction as what it stands for; `refuse` hears of those of nothing.

    A correction whose id was there before is yielded as it is: it is a repeat, whoever counts leaves it out.
    """
    versions: dict[str, list[FeedbackEvent]] = {}
    known: set[str] = set()
    for one in arrivals:
        event = one.event
        if event.corrects is None:
            if event.event_id not in known:
                versions[event.event_id] = [event]
                known.add(event.event_id)
            yield one
            continue
        one = msgspec.structs.replace(one, lane=Lane.HISTORY)  # noqa: PLW2901 - the gate's way, whatever the line says
        if event.event_id in known:
            yield one
            continue
        try:
            records = applied(event, versions.get(event.corrects, []))
        except InvalidEventError as error:
            refuse(BadLine(number=one.number, error=error))
            continue
        versions[event.corrects] += records
        known.update(record.event_id for record in records)
        for record in records:
            yield msgspec.structs.replace(one, event=record)
