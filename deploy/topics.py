"""Create and describe the topics of schemas/topics.py on a real broker."""

import time
from dataclasses import dataclass
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.broker import broker_of, reaching
from schemas.errors import ContractError, UnavailableError
from schemas.topics import TOPICS, Topic

BOOTSTRAP_TIMEOUT_MS = 15_000
CONFIGURED_TIMEOUT_S = 30.0
_TIMESTAMPS = "message.timestamp.type"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """What stands on the broker for one topic of the table."""

    name: str
    topic_id: str
    partitions: int
    created: bool


def configuration(topic: Topic) -> dict[str, str]:
    """Return the broker's settings for a topic of the table."""
    out = {
        "cleanup.policy": str(topic.cleanup),
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "message.timestamp.type": "LogAppendTime" if topic.log_append_time else "CreateTime",
    }
    if topic.cleanup == "compact":
        # small segments, or the newest one is never compacted and a restart reads every old snapshot
        out |= {"segment.bytes": str(64 << 20), "min.cleanable.dirty.ratio": "0.3"}
    return out


def _in_sync(replicas: int) -> dict[str, str]:
    """Return how many replicas must hold a record before it is acknowledged: with three, any one may be lost."""
    return {"min.insync.replicas": str(max(1, replicas - 1)), "unclean.leader.election.enable": "false"}


def connect(bootstrap: str) -> KafkaAdminClient:
    """Return an admin client. Raises UnavailableError if no broker answers."""
    try:
        return KafkaAdminClient(
            **reaching(bootstrap), client_id="barometer-topics", bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT_MS
        )
    except KafkaError as error:
        raise UnavailableError(
            "kafka_unavailable",
            f"no broker at {broker_of(bootstrap)}: {error}",
            broker_of(bootstrap).remedy,
        ) from error


def apply(bootstrap: str, prefix: str, *, replicas: int = 1) -> list[TopicState]:
    """Create the topics that are missing and return all of them; safe to repeat.

    Raises ContractError where a topic stands with other partitions or another timestamp type: neither may ever change.
    """
    admin = connect(bootstrap)
    try:
        created = set()
        for topic in TOPICS:
            wanted = NewTopic(
                name=prefix + topic.name,
                num_partitions=topic.partitions,
                replication_factor=replicas,
                topic_configs=configuration(topic) | _in_sync(replicas),
            )
            try:
                admin.create_topics([wanted])
                created.add(topic.name)
            except TopicAlreadyExistsError:
                pass
        # a topic that has just been created is not in the metadata of every broker at once
        admin.wait_for_topics([prefix + name for name in sorted(created)])
        states = _states(admin, prefix, created)
        for topic, state in zip(TOPICS, states, strict=True):
            if state.partitions != topic.partitions:
                raise ContractError(
                    "partition_count",
                    f"{state.name} has {state.partitions} partitions, the table says {topic.partitions}",
                    "partition counts never change: use another BAROMETER_TOPIC_PREFIX, or a new topic version",
                )
        _check_timestamps(admin, prefix)
        return states
    finally:
        admin.close()


def describe(bootstrap: str, prefix: str) -> list[TopicState]:
    """Return the topics of the table as they stand. Raises ContractError if one is missing."""
    admin = connect(bootstrap)
    try:
        return _states(admin, prefix, set())
    finally:
        admin.close()


def _states(admin: KafkaAdminClient, prefix: str, created: set[str]) -> list[TopicState]:
    found: dict[str, Any] = {
        one["name"]: one
        for one in admin.describe_topics([prefix + topic.name for topic in TOPICS])
        if not one["error_code"]
    }
    missing = [prefix + topic.name for topic in TOPICS if prefix + topic.name not in found]
    if missing:
        raise ContractError("topics_missing", ", ".join(missing), "run `barometer topics apply`")
    return [
        TopicState(
            name=prefix + topic.name,
            topic_id=found[prefix + topic.name]["topic_id"],
            partitions=len(found[prefix + topic.name]["partitions"]),
            created=topic.name in created,
        )
        for topic in TOPICS
    ]


def _configured(admin: KafkaAdminClient, resources: list[ConfigResource]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {resource.name: found.get(resource.name, {}) for resource in resources}


def _check_timestamps(admin: KafkaAdminClient, prefix: str) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + topic.name) for topic in TOPICS if topic.log_append_time
    ]
    # a broker that has not heard of a new topic yet answers for it without a word of its settings
    deadline = time.monotonic() + CONFIGURED_TIMEOUT_S
    found = _configured(admin, resources)
    while not all(_TIMESTAMPS in values for values in found.values()):
        if time.monotonic() > deadline:
            raise UnavailableError("kafka_unavailable", "the broker does not say how its topics are set", "try again")
        time.sleep(0.2)
        found = _configured(admin, resources)
    wrong = [name for name, values in found.items() if values[_TIMESTAMPS]["value"] != "LogAppendTime"]
    if wrong:
        raise ContractError(
            "timestamp_type",
            f"{', '.join(wrong)}: message.timestamp.type is not LogAppendTime",
            "the time of arrival is part of the log: make a new topic (another BAROMETER_TOPIC_PREFIX)",
        )
