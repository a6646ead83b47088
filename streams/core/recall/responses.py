"""Messages of customers and their first answers: what is known of each message at the end of each pane.

A message and a reply belong together if channel, customer and conversation are the same, at most `memory_ms` of arrived
time lies between them (whichever came first), and the reply occurred no earlier. The message has waited until the first such
reply that has arrived; from the pane that holds occurred + `target_ms` on (or from its own, if that is later) it is late as
long as there is none. So what is known at the end of a pane is a function of what arrived until then.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from schemas.arrival import pane_of
from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue
from schemas.metrics import ATTRIBUTE
from streams.core.canonical import Ints
from streams.core.columns import RECALL, STILL_OPEN, Columns
from streams.core.counting import count_events
from streams.core.counting_plan import Group
from streams.core.frame import FRAME_SCHEMA

REPLY = "reply"
_ARROW = pl.DataFrame(schema=FRAME_SCHEMA).to_arrow().schema
STALE = 1 << 62
"""When received, of what no detector shall read: too late for any."""
Key = tuple[str, str, str]
"""Channel, customer, conversation."""


class _Reply(NamedTuple):
    arrived: int
    pane: int
    occurred: int


class _Told(NamedTuple):
    """What of a message is counted; the fields are columns of a frame."""

    channel: str
    touchpoint: str | None
    product: str | None
    attributes: Sequence[Mapping[str, str]]
    occurred_at: int
    received_at: int


class _Row(NamedTuple):
    """What is said of a message, or taken back."""

    told: _Told
    waited: int | None
    retract: bool = False


class _Message:
    """A message; `waited` is None without a reply, `said` what its cells say: None, a waiting time or STILL_OPEN."""

    __slots__ = ("arrived", "due", "occurred", "pane", "said", "told", "waited")

    def __init__(self, arrived: int, pane: int, due: int, told: _Told) -> None:
        self.arrived, self.pane, self.due, self.told = arrived, pane, due, told
        self.occurred = told.occurred_at
        self.waited: int | None = None
        self.said: int | None = None

    def hear(self, reply: _Reply, memory_ms: int) -> bool:
        """Take a reply of the same conversation; return whether it changes the waiting time."""
        if abs(reply.arrived - self.arrived) > memory_ms or reply.occurred < self.occurred:
            return False
        waited = reply.occurred - self.occurred
        if self.waited is not None and self.waited <= waited:
            return False
        self.waited = waited
        return True

    def known(self, pane: int) -> int | None:
        """Return what is known at the end of a pane."""
        return STILL_OPEN if self.waited is None and self.due <= pane else self.waited


class _Conversation(NamedTuple):
    messages: deque[_Message]
    replies: deque[_Reply]


class Responses:
    """What is remembered for metrics that agree on events, channels, target and memory."""

    def __init__(self, groups: Sequence[Group], catalogue: Catalogue, pane_ms: int) -> None:
        metric = groups[0].metric
        self._events, self._channels = frozenset(metric.events), frozenset(metric.channels)
        self._target_ms, self._memory_ms = metric.target_ms, metric.memory_ms
        self._columns = [RECALL + group.metric.name for group in groups]
        self._names = [member.name for group in groups for member in group.members]
        simple = {part for group in groups for one in group.dimensions.values() for part in one.simple}
        self._attributes = {one.removeprefix(ATTRIBUTE) for one in simple if one.startswith(ATTRIBUTE)}
        self._catalogue, self._pane_ms = catalogue, pane_ms
        self._conversations: dict[Key, _Conversation] = {}
        self._in_order: deque[tuple[int, Key]] = deque()
        self._due: list[tuple[int, int, _Message]] = []
        self._numbered = 0
        self._unread: deque[tuple[Key, _Message | _Reply]] = deque()

    @property
    def reach_ms(self) -> int:
        """Return how far back the log decides: to a reply that came before a message that is still remembered."""
        return 2 * self._memory_ms

    def __len__(self) -> int:
        return len(self._in_order)

    def take(self, columns: Columns, first: NDArray[np.bool_], arrived: Ints) -> None:
        """Keep messages and replies until their pane closes; arguments as in `Contacts.take`."""
        kinds, channels = set(columns.kind.titles), set(columns.channel.titles)
        if channels.isdisjoint(self._channels) or kinds.isdisjoint({*self._events, REPLY}):
            return
        asks = columns.kind.among(self._events) & columns.inbound & columns.direct
        answers = columns.kind.among((REPLY,)) & columns.outbound & ~columns.machine
        heard = columns.channel.among(self._channels) & columns.customers & columns.original & first
        rows = np.flatnonzero((asks | answers) & heard)
        subjects, conversations = columns.named("subject", rows), columns.named("conversation_ref", rows)
        titles, codes = columns.channel.titles, columns.channel.code[rows].tolist()
        times, occurred, asked = arrived[rows].tolist(), columns.occurred[rows].tolist(), asks[rows].tolist()
        received = (columns.occurred[rows] + columns.age[rows]).tolist()
        places, products = columns.touchpoint, columns.product
        for at, (row, subject, conversation) in enumerate(zip(rows.tolist(), subjects, conversations, strict=True)):
            if not subject or not conversation:
                continue
            channel, now, happened = str(titles[codes[at]]), times[at], occurred[at]
            pane = pane_of(now, self._pane_ms)
            one: _Message | _Reply
            if asked[at]:
                told = _Told(
                    channel, places.titles[places.code[row]], products.titles[products.code[row]],
                    self._attributes_of(columns, row) if self._attributes else (), happened, received[at],
                )  # fmt: skip
                due = max(pane, pane_of(min(happened, now) + self._target_ms, self._pane_ms))
                one = _Message(now, pane, due, told)
            else:
                one = _Reply(now, pane, happened)
            self._unread.append(((channel, subject, conversation), one))

    def _attributes_of(self, columns: Columns, row: int) -> Sequence[Mapping[str, str]]:
        found = ((name, columns.attribute(name)) for name in self._attributes)
        held = ((name, one.titles[one.code[row]]) for name, one in found)
        return [{"key": name, "value": value} for name, value in held if value is not None]

    def begin(self, pane: int) -> None:
        """Take what was kept as said already, up to a pane that is closed."""
        self._changed(pane)
        for conversation in self._conversations.values():
            for message in conversation.messages:
                message.said = message.known(pane)

    def next_due(self) -> int | None:
        """Return the next pane at whose end a message becomes late, if no answer comes; None where none is open."""
        while self._due and (self._due[0][2].waited is not None):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def close(self, pane: int, *, live: bool) -> Cells:
        """Return the cells of what has become known by the end of a pane; panes never fall.

        Only the first that is said of a message is fresh: what was heard of it later corrects the past.
        """
        rows: list[_Row] = []
        for message in self._changed(pane):
            known = message.known(pane)
            if known == message.said:
                continue
            if message.said is None:
                rows.append(_Row(message.told, known))
            else:
                stale = message.told._replace(received_at=STALE)
                rows += [_Row(stale, message.said, retract=True), _Row(stale, known)]
            message.said = known
        return self._counted(rows, live=live)

    def _changed(self, pane: int) -> list[_Message]:
        """Take what arrived up to the end of a pane; return the messages of which more may be known, each once."""
        changed: dict[int, _Message] = {}
        while self._unread and self._unread[0][1].pane <= pane:
            key, one = self._unread.popleft()
            self._forget(one.arrived)
            for message in self._heard(key, one):
                changed[id(message)] = message
        while self._due and self._due[0][0] <= pane:
            _, _, message = heappop(self._due)
            changed[id(message)] = message
        return list(changed.values())

    def _heard(self, key: Key, one: _Message | _Reply) -> Iterator[_Message]:
        held = self._conversations.setdefault(key, _Conversation(deque(), deque()))
        self._in_order.append((one.arrived, key))
        if isinstance(one, _Reply):
            held.replies.append(one)
            for message in held.messages:
                if message.hear(one, self._memory_ms):
                    yield message
            return
        held.messages.append(one)
        for reply in held.replies:
            one.hear(reply, self._memory_ms)
        self._numbered += 1
        heappush(self._due, (one.due, self._numbered, one))
        yield one

    def _forget(self, now: int) -> None:
        """Forget what arrived more than the memory before."""
        oldest = now - self._memory_ms
        while self._in_order and self._in_order[0][0] < oldest:
            _, key = self._in_order.popleft()
            held = self._conversations.get(key)
            if held is None:
                continue
            for several in held:
                while several and several[0].arrived < oldest:
                    several.popleft()
            if not held.messages and not held.replies:
                del self._conversations[key]

    def _counted(self, rows: Sequence[_Row], *, live: bool) -> Cells:
        """Count rows as events: a frame of what the metrics and their dimensions read."""
        if not rows:
            return EMPTY
        told, waited, retract = zip(*rows, strict=True)
        columns = dict(zip(_Told._fields, zip(*told, strict=True), strict=True))
        if not self._attributes:
            del columns["attributes"]
        arrow = pa.table({name: pa.array(values, _ARROW.field(name).type) for name, values in columns.items()})
        frame = pl.DataFrame(arrow).with_columns(
            pl.Series("retract", retract, dtype=pl.Boolean),
            *(pl.Series(name, waited, dtype=pl.Int64) for name in self._columns),
        )
        return count_events(frame, self._catalogue, live=live, metrics=self._names)
