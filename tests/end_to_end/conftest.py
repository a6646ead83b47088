"""One whole installation for these tests: real engines, five real processes, panes of a second."""

import os
import uuid
from collections.abc import Iterator

import pytest

from deploy.engines.local import Endpoints
from deploy.settle import settle
from deploy.stack import Stack
from schemas.settings import Settings
from sinks import clickhouse

SETTLE_TIMEOUT_S = 120.0


@pytest.fixture(scope="package")
def stack(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    name = f"e2e{uuid.uuid4().hex[:10]}"
    host, port = engines.clickhouse_native
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("stack")),
        kafka_bootstrap=engines.kafka_bootstrap,
        topic_prefix=f"{name}.",
        clickhouse_url=f"clickhouse://default@{host}:{port}/{name}",
        clickhouse_http_url=engines.clickhouse_http,
        clickhouse_database=name,
        gateway_port=28_080,
        pane_ms=1_000,
        provisional_step_ms=10_000,
        log_level="debug",  # the most that can be said, for whoever looks for secrets in it
    )
    running = Stack(settings, environ=os.environ)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        with clickhouse.connect(running.settings, database="default") as client:
            client.execute(f"DROP DATABASE IF EXISTS {name} SYNC")


def settled(stack: Stack) -> int:
    """Wait until all that was sent is counted, judged and stored; return the last pane judged."""
    return settle(stack.settings.kafka_bootstrap, stack.settings.topic_prefix, timeout_s=SETTLE_TIMEOUT_S)
