"""From items to records: every item becomes an event on its lane, or a rejection, and none stops its neighbours."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.channels import native
from producers.event_bytes import event_bytes
from producers.lanes import topic_of
from producers.pseudonyms import Pseudonyms
from producers.publisher import Record
from producers.refusals import unavailable
from producers.rejections import channel_in, rejected_record
from producers.sealer import Sealer
from schemas.catalogue import Catalogue
from schemas.errors import InvalidEventError, UnavailableError
from schemas.event import FeedbackEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One item that is no event: its place in the request and why."""

    index: int
    reason: str
    field: str
    detail: str


@dataclass(slots=True)
class Captured:
    """What one request gives: records to publish, and what to answer."""

    records: list[Record] = field(default_factory=list)
    accepted: int = 0
    refused: list[Refused] = field(default_factory=list)
    channels: Counter[str] = field(default_factory=Counter)


class Capture:
    """Turn native items into records for the publisher."""

    def __init__(
        self,
        *,
        pseudonyms: Pseudonyms,
        catalogue: Catalogue,
        sealer: Sealer,
        new_id: native.NewId,
        max_event_bytes: int,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._scales = catalogue.scales()
        self._sealer = sealer
        self._new_id = new_id
        self._max_event_bytes = max_event_bytes

    def add(self, items: Sequence[bytes], into: Captured, *, first_index: int, source: str, received_at: int) -> None:
        """Add the records of `items` to `into`, sealed; times in epoch ms. Raises Refusal 503 without the keyring."""
        events = []
        for index, raw in enumerate(items, first_index):
            try:
                event = self.event(native.decode(raw, max_event_bytes=self._max_event_bytes), source, received_at)
            except InvalidEventError as error:
                detail = f"{error.plain_detail}; {error.remedy}" if error.remedy else error.plain_detail
                into.refused.append(Refused(index=index, reason=error.reason, field=error.field, detail=detail))
                into.records.append(self.rejection(error, raw, source=source, received_at=received_at))
            else:
                events.append(event)
                into.accepted += 1
                into.channels[event.channel] += 1
        into.records += self.records(events)

    def event(self, item: native.NativeEvent, source: str, received_at: int) -> FeedbackEvent:
        """Return the event of a decoded item. Raises InvalidEventError."""
        return native.to_event(
            item, source=source, received_at=received_at, pseudonyms=self._pseudonyms, scales=self._scales,
            new_id=self._new_id,
        )  # fmt: skip

    def records(self, events: Sequence[FeedbackEvent]) -> list[Record]:
        """Return the records of events, sealed. Raises Refusal 503 while the keyring cannot be read or written."""
        try:
            return [event_record(event) for event in self._sealer.events(events)]
        except UnavailableError as error:
            raise unavailable(error.detail) from error

    def rejection(
        self, error: InvalidEventError, raw: bytes, *, source: str, received_at: int, raw_bytes: int | None = None
    ) -> Record:
        """Return the record of an input that the gateway refused. Raises Refusal 503 as `records` does."""
        try:
            return rejected_record(
                error, raw, sealer=self._sealer, rejected_id=self._new_id(), stage="gateway", source=source,
                received_at=received_at, channel=channel_in(raw), raw_bytes=raw_bytes,
            )  # fmt: skip
        except UnavailableError as failed:
            raise unavailable(failed.detail) from failed


def event_record(event: FeedbackEvent) -> Record:
    """Return the record of an event that is sealed, on its lane and under its key."""
    return Record(topic_of(event).name, event.key, event_bytes(event))
