"""The checkers I1 to I10 of the fault matrix: each reads the ledger and the store and says in words what is wrong, or nothing.

Counted by ids, without FINAL, past the links, after everything has settled.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition

from deploy.positions import Positions
from deploy.replay import replay
from deploy.settle import lags
from schemas.codec import Kind, decode_as
from schemas.errors import BarometerError
from schemas.settings import Settings
from sinks import clickhouse
from sinks.accounting import conservation
from tests.faults.ledger import Sent
from tests.faults.load import HIT

SHOWN = 3
RULE = "satisfaction_drop"
RSS_CAP_MB = 1_200.0
"""Of one process; the largest seen at rest has about 250 MB."""


@dataclass
class Verdict:
    """What the checkers found. `lost`, `duplicated`, `foreign`: ids; `aggregates`: readings, blocks and transitions that differ."""

    accepted: int = 0
    unknown: int = 0
    unknown_stored: int = 0
    refused: int = 0
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    foreign: int = 0
    changed: int = 0
    aggregates: int = 0
    transitions: int = 0
    """Of the drop alarm, at the shop whose ratings swing."""
    problems: list[str] = field(default_factory=list)

    def wrong(self, rule: str, what: str, some: Any = None) -> None:
        """Note that a rule is broken."""
        shown = "" if some is None else f": {', '.join(map(str, list(some)[:SHOWN]))}"
        self.problems.append(f"{rule} {what}{shown}")


def stored_rows(client: Client) -> list[tuple[Any, ...]]:
    """Return id, channel, place, time (ms) and scores of every row that stands for an event."""
    rows: list[tuple[Any, ...]] = client.execute(
        "SELECT event_id, toString(channel), toString(touchpoint), toUnixTimestamp64Milli(occurred_at), answer_score "
        "FROM feedback_events WHERE NOT retract"
    )
    return rows


def rows_against_ledger(
    sent: Sent, rows: list[tuple[Any, ...]], refused_ids: Mapping[str, int], verdict: Verdict
) -> None:
    """I1 to I5 and I7: ids and bodies of the rows against what was answered. `refused_ids`: id -> rejected records of it."""
    counts = Counter(row[0] for row in rows)
    stored = counts.keys()
    verdict.accepted, verdict.unknown, verdict.rows = len(sent.accepted), len(sent.unknown), len(rows)
    verdict.refused = len(sent.refused)
    verdict.unknown_stored = len(sent.unknown & stored)
    lost = sent.accepted - stored - refused_ids.keys()
    if lost:
        verdict.lost = len(lost)
        verdict.wrong("I1", f"{len(lost)} acknowledged events are neither rows nor rejected", sorted(lost))
    both = sent.accepted & stored & refused_ids.keys()
    if both:
        verdict.wrong("I1", f"{len(both)} events are rows and rejected", sorted(both))
    again = sorted(one for one, count in refused_ids.items() if count > 1)
    if again:
        verdict.wrong("I2", f"{len(again)} events are set aside more than once", again)
    twice = sorted(one for one, count in counts.items() if count > 1)
    if twice:
        verdict.duplicated = sum(counts[one] - 1 for one in twice)
        verdict.wrong("I2", f"{len(twice)} ids stand more than once", twice)
        doubtful = sent.unknown.intersection(twice)
        if doubtful:
            verdict.wrong("I3", f"{len(doubtful)} of them were never acknowledged", sorted(doubtful))
    foreign = stored - sent.accepted - sent.unknown - sent.refused
    if foreign:
        verdict.foreign = len(foreign)
        verdict.wrong("I4", f"{len(foreign)} rows were never sent", sorted(foreign))
    changed = [one for one, *body in rows if one in sent.prints and not _same(sent.prints[one], body)]
    if changed:
        verdict.changed = len(changed)
        verdict.wrong("I5", f"{len(changed)} rows are not what was sent", changed)
    refused = sent.refused & stored
    if refused:
        verdict.wrong("I7", f"{len(refused)} refused events are rows", sorted(refused))


def _same(sent: tuple[str, str, int, tuple[float, ...]], row: list[Any]) -> bool:
    channel, place, occurred, scores = row
    return sent == (channel, place, occurred, tuple(scores))


def aggregates(settings: Settings, verdict: Verdict) -> None:
    """I6: every block, reading and transition equals a clean pass over the log, and events in equal rows out."""
    try:
        balance = conservation(settings)
        if not balance.holds:
            verdict.wrong("I6", f"conservation: {balance}")
        report = replay(settings)
    except BarometerError as error:
        verdict.wrong("I6", f"cannot recount: {error}")
        return
    verdict.aggregates = report.difference_count
    if not report.equal:
        verdict.wrong("I6", f"{report.difference_count} readings, blocks or transitions differ", report.differences)


def drained(settings: Settings, timeout_s: float, verdict: Verdict) -> None:
    """I8: no position stays behind the end for longer than ticks need. Raises UnavailableError."""
    deadline = time.monotonic() + timeout_s
    with Positions(settings.kafka_bootstrap, settings.topic_prefix) as positions:
        while True:
            behind = {group: lag for group, lag in lags(positions).items() if lag > SLACK_RECORDS}
            if not behind:
                return
            if time.monotonic() > deadline:
                verdict.wrong("I8", f"still behind after {timeout_s:g} s: {behind}")
                return
            time.sleep(0.3)


SLACK_RECORDS = 100
"""Ticks and markers that come while the positions are read."""


def memory(peaks_mb: Mapping[str, float], spool_mb: float, settings: Settings, verdict: Verdict) -> None:
    """I9: no process of ours grew past the cap, nor the spool past its own. `peaks_mb`: process -> largest resident memory."""
    for name, peak in peaks_mb.items():
        if peak > RSS_CAP_MB:
            verdict.wrong("I9", f"{name} held {peak:.0f} MB, the cap is {RSS_CAP_MB:.0f}")
    if spool_mb * 1e6 > settings.spool_max_bytes:
        verdict.wrong("I9", f"the spool held {spool_mb:.0f} MB, the cap is {settings.spool_max_bytes / 1e6:.0f}")


def said_so(tells: tuple[str, ...], heard: Mapping[str, str], silent: Mapping[str, str], verdict: Verdict) -> None:
    """I10: who had to say that something was wrong did, and nobody says so any more. `silent`: who is not ready after it."""
    for name in tells:
        if name not in heard:
            verdict.wrong("I10", f"{name} never said that it was not ready")
    for name, why in silent.items():
        verdict.wrong("I10", f"{name} still says that it is not ready: {why}")


def refused_ids(settings: Settings, client: Client) -> Counter[str]:
    """Return id -> records of it that the store refused: read from the log by their places, as raw bytes may be sealed."""
    rows = client.execute(
        "SELECT toString(topic), `partition`, `offset` FROM rejected_events "
        "WHERE stage = 'sink' AND reason = 'refused_by_store'"
    )
    out: Counter[str] = Counter()
    if not rows:
        return out
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False)
    try:
        for topic, partition, offset in rows:
            where = TopicPartition(settings.topic_prefix + topic, partition)
            consumer.assign([where])
            consumer.seek(where, offset)
            found = next(one for one in consumer.poll(timeout_ms=10_000, max_records=1)[where])
            out[decode_as(Kind.EVENT, found.value)["event_id"]] += 1
    finally:
        consumer.close()
    return out


def check(settings: Settings, sent: Sent, verdict: Verdict) -> None:
    """Enter what I1 to I5, I7 and I8 say of a stack that has settled; `settings` lead past the links."""
    with clickhouse.connect(settings) as client:
        rows = stored_rows(client)
        rows_against_ledger(sent, rows, refused_ids(settings, client), verdict)
        keys = dict(client.execute(f"SELECT key, count() FROM alarm_transitions WHERE rule = '{RULE}' GROUP BY key"))
    elsewhere = sorted(keys.keys() - {HIT})
    if elsewhere:
        verdict.wrong("I10", f"{RULE} rose where nothing had changed", elsewhere)
    verdict.transitions = sum(keys.values())
    drained(settings, 30.0, verdict)
