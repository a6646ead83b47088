"""The Faust app of a stage: it keeps the group's membership; records come past its streams, by our own consumer."""

from collections.abc import Sequence
from typing import Any

import faust
from yarl import URL

from schemas.broker import broker_of, reaching
from schemas.errors import ContractError
from streams.intake import BulkApp, BulkConsumer, Taker

SESSION_S, HEARTBEAT_S, REBALANCE_S = 10.0, 3.0, 30.0


def build_app(group: str, bootstrap: str, topics: Sequence[str], taker: Taker) -> BulkApp:
    """Return an app that is a member of the group for these topics (full names) and hands all records to `taker`."""
    app = BulkApp(
        group,
        broker=[URL(f"kafka://{one}") for one in broker_of(bootstrap).servers],
        broker_credentials=_credentials(bootstrap),
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_rebalance_timeout=REBALANCE_S,
        consumer_auto_offset_reset="none",
    )
    app.kafka = reaching(bootstrap)
    # Faust subscribes to what agents read; the records themselves never come this way.
    topic = app.topic(*topics, key_serializer="raw", value_serializer="raw")

    @app.agent(topic, name="anchor")
    async def anchor(stream: Any) -> None:
        async for _ in stream:
            taker.failed(ContractError("anchor_read", "a record came by Faust's own path"))

    app.transport.Consumer = BulkConsumer  # type: ignore[misc]
    consumer = app.consumer
    assert isinstance(consumer, BulkConsumer)
    consumer.taker = taker
    return app


def _credentials(bootstrap: str) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """Return how Faust's own producer, which sends nothing, may come in all the same."""
    wanted, broker = reaching(bootstrap), broker_of(bootstrap)
    if broker.mechanism:
        return faust.SASLCredentials(
            username=broker.user,
            password=broker.password,
            mechanism=broker.mechanism,
            ssl_context=wanted.get("ssl_context"),
        )
    return faust.SSLCredentials(wanted["ssl_context"]) if broker.encrypted else None
