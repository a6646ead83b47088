"""The declared catalogues of a running installation, with who declared them."""

import asyncio
import socket
from datetime import UTC, datetime

from schemas.broker import broker_of
from schemas.declared import Catalogues
from schemas.errors import ContractError, UnavailableError
from schemas.outputs import Decision
from schemas.settings import Settings
from schemas.topics import CATALOGUES
from streams.catalogues import read_declarations
from streams.topic_ids import find_topics

CONNECT_TIMEOUT_S = 3.0


def declarations(settings: Settings) -> list[Decision]:
    """Return the decisions `catalogue`, by the pane from which they count; none before the first judge and its topics.

    Not to be called from within an event loop. Raises UnavailableError.
    """
    name = settings.topic_prefix + CATALOGUES.name
    if not any(_answers(one) for one in broker_of(settings.kafka_bootstrap).servers):
        raise UnavailableError("kafka_unavailable", f"no broker answers at {broker_of(settings.kafka_bootstrap)}")
    try:
        find_topics(settings.kafka_bootstrap, [name])
    except ContractError:  # an installation that has never been started, or one from before catalogues were declared
        return []
    return asyncio.run(read_declarations(settings.kafka_bootstrap, settings.topic_prefix))


def declared_in(settings: Settings) -> Catalogues:
    """Return the catalogues that they declare. Raises UnavailableError, ContractError for one that cannot be read here."""
    return Catalogues.of(declarations(settings))


def moment_of(at_ms: int) -> str:
    """Return a time (ms) as people read it, in UTC, to the second; 0 is the begin of the log."""
    return "the begin" if not at_ms else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _answers(server: str) -> bool:
    """Return whether anybody takes a connection; Kafka's own client would try for half a minute."""
    host, _, port = server.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S):
            return True
    except (OSError, ValueError):
        return False
