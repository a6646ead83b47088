"""A migrated database with the views of a catalogue, and events in it as the sink and stage 1 would store them."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from clickhouse_driver import Client

from deploy.engines.local import Endpoints
from schemas.arrival import pane_of
from schemas.blocks import Block, Cells, to_record
from schemas.catalogue import Catalogue, load
from schemas.codec import Kind, encode
from schemas.event import FeedbackEvent
from schemas.event import to_record as event_record
from schemas.settings import Settings
from schemas.topics import ADMITTED, TALLIES
from sinks.clickhouse import connect
from sinks.making import Make, Memory, Take
from sinks.making_events import make_events
from sinks.making_tallies import make_tallies
from sinks.migrate import migrate
from sinks.storing import columns_statement
from streams.core.counting import count_events, frame_of
from streams.core.merging import merged
from streams.core.recall import Recall

ARRIVED_MS, PANE_MS = 1_780_000_000_000, 10_000
EVERY_KIND = Path(__file__).with_name("every_kind.toml")
Stored = Callable[[Path | None], Client]


class Kept:
    def __init__(self, offset: int, value: bytes) -> None:
        self.offset, self.key, self.value = offset, b"k", value


@pytest.fixture(scope="module")
def migrated(engines: Endpoints) -> Iterator[Callable[[str], Client]]:
    """Make a database with the views of a catalogue; dropped at the end of the module."""
    host, port = engines.clickhouse_native
    made: list[Client] = []

    def make(catalogue: str) -> Client:
        url = f"clickhouse://default@{host}:{port}"
        settings = Settings(clickhouse_url=url, clickhouse_database=f"t{uuid.uuid4().hex[:10]}", catalogue=catalogue)
        migrate(settings)
        made.append(connect(settings))
        return made[-1]

    yield make
    for client in made:
        client.execute(f"DROP DATABASE {client.connection.database} SYNC")
        client.disconnect()


def stored(client: Client, catalogue: Catalogue, events: Sequence[FeedbackEvent], *, every_ms: int = 1) -> Cells:
    """Store events, one of which arrived `every_ms`, and the block that counts them; return its cells."""
    records = [event_record(one) for one in events]
    arrived = [ARRIVED_MS + i * every_ms for i in range(len(events))]
    to_pane = pane_of(arrived[-1], PANE_MS)
    recall = Recall(catalogue, PANE_MS, live=True)
    frame = recall.take(frame_of(records), np.ones(len(events), dtype=np.bool_), np.array(arrived, dtype=np.int64))
    cells = merged([count_events(frame, catalogue, live=True), recall.close(to_pane)])
    block = Block(
        topic=ADMITTED.name, topic_id="t", partition=0, from_pane=0, to_pane=to_pane, pane_ms=PANE_MS,
        arrived_ms=arrived[-1], next_offset=len(events), catalogue_hash=catalogue.hash, cells=cells, events=len(events),
    )  # fmt: skip
    _insert(client, "feedback_events", make_events, ADMITTED, [encode(Kind.EVENT, one) for one in records], arrived)
    _insert(client, "tallies", make_tallies, TALLIES, [encode(Kind.BLOCK, to_record(block))], [ARRIVED_MS])
    return cells


def _insert(client: Client, table: str, make: Make, topic, values: list[bytes], arrived: list[int]) -> None:
    made = make([Take(topic, "t", 0, [Kept(i, value) for i, value in enumerate(values)], arrived)], Memory())
    assert made.rows is not None and made.rejected is None
    statement, columns = columns_statement(table, made.rows)
    client.execute(statement, columns, columnar=True)


@pytest.fixture(scope="module")
def every_kind() -> Catalogue:
    return load(str(EVERY_KIND))
