"""What was rejected -> an event, by the rules of today: the same code that the edge and the gate run. Reads nothing, writes nothing.

An event has the id that it would have had: the client's own, else one that follows from the rejection. So to do it again is a repeat.
"""

from collections.abc import Callable

import msgspec

from deploy.rejected_map import FieldMap, mapped
from producers.channels import native
from producers.pseudonyms import Pseudonyms
from schemas.catalogue import Catalogue
from schemas.codec import Kind, decode_as
from schemas.errors import InvalidEventError, UndecodableError
from schemas.event import FeedbackEvent, from_record, natural_id
from schemas.outputs import digest
from schemas.sealing import open_raw, raw_key_id
from schemas.topics import EVENT_TOPICS, HISTORY
from sinks.rejected import Rejected

GATEWAY, IMPORT, GATE, SINK = "gateway", "import", "gate", "sink"
STAGES = (GATEWAY, IMPORT, GATE, SINK)
_EVENTS = frozenset(one.name for one in (*EVENT_TOPICS, HISTORY))
_EVENT = msgspec.json.Decoder(FeedbackEvent)


def opened(one: Rejected, key_of: Callable[[str], bytes | None]) -> bytes:
    """Return the bytes of a rejected input as they came; `key_of` gives the key of an id, None if it was destroyed.

    Raises InvalidEventError where they are gone, UndecodableError where they are spoilt.
    """
    if not one.kept and one.raw_bytes:
        raise InvalidEventError("expired", "", "its bytes were emptied", "ask the sender to send it again")
    key_id, raw = raw_key_id(one.kept), one.kept
    if key_id is not None:
        key = key_of(key_id)
        if key is None:
            raise InvalidEventError(
                "key_destroyed", "", "its bytes cannot be read any more: the key of their day was destroyed, 7 days after",
                "ask the sender to send it again",
            )  # fmt: skip
        raw = open_raw(key, one.kept, one.rejected_id)
    if len(raw) < one.raw_bytes:
        raise InvalidEventError(
            "cut", "", f"only the first {len(raw)} of its {one.raw_bytes} bytes were kept",
            "ask the sender to send it again",
        )  # fmt: skip
    return raw


class Mender:
    """Make events of rejected inputs; `by`: the mapping that mends native JSON first."""

    def __init__(
        self, *, pseudonyms: Pseudonyms, catalogue: Catalogue, max_event_bytes: int, by: FieldMap | None = None
    ) -> None:
        self._pseudonyms = pseudonyms
        self._scales = catalogue.scales()
        self._max_event_bytes = max_event_bytes
        self._by = by

    def event(self, one: Rejected, raw: bytes) -> FeedbackEvent:
        """Return the event of a rejected input, as of the time when it came in.

        Raises InvalidEventError or UndecodableError, and nothing else, for what is still none.
        """
        if one.stage == GATEWAY:
            return self._native(one, raw)
        if one.stage == IMPORT:
            return self._imported(one, raw)
        if one.source not in _EVENTS and one.stage == SINK:
            raise InvalidEventError(
                "no_event", "", f"it stood in {one.source}, where no events stand",
                "`barometer replay` counts readings and alarms again",
            )  # fmt: skip
        return _recorded(one, raw)

    def _native(self, one: Rejected, raw: bytes) -> FeedbackEvent:
        item = native.decode(self._mapped(raw), max_event_bytes=self._max_event_bytes)
        return native.to_event(
            item, source=one.source, received_at=one.received_at, pseudonyms=self._pseudonyms, scales=self._scales,
            new_id=lambda: natural_id("rejected", one.rejected_id),
        )  # fmt: skip

    def _imported(self, one: Rejected, raw: bytes) -> FeedbackEvent:
        """Return the event of a JSON line that names itself; of anything else the file and its place are the name."""
        if not raw.lstrip().startswith(b"{"):
            raise _import_again("it is a row of a table or a mail")
        item = native.decode(self._mapped(raw.strip()), max_event_bytes=self._max_event_bytes)
        if not (item.id or item.event_id):
            raise _import_again("it has no id of its own")
        if item.occurred_at is None:
            raise InvalidEventError("missing_field", "occurred_at", "an import says when it happened")
        event = native.to_event(
            item, source=one.source, received_at=one.received_at, pseudonyms=self._pseudonyms, scales=self._scales,
            new_id=lambda: natural_id("rejected", one.rejected_id),
        )  # fmt: skip
        return msgspec.structs.replace(event, traits=msgspec.structs.replace(event.traits, backfill=True))

    def _mapped(self, raw: bytes) -> bytes:
        return raw if self._by is None else mapped(raw, self._by)


def _import_again(why: str) -> InvalidEventError:
    return InvalidEventError(
        "import_again", "", f"{why}, so its place in its file names it",
        "mend the file or its mapping and give `barometer import` again: rows that are in keep their ids",
    )  # fmt: skip


def _recorded(one: Rejected, raw: bytes) -> FeedbackEvent:
    """Return the event of a record of a topic, or of a correction that the gate could not apply."""
    try:
        if one.stage == GATE and raw.startswith(b"{"):
            event = _EVENT.decode(raw)
            if one.rejected_id == digest(GATE, event.event_id):
                return event
        return from_record(decode_as(Kind.EVENT, raw))
    except msgspec.ValidationError as error:
        raise InvalidEventError("bad_type", "", f"its record is no event: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise UndecodableError("bad_json", f"no event: {error}") from error
