"""What the broker says of topics: their ids and partition counts. A topic that was created anew has another id."""

from collections.abc import Iterable
from typing import NamedTuple

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from schemas.broker import broker_of, reaching
from schemas.errors import ContractError, UnavailableError


class Found(NamedTuple):
    """A topic as the broker knows it: the id in its canonical UUID text, and the number of partitions."""

    topic_id: str
    partitions: int


def find_topics(bootstrap: str, names: Iterable[str]) -> dict[str, Found]:
    """Return name -> id and partitions; blocks for one round trip.

    Raises ContractError for a topic that does not exist, UnavailableError if no broker answers.
    """
    wanted = list(names)
    try:
        admin = KafkaAdminClient(**reaching(bootstrap))
        try:
            described = admin.describe_topics(wanted)
        finally:
            admin.close()
    except KafkaError as error:
        raise UnavailableError("kafka_unavailable", f"{broker_of(bootstrap)}: {error}") from error
    found = {
        topic["name"]: Found(topic["topic_id"], len(topic["partitions"]))
        for topic in described
        if topic["error_code"] == 0
    }
    missing = sorted(set(wanted) - found.keys())
    if missing:
        raise ContractError("no_topic", f"no topic {', '.join(missing)}", "run `barometer topics apply`")
    return found
