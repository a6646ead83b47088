"""Messages of customers and their first answers: what is known of each message at the end of each pane.

A message and a reply belong together if channel, customer and conversation are the same, at most `memory_ms` of arrived
time lies between them (whichever came first), and the reply occurred no earlier. The message has waited until the first such
reply that has arrived; from the pane that holds occurred + `target_ms` on (or from its own, if that is later) it is late as
long as there is none. So what is known at the end of a pane is a function of what arrived until then.

Messages and replies meet when they are taken, a batch at once. What they make of each other is news of the pane in which
the later one arrived, and becomes known when that closes.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue
from streams.core.canonical import Ints
from streams.core.columns import RECALL, STILL_OPEN, Columns
from streams.core.counting import count_events
from streams.core.counting_plan import Group
from streams.core.recall.conversations import Conversations, said_since
from streams.core.recall.dues import Dues
from streams.core.recall.heard import Heard
from streams.core.recall.rows import Rows
from streams.core.recall.told import PLAIN, attributes_of, frame_of_told, texts_of

REPLY = "reply"
MESSAGES, REPLIES = "messages", "replies"
STALE = 1 << 62
"""When received, of what no detector shall read: too late for any."""
UNANSWERED = 1 << 62
"""The waiting time of a message that has no reply."""
UNSAID = -2
"""Said of a message of which nothing is known yet."""
_MANY = 1 << 20
"""News of one batch that are worth looking through for what other news make idle."""


class _News(NamedTuple):
    """Waiting times that become known: the panes, the numbers of the messages, the times."""

    panes: Ints
    numbers: Ints
    waited: Ints


class _Side(NamedTuple):
    """The messages or the replies of a batch."""

    code: Ints
    arrived: Ints
    occurred: Ints


class Responses:
    """What is remembered for metrics that agree on events, channels, target and memory."""

    def __init__(self, groups: Sequence[Group], catalogue: Catalogue, pane_ms: int) -> None:
        metric = groups[0].metric
        self._events, self._channels = frozenset(metric.events), frozenset(metric.channels)
        self._target_ms, self._memory_ms = metric.target_ms, metric.memory_ms
        self._columns = [RECALL + group.metric.name for group in groups]
        self._names = [member.name for group in groups for member in group.members]
        self._attributes = attributes_of(
            part for group in groups for one in group.dimensions.values() for part in one.simple
        )
        self._catalogue, self._pane_ms = catalogue, pane_ms
        self._closed = 0
        self._conversations = Conversations(metric.memory_ms, (MESSAGES, REPLIES))
        self._texts = [*PLAIN, *self._attributes]
        both = dict.fromkeys(("arrived", "occurred", "previous"), np.int64)
        asked = dict.fromkeys(("received", "due", "waited", "said"), np.int64)
        self._messages = Rows(**both, **asked, **dict.fromkeys(self._texts, np.object_))
        self._replies = Rows(**both)
        self._dues, self._news = Dues(), deque[_News]()

    @property
    def reach_ms(self) -> int:
        """Return how far back the log decides: to a reply that came before a message that is still remembered."""
        return 2 * self._memory_ms

    def take(self, heard: Heard) -> None:
        """Remember messages and replies, for when their pane closes."""
        columns = heard.columns
        kinds, channels = set(columns.kind.titles), set(columns.channel.titles)
        if channels.isdisjoint(self._channels) or kinds.isdisjoint({*self._events, REPLY}):
            return
        asks = columns.kind.among(self._events) & columns.inbound & columns.direct
        answers = columns.kind.among((REPLY,)) & columns.outbound & ~columns.machine
        wanted = columns.channel.among(self._channels) & columns.customers & columns.original & heard.first
        found = np.flatnonzero((asks | answers) & wanted)
        if len(found):
            rows = found[(heard.named("subject").known & heard.named("conversation_ref").known)[found]]
            self._hear(heard, rows, asks[rows])

    def _hear(self, heard: Heard, rows: Ints, asks: NDArray[np.bool_]) -> None:
        if not len(rows):
            return
        columns, arrived, occurred = heard.columns, heard.arrived[rows], heard.columns.occurred[rows]
        code = self._conversations.codes_of(heard.conversations(rows), arrived)
        asked, answered = (_Side(code[one], arrived[one], occurred[one]) for one in (asks, ~asks))
        replied = self._conversations.last(REPLIES, asked.code)
        numbers = self._add_messages(columns, rows[asks], asked)
        self._add_replies(answered)
        news = _in_order(self._of_messages(asked, numbers, replied) + self._of_replies(answered))
        if len(news.panes):
            self._news.append(news)

    def _add_messages(self, columns: Columns, rows: Ints, asked: _Side) -> Ints:
        numbers = self._messages.coming(len(rows))
        due = np.minimum(asked.occurred, asked.arrived) + self._target_ms
        due = self._panes(np.maximum(asked.arrived, due))
        self._messages.add(
            # what arrived before has closed: it is neither due any more, nor is there news of it
            oldest=self._closed - self._pane_ms - max(self._memory_ms, self._target_ms),
            arrived=asked.arrived, occurred=asked.occurred, received=asked.occurred + columns.age[rows], due=due,
            waited=np.full(len(rows), UNANSWERED), said=np.full(len(rows), UNSAID),
            previous=self._conversations.add(MESSAGES, asked.code, numbers),
            **texts_of(columns, rows, self._attributes),
        )  # fmt: skip
        self._dues.add(due, numbers)
        return numbers

    def _add_replies(self, answered: _Side) -> None:
        numbers = self._replies.coming(len(answered.code))
        self._replies.add(
            oldest=self._closed - self._pane_ms - self._memory_ms,
            arrived=answered.arrived, occurred=answered.occurred,
            previous=self._conversations.add(REPLIES, answered.code, numbers),
        )  # fmt: skip

    def _of_messages(self, asked: _Side, numbers: Ints, replied: Ints) -> list[_News]:
        """Return what messages hear of the replies before this batch; `replied`: the last one to each."""
        out, occurred = [], self._replies["occurred"]
        for at, row in said_since(self._replies, replied, asked.arrived - self._memory_ms):
            waited = occurred[row] - asked.occurred[at]
            told = np.flatnonzero(waited >= 0)
            message = at[told]
            out.append(_News(self._panes(asked.arrived[message]), numbers[message], waited[told]))
        return out

    def _of_replies(self, answered: _Side) -> list[_News]:
        """Return what replies tell of all messages, those of this batch too."""
        out: list[_News] = []
        size, held = 0, self._messages
        arrived, occurred, known = held["arrived"], held["occurred"], held["waited"]
        last = self._conversations.last(MESSAGES, answered.code)
        for at, row in said_since(held, last, answered.arrived - self._memory_ms):
            waited, came, asked = answered.occurred[at] - occurred[row], answered.arrived[at], arrived[row]
            told = np.flatnonzero((waited >= 0) & (waited < known[row]) & (asked - came <= self._memory_ms))
            out.append(_News(self._panes(np.maximum(came, asked)[told]), row[told] + held.first, waited[told]))
            size += len(told)
            if size > _MANY:
                out = [_shortest(out)]
                size = len(out[0].panes)
        return out

    def _panes(self, times: Ints) -> Ints:
        return (times // self._pane_ms + 1) * self._pane_ms

    def begin(self, pane: int) -> None:
        """Take what was remembered so far as said already, up to a pane that is closed."""
        self._hear_until(pane)
        self._dues.until(pane)
        every = np.arange(len(self._messages))
        self._messages["said"][:] = self._known(every, pane)

    def next_due(self) -> int | None:
        """Return the next pane at whose end a message becomes late, if no answer comes; None where none is open."""
        while (found := self._dues.first()) is not None:
            pane, numbers = found
            if (self._messages["waited"][numbers - self._messages.first] == UNANSWERED).any():
                return pane
            self._dues.drop()
        return None

    def close(self, pane: int, *, live: bool) -> Cells:
        """Return the cells of what has become known by the end of a pane; panes never fall.

        Only the first that is said of a message is fresh: what was heard of it later corrects the past.
        """
        touched = [*self._hear_until(pane), *self._dues.until(pane)]
        if not touched:
            return EMPTY
        rows = np.unique(np.concatenate(touched)) - self._messages.first
        said, known = self._messages["said"][rows], self._known(rows, pane)
        changed = known != said
        rows, said, known = rows[changed], said[changed], known[changed]
        self._messages["said"][rows] = known
        again = np.flatnonzero(said != UNSAID)
        return self._counted(rows, known, again, said[again], live=live)

    def _hear_until(self, pane: int) -> list[Ints]:
        """Let messages know what is news up to a pane that is closed; return the numbers of those that hear something."""
        self._closed = pane
        out = []
        while self._news and self._news[0].panes[0] <= pane:
            news = self._news.popleft()
            upto = int(np.searchsorted(news.panes, pane, side="right"))
            if upto < len(news.panes):
                self._news.appendleft(_News(*(column[upto:] for column in news)))
            numbers = news.numbers[:upto]
            np.minimum.at(self._messages["waited"], numbers - self._messages.first, news.waited[:upto])
            out.append(numbers)
        return out

    def _known(self, rows: Ints, pane: int) -> Ints:
        """Return what is known of messages at the end of a pane."""
        waited, due = self._messages["waited"][rows], self._messages["due"][rows]
        return np.where(waited == UNANSWERED, np.where(due <= pane, STILL_OPEN, UNSAID), waited)

    def _counted(self, rows: Ints, known: Ints, again: Ints, before: Ints, *, live: bool) -> Cells:
        """Count as events what is known of messages, and against it what was said `before` of those at `again`."""
        if not len(rows):
            return EMPTY
        received = self._messages["received"][rows]
        received[again] = STALE
        every = np.concatenate((rows, rows[again]))
        waited = np.concatenate((known, before))
        numbers = {
            "occurred_at": self._messages["occurred"][every],
            "received_at": np.concatenate((received, np.full(len(again), STALE))),
            "retract": np.arange(len(every)) >= len(rows),
            **dict.fromkeys(self._columns, waited),
        }
        frame = frame_of_told({name: self._messages[name][every] for name in self._texts}, numbers)
        return count_events(frame, self._catalogue, live=live, metrics=self._names)


def _in_order(news: Sequence[_News]) -> _News:
    if not news:
        return _News(*(np.empty(0, dtype=np.int64) for _ in _News._fields))
    every = _News(*map(np.concatenate, zip(*news, strict=True)))
    order = np.argsort(every.panes, kind="stable")
    return _News(*(column[order] for column in every))


def _shortest(news: Sequence[_News]) -> _News:
    """Return of several times that become known of one message in one pane the shortest."""
    every = _News(*map(np.concatenate, zip(*news, strict=True)))
    order = np.lexsort((every.waited, every.panes, every.numbers))
    first = np.ones(len(order), dtype=np.bool_)
    panes, numbers = every.panes[order], every.numbers[order]
    first[1:] = (panes[1:] != panes[:-1]) | (numbers[1:] != numbers[:-1])
    return _News(*(column[order[first]] for column in every))
