"""What the judge tells Prometheus and /readyz: newest readings, alarms, detectors, and the source that holds it back.

Only keys that this process owns have series, and only keys with answers: no data is no series.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.clock import Clock
from schemas.outputs import AlarmState, AlarmTransition, Output, Reading
from schemas.readiness import Readiness
from schemas.telemetry import Name, Telemetry
from schemas.topics import TALLIES
from streams.judged import GaugeKey, Judged

Labels = tuple[tuple[str, str], ...]
SOURCES = "sources"
HELD_BACK_MS = 60_000
"""A source this far behind the others makes the judge unready."""
WATCH_EVERY_MS = 1_000
_VALUES: tuple[Name, ...] = ("satisfaction", "satisfaction_lower", "satisfaction_upper", "satisfaction_answers")


class Gauges:
    """Write the judge's metrics; remembers which series it has made, to drop them with the partition."""

    def __init__(self, telemetry: Telemetry, readiness: Readiness, clock: Clock) -> None:
        self._telemetry, self._readiness, self._clock = telemetry, readiness, clock
        self._shown: set[GaugeKey] = set()
        self._series: dict[Name, set[Labels]] = {}
        self._dirty: Counter[str] = Counter()
        self._ignored: Counter[str] = Counter()
        self._overflow = 0
        self._blocks: Counter[str] = Counter()
        self._undecodable = 0
        self._watched_at = -WATCH_EVERY_MS
        self._newest_as_of: dict[str, int] = {}
        self._spent: dict[str, float] = {}

    def show(self, judged: Judged, readings: Iterable[Reading]) -> None:
        """Begin with what has been judged before: its newest readings; counts of earlier processes are not repeated."""
        self._dirty = Counter(judged.judge.engine.dirty)
        self._ignored = Counter(judged.judge.engine.ignored)
        self._overflow = judged.judge.engine.overflow
        self._blocks, self._undecodable = Counter(judged.blocks), judged.undecodable
        self._spent = dict(judged.judge.engine.spent)
        self._readings(readings)
        self._watched_at = -WATCH_EVERY_MS
        self.watch(judged)

    def said(self, judged: Judged, outputs: Iterable[Output]) -> None:
        """Tell what has just been committed."""
        now_ms = self._clock()
        touched: dict[GaugeKey, Reading] = {}
        for output in outputs:
            if isinstance(output, AlarmTransition):
                self._telemetry.count("alarm_transitions_total", rule=output.rule, state=output.state)
                if output.state is AlarmState.OPEN:
                    self._telemetry.observe("capture_to_alarm_seconds", (now_ms - output.pane) / 1000, rule=output.rule)
            else:
                at = (output.metric, output.window, output.dimension, output.key)
                touched[at] = judged.newest[at]
        self._readings(touched.values())

    def watch(self, judged: Judged) -> None:
        """Tell, at most once a second, how the judge stands: pane, slowest source, alarms, detectors, windows it cannot serve."""
        now_ms = self._clock()
        if now_ms - self._watched_at < WATCH_EVERY_MS:
            return
        self._watched_at = now_ms
        pane, engine = judged.judge.pane, judged.judge.engine
        if pane is not None:
            self._telemetry.set("judge_pane_timestamp_seconds", pane / 1000)
            ages: dict[Labels, float] = {
                (("metric", metric),): (pane - as_of) / 1000 for metric, as_of in self._newest_as_of.items()
            }
            self._all("reading_age_seconds", ages)
        self._sources(judged)
        alarms: list[Labels] = [
            (("metric", one.metric), ("severity", one.severity), ("state", str(one.state)))
            for one in engine.open_alarms
        ]
        armed: list[Labels] = [(("rule", one.rule),) for one in engine.armed]
        unarmed: list[Labels] = [(("rule", one.rule),) for one in engine.unarmed]
        self._all("alarms_open", Counter(alarms))
        self._all("detector_armed_keys", Counter(armed))
        self._all("detector_unarmed_keys", Counter(unarmed))
        drift: dict[Labels, float] = {
            (("rule", rule), ("key", key)): learned - target for rule, key, learned, target in engine.drift
        }
        self._all("baseline_drift", drift)
        spent = engine.spent
        for rule, so_far in spent.items():
            # a disarmed and re-armed rule may begin anew: a counter only grows
            self._telemetry.count("alarm_budget_spent_total", max(0.0, so_far - self._spent.get(rule, 0.0)), rule=rule)
        self._spent = dict(spent)
        for window, count in (Counter(engine.dirty) - self._dirty).items():
            self._telemetry.count("dirty_windows_total", count, window=window)
        if engine.overflow > self._overflow:
            self._telemetry.count("overflow_keys_total", engine.overflow - self._overflow)
            self._overflow = engine.overflow
        for kind, count in (Counter(engine.ignored) - self._ignored).items():
            self._telemetry.count("ignored_decisions_total", count, kind=str(kind))
        for topic, count in (judged.blocks - self._blocks).items():
            self._telemetry.count("blocks_total", count, stage="judge", topic=topic)
        if judged.undecodable > self._undecodable:
            amount = judged.undecodable - self._undecodable
            self._telemetry.count("undecodable_total", amount, stage="judge", topic=TALLIES.name)
        self._blocks, self._undecodable = Counter(judged.blocks), judged.undecodable
        self._dirty, self._ignored = Counter(engine.dirty), Counter(engine.ignored)

    def drop(self) -> None:
        """Drop every series: the keys belong to another process."""
        for at in self._shown:
            self._forget(at)
        self._shown.clear()
        self._newest_as_of.clear()
        for name in list(self._series):
            self._all(name, {})
        self._readiness.fail(SOURCES, "not assigned")

    def _sources(self, judged: Judged) -> None:
        slowest = judged.judge.slowest()
        if slowest is None:
            self._readiness.fail(SOURCES, "the log names none yet")
            return
        furthest = max(source.to or 0 for source in judged.judge.sources)
        lag_ms = None if slowest.to is None else furthest - slowest.to
        if lag_ms is None or lag_ms > HELD_BACK_MS:
            self._readiness.fail(SOURCES, f"waiting for {slowest.topic}-{slowest.partition}")
        else:
            self._readiness.ok(SOURCES)
        labels: Labels = (("topic", slowest.topic), ("partition", str(slowest.partition)))
        self._all("judge_pane_lag_seconds", {} if lag_ms is None else {labels: lag_ms / 1000})

    def _readings(self, readings: Iterable[Reading]) -> None:
        for reading in readings:
            self._newest_as_of[reading.metric] = max(reading.as_of, self._newest_as_of.get(reading.metric, 0))
            at = (reading.metric, reading.window, reading.dimension, reading.key)
            if reading.value is None or reading.lo is None or reading.hi is None:
                if at in self._shown:
                    self._shown.remove(at)
                    self._forget(at)
                continue
            self._shown.add(at)
            labels = dict(zip(("metric", "window", "dimension", "key"), at, strict=True))
            for name, value in zip(_VALUES, (reading.value, reading.lo, reading.hi, reading.n), strict=True):
                self._telemetry.set(name, value, **labels)

    def _forget(self, at: GaugeKey) -> None:
        labels = dict(zip(("metric", "window", "dimension", "key"), at, strict=True))
        for name in _VALUES:
            self._telemetry.forget(name, **labels)

    def _all(self, name: Name, values: Mapping[Labels, float]) -> None:
        """Set the series of a gauge to exactly `values`."""
        for labels in self._series.get(name, set()) - values.keys():
            self._telemetry.forget(name, **dict(labels))
        for labels, value in values.items():
            self._telemetry.set(name, value, **dict(labels))
        self._series[name] = set(values)
