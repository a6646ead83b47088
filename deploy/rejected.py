"""Feed rejected inputs again, or end them. Every step may be cut short and done again: ids make a second copy a repeat.

Events go to the history topic, where the gate asks the store for their ids; a rejection is called reinjected only after the broker
has acknowledged its event. An event that the store alone had refused was counted already: only its row is stored.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from clickhouse_driver import Client

from deploy.mending import SINK, Mender, opened
from producers.event_bytes import event_bytes
from producers.publisher import Record
from producers.sealer import Sealer
from schemas.clock import Clock
from schemas.errors import InvalidEventError, UndecodableError
from schemas.event import FeedbackEvent
from schemas.keyring import Keyring
from schemas.killpoint import KillPoints
from schemas.topics import EVENT_TOPICS, HISTORY
from sinks import placing
from sinks import rejected as store
from sinks.refusals import REASON as REFUSED_BY_STORE
from sinks.rejected import Chosen, Fate, Rejected
from sinks.seals import Seals

BATCH = 500
READY, STAYS = "ready", "stays"
_EVENTS = frozenset(one.name for one in EVENT_TOPICS)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one rejection: reinjected, ready (a dry run) or stays, with the reason, the field and the remedy."""

    rejected_id: str
    stage: str
    source: str
    outcome: str
    event_id: str = ""
    reason: str = ""
    field: str = ""
    detail: str = ""
    remedy: str = ""


class Reinjection(msgspec.Struct, frozen=True, kw_only=True):
    """What feeding again needs; `publish` returns when records are durable. `by` and `note` are said with each fate."""

    client: Client
    mender: Mender
    sealer: Sealer
    seals: Seals
    keyring: Keyring
    publish: Callable[[Sequence[Record]], None]
    kill: KillPoints
    clock: Clock
    by: str
    note: str = ""
    dry_run: bool = False

    def run(self, chosen: Chosen) -> Iterator[Outcome]:
        """Feed rejections again, yielding what became of each. Raises UnavailableError: what was not yielded yet stays open."""
        for some in _batches(store.chosen_rows(self.client, chosen)):
            yield from self._batch(store.with_bytes(self.client, some))

    def _batch(self, some: Sequence[Rejected]) -> list[Outcome]:
        out: list[Outcome] = []
        events: list[tuple[Rejected, FeedbackEvent]] = []
        placed: list[tuple[Rejected, str]] = []
        for one in some:
            try:
                raw = opened(one, self.keyring.key)
                if one.stage == SINK and one.reason == REFUSED_BY_STORE and one.source in _EVENTS:
                    event_id = placing.event_id_of(raw)
                    if not self.dry_run:
                        placing.place(self.client, one, raw, self.seals)
                    placed.append((one, event_id))
                else:
                    events.append((one, self.mender.event(one, raw)))
            except (InvalidEventError, UndecodableError) as error:
                out.append(_stays(one, error))
        done = [*placed, *((one, event.event_id) for one, event in events)]
        if not self.dry_run:
            self._send([event for _, event in events])
            self.kill.reached("rejected.before_fate")
            at = self.clock()
            fates = [Fate(*one.place, store.REINJECTED, event_id, at, self.by, self.note) for one, event_id in done]
            store.say(self.client, fates)
        outcome = READY if self.dry_run else store.REINJECTED
        return out + [
            Outcome(rejected_id=one.rejected_id, stage=one.stage, source=one.source, outcome=outcome, event_id=event_id)
            for one, event_id in done
        ]

    def _send(self, events: Sequence[FeedbackEvent]) -> None:
        if events:
            sealed = self.sealer.events(events)
            self.publish([Record(HISTORY.name, event.key, event_bytes(event)) for event in sealed])


def _batches(some: Sequence[Rejected]) -> Iterator[Sequence[Rejected]]:
    return (some[at : at + BATCH] for at in range(0, len(some), BATCH))


def _stays(one: Rejected, error: InvalidEventError | UndecodableError) -> Outcome:
    field, detail = (error.field, error.plain_detail) if isinstance(error, InvalidEventError) else ("", error.detail)
    return Outcome(
        rejected_id=one.rejected_id, stage=one.stage, source=one.source, outcome=STAYS, reason=error.reason, field=field,
        detail=detail, remedy=error.remedy,
    )  # fmt: skip


def expire(client: Client, chosen: Chosen, *, clock: Clock, by: str) -> int:
    """Empty the bytes of rejections for good; their rows stay. Return how many there were that had not expired before."""
    ended = 0
    for some in _batches(store.chosen_rows(client, chosen)):
        open_ones = [one for one in some if one.fate != store.EXPIRED]
        if open_ones:
            store.empty(client, open_ones)
            store.say(client, [Fate(*one.place, store.EXPIRED, "", clock(), by, "") for one in open_ones])
        ended += len(open_ones)
    return ended
