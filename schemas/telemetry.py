"""Every Prometheus metric, declared once: name, kind, help, labels. No data, no series: a metric appears with its first value
(a counter that `increase()` is asked for may be given a 0 before, since that misses the first count of a series).

Labels come from closed sets (channel, reason, stage, table, topic, partition, catalogue keys), never from customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "barometer_"
RECORD_BUCKETS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

Name = Literal[
    "satisfaction", "satisfaction_lower", "satisfaction_upper", "satisfaction_answers", "reading_age_seconds",
    "alarms_open", "alarms_pending", "alarm_transitions_total", "alarm_budget_spent_total", "baseline_drift",
    "detector_armed_keys", "detector_unarmed_keys",
    "captured_total", "published_total", "rejected_total", "repeats_total", "http_requests_total",
    "http_request_seconds", "publish_seconds", "sent_clock_difference_seconds",
    "spooled_total", "spool_drained_total", "spool_records", "spool_bytes", "spool_max_bytes", "spool_oldest_age_seconds",
    "spool_unreadable_entries",
    "lag_records", "lag_seconds", "blocks_total", "ticks_total", "undecodable_total", "answers_left_out_total", "batch_records", "stage_seconds",
    "judge_pane_lag_seconds", "source_left_out", "source_paused", "judge_pane_timestamp_seconds", "judge_transaction_seconds", "dirty_windows_total", "revised_by_recount_total",
    "ignored_decisions_total", "overflow_keys_total", "snapshot_seconds", "snapshot_bytes",
    "inserts_total", "inserted_rows_total", "insert_seconds", "set_aside_total", "sink_stopped", "capture_to_row_seconds", "capture_to_alarm_seconds",
    "gate_waiting_for_partition", "gate_admitted_total", "gate_returned_total", "unaccounted_events", "accounted_hour_timestamp_seconds", "build_info",
    "notifications_total", "notify_lag_seconds", "notify_seconds",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric: kind, meaning, labels."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = LATENCY_BUCKETS_S
    """Of a histogram."""


_KEYED = ("metric", "window", "dimension", "key")
SPECS: Mapping[Name, Spec] = {
    "satisfaction": Spec("gauge", "Last reading of a metric over a trailing window", _KEYED),
    "satisfaction_lower": Spec("gauge", "Lower bound of its interval", _KEYED),
    "satisfaction_upper": Spec("gauge", "Upper bound of its interval", _KEYED),
    "satisfaction_answers": Spec("gauge", "Answers in the window", _KEYED),
    "reading_age_seconds": Spec("gauge", "Arrived time judged last minus the as_of of the newest reading", ("metric",)),
    "alarms_open": Spec("gauge", "Alarms that are open, acknowledged or flapping", ("metric", "severity", "state")),
    "alarms_pending": Spec("gauge", "Alarms that are held back until their statistic has stayed up", ("metric", "severity")),
    "alarm_transitions_total": Spec("counter", "Alarms that came into a state; 0 from the start for all that can", ("rule", "state")),
    "alarm_budget_spent_total": Spec("counter", "False alarms that the budget has allowed for so far, expected number", ("rule",)),
    "baseline_drift": Spec("gauge", "Learned bad share minus the declared one, by key with a baseline", ("rule", "key")),
    "detector_armed_keys": Spec("gauge", "Keys with a baseline, by rule", ("rule",)),
    "detector_unarmed_keys": Spec("gauge", "Keys seen but without a baseline, by rule", ("rule",)),
    "captured_total": Spec("counter", "Inputs taken in", ("channel", "route")),
    "published_total": Spec("counter", "Events acknowledged by the broker", ("topic",)),
    "rejected_total": Spec("counter", "Inputs rejected", ("stage", "reason")),
    "repeats_total": Spec("counter", "Repeated ids dropped", ("stage", "topic")),
    "http_requests_total": Spec("counter", "HTTP answers", ("route", "code")),
    "http_request_seconds": Spec("histogram", "Time to answer", ("route",)),
    "publish_seconds": Spec("histogram", "Time from send to the broker's acknowledgement"),
    "spooled_total": Spec("counter", "Records made durable in the gateway's local spool", ("topic",)),
    "spool_drained_total": Spec("counter", "Spooled records acknowledged by the broker, by the topic that took them", ("topic",)),
    "spool_records": Spec("gauge", "Records in the local spool"),
    "spool_bytes": Spec("gauge", "Bytes in the local spool"),
    "spool_max_bytes": Spec("gauge", "Bytes that the local spool may hold"),
    "spool_oldest_age_seconds": Spec("gauge", "Age of the oldest record in the local spool; 0: it is empty"),
    "spool_unreadable_entries": Spec("gauge", "Entries of the local spool that its keys do not open; they are kept"),
    "sent_clock_difference_seconds": Spec("gauge", "Log-append time minus the producer's sent header", ("topic", "partition")),
    "lag_records": Spec("gauge", "Records not yet processed", ("stage", "topic", "partition")),
    "lag_seconds": Spec("gauge", "Age of the last record processed", ("stage", "topic", "partition")),
    "blocks_total": Spec("counter", "Blocks", ("stage", "topic")),
    "ticks_total": Spec("counter", "Ticks appended", ("topic",)),
    "undecodable_total": Spec("counter", "Records that are no events", ("stage", "topic")),
    "answers_left_out_total": Spec("counter", "Answers that one_per left out, by metrics that agree on it", ("topic",)),
    "batch_records": Spec("histogram", "Records a batch", ("stage",), RECORD_BUCKETS),
    "stage_seconds": Spec("histogram", "Time for a batch", ("stage",)),
    "judge_pane_lag_seconds": Spec("gauge", "Largest pane closed by any source minus that of the slowest", ("topic", "partition")),
    "judge_pane_timestamp_seconds": Spec("gauge", "End of the last pane judged"),
    "source_left_out": Spec("gauge", "1 for a source that the judge goes on without, by reason", ("topic", "partition", "why")),
    "source_paused": Spec("gauge", "1 for a partition that stage 1 has paused: too many of its records are no events", ("topic", "partition")),
    "judge_transaction_seconds": Spec("histogram", "Time of a transaction of the judge"),
    "dirty_windows_total": Spec("counter", "Windows changed by answers too old for the state; the recount revises them", ("window",)),
    "revised_by_recount_total": Spec("counter", "Readings revised by a recount of the stored tallies"),
    "ignored_decisions_total": Spec("counter", "Decisions without effect", ("kind",)),
    "overflow_keys_total": Spec("counter", "Answers counted under __other__"),
    "snapshot_seconds": Spec("histogram", "Time to write a snapshot"),
    "snapshot_bytes": Spec("gauge", "Size of the last snapshot"),
    "inserts_total": Spec("counter", "Inserts", ("table", "outcome")),
    "inserted_rows_total": Spec("counter", "Rows inserted", ("table",)),
    "insert_seconds": Spec("histogram", "Time of an insert", ("table",)),
    "set_aside_total": Spec("counter", "Records that the store refuses for what they hold, put into rejected_events", ("table", "topic")),
    "sink_stopped": Spec("gauge", "1 while the sink of a table stands because too much would be set aside", ("table",)),
    "capture_to_row_seconds": Spec("histogram", "received_at to row stored, live lane"),
    "capture_to_alarm_seconds": Spec("histogram", "Arrived time of the pane to the alarm published", ("rule",)),
    "gate_waiting_for_partition": Spec("gauge", "1 for the live partition that the gate waits for", ("topic", "partition")),
    "gate_admitted_total": Spec("counter", "History events admitted"),
    "gate_returned_total": Spec("counter", "History events that went back to their live topic: fresh by the log's time"),
    "unaccounted_events": Spec("gauge", "Events that are neither row, repeat, rejection, tick nor marker, or rows too many", ("topic",)),
    "accounted_hour_timestamp_seconds": Spec("gauge", "End of the last hour that every partition of a topic has closed", ("topic",)),
    "notifications_total": Spec("counter", "Attempts to tell an alarm: told, digest, refused, failed", ("receiver", "outcome")),
    "notify_lag_seconds": Spec("gauge", "Age of the oldest alarm that a receiver has not been told", ("receiver",)),
    "notify_seconds": Spec("histogram", "Time of an attempt to tell", ("receiver",)),
    "build_info": Spec("gauge", "Version that runs", ("version", "process")),
}  # fmt: skip


class Telemetry:
    """Write to declared metrics; each is made in `registry` at its first use."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def _metric(self, name: Name) -> Counter | Gauge | Histogram:
        made = self._made.get(name)
        if made is None:
            spec = SPECS[name]
            full = PREFIX + name
            if spec.kind == "counter":
                made = Counter(full, spec.help, spec.labels, registry=self.registry)
            elif spec.kind == "gauge":
                made = Gauge(full, spec.help, spec.labels, registry=self.registry)
            else:
                made = Histogram(
                    full,
                    spec.help,
                    spec.labels,
                    buckets=LATENCY_BUCKETS_S,
                    registry=self.registry,
                )
            self._made[name] = made
        return made

    def count(self, name: Name, amount: float = 1, **labels: str) -> None:
        """Add to a counter."""
        metric = self._metric(name)
        assert isinstance(metric, Counter)
        (metric.labels(**labels) if labels else metric).inc(amount)

    def set(self, name: Name, value: float, **labels: str) -> None:
        """Set a gauge."""
        metric = self._metric(name)
        assert isinstance(metric, Gauge)
        (metric.labels(**labels) if labels else metric).set(value)

    def observe(self, name: Name, value: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        metric = self._metric(name)
        assert isinstance(metric, Histogram)
        (metric.labels(**labels) if labels else metric).observe(value)

    def forget(self, name: Name, **labels: str) -> None:
        """Drop one labelled series, for instance of a key that this process no longer owns."""
        metric = self._metric(name)
        metric.remove(*(labels[label] for label in SPECS[name].labels))
