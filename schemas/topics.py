"""The topic table: the only place where topics are defined; `barometer topics apply` creates them from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.codec import Kind
from schemas.event import Channel
from schemas.windows import DAY_MS, HOUR_MS


class Cleanup(StrEnum):
    DELETE = "delete"
    COMPACT = "compact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic; times in ms.

    `repeat_window_ms` (W): an id that stands at an earlier offset of the partition at most W before is a repeat; None: no filter.
    `live_max_age_ms` (H < W <= 2H): an event whose received_at - occurred_at exceeds H takes the history lane.
    """

    name: str
    record: Kind
    key: str
    partitions: int
    retention_ms: int
    cleanup: Cleanup = Cleanup.DELETE
    log_append_time: bool = True
    max_message_bytes: int = 1 << 20
    repeat_window_ms: int | None = None
    live_max_age_ms: int | None = None
    transactional: bool = False


def _live(channel: Channel, repeat_window_ms: int) -> Topic:
    return Topic(
        name=f"feedback.{channel}.v1",
        record=Kind.EVENT,
        key="subject, else event_id",
        partitions=4,
        retention_ms=28 * DAY_MS,
        repeat_window_ms=repeat_window_ms,
        live_max_age_ms=repeat_window_ms // 2,
    )


LIVE: Mapping[Channel, Topic] = {
    Channel.CARD: _live(Channel.CARD, 14 * DAY_MS),
    Channel.EMAIL: _live(Channel.EMAIL, 6 * DAY_MS),
    Channel.CALL: _live(Channel.CALL, 6 * DAY_MS),
    Channel.WEB: _live(Channel.WEB, HOUR_MS),
    Channel.ORDER: _live(Channel.ORDER, 2 * DAY_MS),
}
HISTORY = Topic(
    name="feedback.history.v1",
    record=Kind.EVENT,
    key="subject, else event_id",
    partitions=4,
    retention_ms=28 * DAY_MS,
)
ADMITTED = Topic(
    name="feedback.admitted.v1", record=Kind.EVENT, key="as in history", partitions=4, retention_ms=28 * DAY_MS,
    transactional=True,
)  # fmt: skip
TALLIES = Topic(
    name="barometer.tallies.v1", record=Kind.BLOCK, key="topic id and partition; decisions: their kind", partitions=1,
    retention_ms=28 * DAY_MS, max_message_bytes=16 << 20,
)  # fmt: skip
READINGS = Topic(
    name="barometer.readings.v1", record=Kind.READING, key="metric, dimension, key", partitions=4,
    retention_ms=28 * DAY_MS, transactional=True,
)  # fmt: skip
ALARMS = Topic(
    name="barometer.alarms.v1", record=Kind.TRANSITION, key="alarm id", partitions=1, retention_ms=28 * DAY_MS,
    transactional=True,
)  # fmt: skip
IMMEDIATE = Topic(
    name="barometer.alarms.immediate.v1", record=Kind.TRANSITION, key="alarm id", partitions=1,
    retention_ms=28 * DAY_MS, repeat_window_ms=14 * DAY_MS,
)  # fmt: skip
REJECTED = Topic(
    name="barometer.rejected.v1",
    record=Kind.REJECTED,
    key="rejected id",
    partitions=4,
    retention_ms=7 * DAY_MS,
    transactional=True,
)
STATE = Topic(
    name="barometer.state.v1", record=Kind.SNAPSHOT, key="slot and chunk of the snapshot", partitions=1,
    retention_ms=-1, cleanup=Cleanup.COMPACT, max_message_bytes=8 << 20, transactional=True,
)  # fmt: skip
CATALOGUES = Topic(
    name="barometer.catalogue.v1", record=Kind.DECISION, key="decision id", partitions=1, retention_ms=-1,
    cleanup=Cleanup.COMPACT, transactional=True,
)  # fmt: skip
"""Every catalogue that the tallies log was or is counted with, for whoever does not read that log from its begin."""
LEDGER = Topic(
    name="barometer.ledger.v1", record=Kind.LEDGER, key="topic id and partition", partitions=1, retention_ms=28 * DAY_MS,
    transactional=True,
)  # fmt: skip
"""What gateways say was acknowledged to them, and what the gate decided; the other lines of the ledger follow from the log."""

TOPICS: tuple[Topic, ...] = (
    *LIVE.values(),
    HISTORY,
    ADMITTED,
    TALLIES,
    READINGS,
    ALARMS,
    IMMEDIATE,
    REJECTED,
    STATE,
    CATALOGUES,
    LEDGER,
)
SOURCES: tuple[Topic, ...] = (*LIVE.values(), ADMITTED)
"""The topics that stage 1 counts."""
EVENT_TOPICS: tuple[Topic, ...] = SOURCES
"""The topics whose events become rows of feedback_events."""

GROUP_TALLY = "barometer-tally"
GROUP_JUDGE = "barometer-judge"
GROUP_GATE = "barometer-gate"
GROUP_RECOUNT = "barometer-recount"
GROUP_SEED = "barometer-seed"
"""Its positions lie in the topic of catalogues: before them, every change has given its new series their past."""


def sink_group(table: str) -> str:
    """Return the consumer group of the sink of one table."""
    return f"barometer-sink-{table}"


def lane_topic(channel: Channel, age_ms: int) -> Topic:
    """Return the topic for an event of `channel` that was `age_ms` old when it was received."""
    live = LIVE[channel]
    assert live.live_max_age_ms is not None
    return live if age_ms <= live.live_max_age_ms else HISTORY
