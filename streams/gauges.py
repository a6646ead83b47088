"""What the judge tells Prometheus and /readyz: newest readings, alarms, detectors, and the source that holds it back.

Only keys that this process owns have series, and only keys with answers: no data is no series.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.outputs import AlarmState, AlarmTransition, Output, Reading
from schemas.readiness import Readiness
from schemas.rules import IMMEDIATE, Rule
from schemas.telemetry import Name, Telemetry
from schemas.topics import TALLIES
from streams.judged import GaugeKey, Judged

Labels = tuple[tuple[str, str], ...]
SOURCES = "sources"
HELD_BACK_MS = 60_000
"""A source this far behind the others makes the judge unready."""
WATCH_EVERY_MS = 1_000
_ENDS = (AlarmState.ACKNOWLEDGED, AlarmState.RESOLVED)
_VALUES: tuple[Name, ...] = ("satisfaction", "satisfaction_lower", "satisfaction_upper", "satisfaction_answers")


def states_of(rule: Rule) -> tuple[AlarmState, ...]:
    """Return the states in which the judge can bring an alarm of a rule; stage 1 opens the immediate ones."""
    if rule.kind in IMMEDIATE:
        return _ENDS
    held_back = (AlarmState.PENDING,) if rule.hold_ms else ()
    return (*held_back, AlarmState.OPEN, AlarmState.FLAPPING, *_ENDS)


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
        self._catalogue: Catalogue | None = None
        self._states: dict[str, AlarmState] = {}
        """Alarm that is not over -> its state, those opened by stage 1 included."""

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
                self._step(output, now_ms)
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
        self._declare(engine.catalogue)
        standing, waiting = engine.open_alarms, engine.pending_alarms
        self._states = {one.alarm_id: one.state for one in (*standing, *waiting)}
        alarms: list[Labels] = [
            (("metric", one.metric), ("severity", one.severity), ("state", str(one.state))) for one in standing
        ]
        pending: list[Labels] = [(("metric", one.metric), ("severity", one.severity)) for one in waiting]
        armed: list[Labels] = [(("rule", one.rule),) for one in engine.armed]
        unarmed: list[Labels] = [(("rule", one.rule),) for one in engine.unarmed]
        self._all("alarms_open", Counter(alarms))
        self._all("alarms_pending", Counter(pending))
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

    def _step(self, one: AlarmTransition, now_ms: int) -> None:
        """Count an alarm that comes into a state; a note, or the end of a silence, leaves it in its state."""
        before = self._states.get(one.alarm_id)
        if one.state is AlarmState.RESOLVED:
            self._states.pop(one.alarm_id, None)
        else:
            self._states[one.alarm_id] = one.state
        if one.state is before:
            return
        self._telemetry.count("alarm_transitions_total", rule=one.rule, state=one.state)
        if one.state is AlarmState.OPEN:
            self._telemetry.observe("capture_to_alarm_seconds", (now_ms - one.pane) / 1000, rule=one.rule)

    def _declare(self, catalogue: Catalogue) -> None:
        """Begin the counters of a catalogue's rules at 0, so that `increase()` sees the first alarm of each."""
        if catalogue is self._catalogue:
            return
        self._catalogue = catalogue
        for rule in catalogue.alarm:
            for state in states_of(rule):
                self._telemetry.count("alarm_transitions_total", 0, rule=rule.name, state=state)

    def _sources(self, judged: Judged) -> None:
        left_out: dict[Labels, float] = {
            (("topic", one.topic), ("partition", str(one.partition)), ("why", str(one.left_out.why))): 1
            for one in judged.judge.sources if one.left_out is not None
        }  # fmt: skip
        self._all("source_left_out", left_out)
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
