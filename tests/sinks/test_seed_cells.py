"""The seed against stage 1: its cells are the sum of the cells of the blocks before the cuts, to the last count, for every kind."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord
from clickhouse_driver import Client
from hypothesis import given
from hypothesis import strategies as st

from deploy.engines.local import Endpoints
from schemas.arrival import TICK_KEY
from schemas.blocks import Block, Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, load
from schemas.codec import Kind, encode
from schemas.event import Channel, FeedbackEvent, to_record
from schemas.metrics import MetricKind
from schemas.repeats import RepeatFilter
from schemas.topics import ADMITTED, LIVE, Topic
from schemas.windows import DAY_MS, HOUR_MS
from sinks.making import Memory, Take
from sinks.making_events import make_events
from sinks.migrate import apply, migrations
from sinks.seed_cells import Cut, in_blocks, past_cells, stored_events
from sinks.storing import columns_statement
from streams.core.tally import PartitionTally, TallyState
from streams.runs import runs_of
from tests.sinks.compiled.conftest import EVERY_KIND
from tests.sinks.compiled.feedback import conversations, feedback

PANE_MS = HOUR_MS
START = 1_780_000_000_000 // DAY_MS * DAY_MS
EVERY_MS = 600_000
Records = list[ConsumerRecord[bytes, bytes]]


def records(topic: Topic, events: Sequence[FeedbackEvent], every_ms: int) -> Records:
    """Return the log of a partition: an event `every_ms`, a tick behind every tenth, an earlier id again now and then."""
    out: Records = []
    for number, one in enumerate(events):
        again = [events[number // 2]] if number % 17 == 16 else []
        for value in [
            *(encode(Kind.EVENT, to_record(each)) for each in [one, *again]),
            *([None] if number % 10 == 9 else []),
        ]:
            key = TICK_KEY if value is None else b"k"
            at = START + number * every_ms
            out.append(ConsumerRecord(topic.name, 0, 2 * len(out), at, 1, key, value, None, 1, 1, ()))
    return out


def blocks(topic: Topic, catalogue: Catalogue, log: Records) -> list[Block]:
    window = topic.repeat_window_ms
    tally = PartitionTally(
        topic.name, f"id-{topic.name}", 0, catalogue, PANE_MS, topic is not ADMITTED,
        None if window is None else RepeatFilter(window), TallyState(),
    )  # fmt: skip
    return tally.feed(runs_of({0: log})[0])


def keep(client: Client, topic: Topic, log: Records) -> None:
    """Store the records as the sink does."""
    memory = Memory()
    if topic.repeat_window_ms is not None:
        memory.filters[topic.name, 0] = RepeatFilter(topic.repeat_window_ms)
    made = make_events([Take(topic, f"id-{topic.name}", 0, log, [one.timestamp for one in log])], memory)
    assert made.rows is not None
    statement, columns = columns_statement("feedback_events", made.rows)
    client.execute(statement, columns, columnar=True)


def summed(parts: Sequence[Cells], since: int, metric: str) -> Cells:
    """Add cells up, none of them fresh."""
    return cells_of(
        row._replace(fresh=0)
        for cells in parts for row in cells.rows()
        if row.series.metric == metric and row.minute * 60_000 >= since
    )  # fmt: skip


def of_channel(events: Sequence[FeedbackEvent], channel: Channel) -> list[FeedbackEvent]:
    return [msgspec.structs.replace(one, channel=channel) for one in events]


def world() -> dict[Topic, Records]:
    """Return the logs of three partitions: talks by mail, all kinds of feedback by card, and all that, late, admitted."""
    talks = conversations(9, 240, since_ms=START, every_ms=EVERY_MS)
    mails = of_channel(talks, Channel.EMAIL)
    cards = of_channel(feedback(7, 150), Channel.CARD)
    cards = [
        msgspec.structs.replace(one, occurred_at=START + at * EVERY_MS - one.occurred_at % (40 * HOUR_MS))
        for at, one in enumerate(cards)
    ]
    past = conversations(10, 150, since_ms=START, every_ms=EVERY_MS)
    every = [one for pair in zip(feedback(11, 200), past, strict=False) for one in pair]
    every = [msgspec.structs.replace(one, occurred_at=START - one.occurred_at % (50 * DAY_MS)) for one in every]
    return {
        LIVE[Channel.EMAIL]: records(LIVE[Channel.EMAIL], mails, EVERY_MS),
        LIVE[Channel.CARD]: records(LIVE[Channel.CARD], cards, EVERY_MS),
        ADMITTED: records(ADMITTED, every, EVERY_MS // 2),
    }


@pytest.fixture(scope="module")
def logs() -> dict[Topic, Records]:
    return world()


@pytest.fixture(scope="module")
def client(engines: Endpoints, logs: dict[Topic, Records]) -> Iterator[Client]:
    """The tables with the events of all logs, without the views of a catalogue."""
    host, port = engines.clickhouse_native
    name = f"t{uuid.uuid4().hex[:10]}"
    with Client(host, port=port) as server:
        server.execute(f"CREATE DATABASE {name}")
        with Client(host, port=port, database=name) as one:
            apply(one, migrations(), lambda _line: None)
            for topic, log in logs.items():
                keep(one, topic, log)
            yield one
        server.execute(f"DROP DATABASE {name} SYNC")


def test_the_seed_is_what_stage_1_would_have_counted_before_the_cuts(
    client: Client, logs: dict[Topic, Records]
) -> None:
    since = START - 20 * DAY_MS
    for catalogue in (load(str(EVERY_KIND)), load()):
        counted: list[Cells] = []
        cuts = []
        for number, (topic, log) in enumerate(logs.items()):
            made = blocks(topic, catalogue, log)
            whole = [one for one in made if one.from_pane == one.to_pane]
            first = whole[(2 + number) * len(whole) // 6]
            counted += [one.cells for one in made if one.to_pane < first.from_pane]
            cuts.append(Cut(topic.name, f"id-{topic.name}", 0, first.from_pane - PANE_MS))
        sizes: Counter[MetricKind] = Counter()
        for metric in catalogue.metric:
            found = list(past_cells(client, metric, catalogue, cuts, since))
            expected = summed(counted, since, metric.identity)
            assert (found or [cells_of(())]) == [expected], metric.name
            sizes[metric.kind] += len(expected)
        assert set(sizes) == {one.kind for one in catalogue.metric}
        assert sum(one > 10 for one in sizes.values()) > 9, sizes
    assert set(MetricKind) == {one.kind for one in load(str(EVERY_KIND)).metric}
    assert 0 < stored_events(client, cuts, since) < sum(map(len, logs.values()))


def test_what_is_late_at_a_cut_is_late_in_the_seed_wherever_the_cut_lies(
    client: Client, logs: dict[Topic, Records]
) -> None:
    catalogue, mail = load(str(EVERY_KIND)), LIVE[Channel.EMAIL]
    asked = [one for one in catalogue.metric if one.kind in {MetricKind.RESPONSE, MetricKind.REPEAT}]
    catalogue = msgspec.structs.replace(catalogue, metric=asked)
    made = blocks(mail, catalogue, logs[mail])
    ends = range(START + 3 * HOUR_MS, made[-1].to_pane, 3 * HOUR_MS)
    for number, end in enumerate(ends):
        since = START + (end - START) // 2 if number % 2 else START - 20 * DAY_MS
        cuts = [Cut(mail.name, f"id-{mail.name}", 0, end)]
        counted = [one.cells for one in made if one.to_pane <= end]
        for metric in asked:
            found = list(past_cells(client, metric, catalogue, cuts, since))
            expected = summed(counted, since // 60_000 * 60_000, metric.identity)
            assert (found or [cells_of(())]) == [expected], (metric.name, number)
    assert len(ends) > 10


names = st.builds(
    Series, st.sampled_from(["a@1", "b@2"]), st.just("*"), st.sampled_from(["*", "é", "z" * 40]), st.just("card")
)
rows = st.lists(
    st.builds(Row, names, st.integers(0, 50), st.integers(0, 3), st.just(0), st.integers(1, 9), st.integers(0, 9))
)


@given(rows, st.integers(1, 9), st.integers(60, 400))
def test_blocks_of_a_seed_hold_each_row_once_and_no_more_than_they_may(
    given_rows: list[Row], most_rows: int, most_bytes: int
) -> None:
    whole = cells_of(given_rows)
    plain: list[Any] = [(*row.series, row.minute, row.bin, row.count, row.sum) for row in whole.rows()]
    parts = list(in_blocks(plain, most_rows, most_bytes))
    assert [row for part in parts for row in part.rows()] == list(whole.rows())
    assert all(0 < len(part) <= most_rows for part in parts)
    assert all(part == cells_of(part.rows()) for part in parts), "canonical, so that equal seeds are equal bytes"
