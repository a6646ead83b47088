"""Records that the store refuses, as rows of rejected_events: with their reason, their place and their raw bytes."""

from collections.abc import Iterable, Sequence

from schemas.errors import UndecodableError
from sinks.making import CHANNELS, Made, Take
from sinks.refusals import REASON, Refusal
from sinks.rows import Place, Rows, rejected_rows, undecodable_record
from sinks.seals import Seals
from sinks.storing import RowPlace

SET_ASIDE = "stage = 'sink'"
REFUSED = f"{SET_ASIDE} AND reason = '{REASON}'"
"""SQL: which rows of rejected_events say that the store refused a record."""


def refused_rows(refusals: Sequence[Refusal], takes: Iterable[Take], seals: Seals | None) -> Rows:
    """Return one row of rejected_events for each refusal, named by its place like that of an undecodable record."""
    held = {(take.topic_id, take.partition): take for take in takes}
    records, places = [], []
    numbers: dict[tuple[str, int], dict[int, int]] = {}
    for (topic_id, partition, offset), detail in refusals:
        take = held[topic_id, partition]
        at = numbers.setdefault(
            (topic_id, partition), {one.offset: i for i, one in enumerate(take.records)}
        )[offset]  # fmt: skip
        place: Place = take.places([at])[0]
        error = UndecodableError(REASON, detail)
        record = undecodable_record(take.records[at].value, place, CHANNELS.get(take.topic.name, ""), error)
        records.append(record if seals is None else seals.rejected(record))
        places.append(place)
    return rejected_rows(records, places)


def undecodable_places(made: Made) -> list[RowPlace]:
    """Return the places of the records of a batch that are none of ours."""
    if not made.undecodable:
        return []
    rows = made.rejected or made.rows  # the sink of rejected_events keeps them among its own
    assert rows is not None
    return [place for place, stage in zip(rows.places(), rows.columns["stage"], strict=True) if stage == "sink"]
