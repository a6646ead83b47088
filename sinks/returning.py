"""Events that are fresh by the log's time and came by the history lane because the clock of their gateway ran ahead. They go back to
their live topics.

As long as an event is no older than H, copies of it may come live (clients send again), and what the store says about its id is not
final. The repeat filter of its live partition knows them all: they arrive within H of the occurrence, and H < W. H is taken with
some slack here, for gateways whose clocks are behind. Imports, reinjections and corrections stay: they are history whatever their age.
"""

import asyncio
from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.broker import reaching
from schemas.bulk import Decoded
from schemas.errors import UnavailableError
from schemas.event import Channel
from schemas.topics import HISTORY, LIVE, Topic, lane_topic
from schemas.windows import HOUR_MS
from sinks.transactions import Record

SLACK_MS = 2 * HOUR_MS
"""A gateway whose clock is behind by at most this (and H/2) still takes for live what is that much older than H."""
_REQUEST_BYTES = 2 << 20


def still_live(decoded: Decoded, reached_ms: int) -> dict[int, Topic]:
    """Return position -> live topic of the decoded events that their gateway took for older than H, and that may still come live.

    `reached_ms`: how far the log has come.
    """
    occurred = decoded.events.column("occurred_at").to_numpy()
    imported = pc.struct_field(decoded.events.column("traits"), "backfill").to_numpy()
    # by columns first: an import has thousands of young events, none of which is meant
    young = np.flatnonzero(~imported & (occurred >= reached_ms - max(map(oldest_ms, LIVE.values()))))
    columns = ["channel", "occurred_at", "received_at", "corrects"]
    out = {}
    for at, one in zip(young.tolist(), decoded.events.select(columns).take(young).to_pylist(), strict=True):
        channel, occurred_at = Channel(one["channel"]), one["occurred_at"]
        taken_for_old = lane_topic(channel, one["received_at"] - occurred_at) is HISTORY
        if one["corrects"] is None and taken_for_old and reached_ms - occurred_at <= oldest_ms(LIVE[channel]):
            out[at] = LIVE[channel]
    return out


def oldest_ms(live: Topic) -> int:
    """Return how old an event may be that goes back to its live topic; well below W, for what lies between look and arrival."""
    assert live.live_max_age_ms is not None
    return live.live_max_age_ms + min(SLACK_MS, live.live_max_age_ms // 2)


class Returning:
    """Writes to live topics, outside of any transaction: those topics have no holes. What is sent twice is a repeat."""

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap, self._client_id = bootstrap, client_id
        self._producer: AIOKafkaProducer | None = None

    async def send(self, records: Sequence[Record]) -> dict[TopicPartition, int]:
        """Return partition -> the offset behind the last record there, once all are acknowledged. Raises UnavailableError."""
        try:
            if self._producer is None:
                self._producer = AIOKafkaProducer(
                    **reaching(self._bootstrap), client_id=self._client_id, acks="all", enable_idempotence=True,
                    compression_type="lz4", max_request_size=_REQUEST_BYTES,
                )  # fmt: skip
                await self._producer.start()
            sent = [
                await self._producer.send(one.topic, key=one.key, value=one.value, headers=list(one.headers))
                for one in records
            ]
            ends: dict[TopicPartition, int] = {}
            for one in await asyncio.gather(*sent):
                tp = TopicPartition(one.topic, one.partition)
                ends[tp] = max(ends.get(tp, 0), one.offset + 1)
        except KafkaError as error:
            raise UnavailableError("kafka_unavailable", f"{self._client_id}: {error!r}") from error
        return ends

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._producer is not None:
            await self._producer.stop()
