"""Window settlement: when a changed window becomes a provisional, final or revised row.

Rows are sparse: the value at an end without a row is that of the nearest earlier end.
- Provisional: the next end of a series that changed, if its bins differ from the latest row; at most one a step.
- Final: at the first pane from end + lateness on, if the bins differ from those of the end before or the end has a row.
- Revised: later, at once, if a late count changes an end that has a row; one without gets it by the rule above.
A window that reaches back beyond its rung is dirty: counted, no row.

What time alone can change stands in a calendar of due panes: cost follows the counts, and a run of quiet panes taken at
once gives the same rows as pane by pane.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.outputs import Reading, Status
from schemas.windows import MINUTE_MS, WINDOWS
from streams.core.bins import Bins, from_bytes, to_bytes
from streams.core.calendar import Calendar
from streams.core.grid import Grid
from streams.core.ladder import Rung
from streams.core.schedule import Moment, Schedule, grids_of
from streams.core.values import Value, value_of, withheld

CHECK, PRUNE = -1, -2
"""Entries of the calendar beside window ends: look for a provisional row; forget what is out of reach."""
_VALUES_KEPT = 8192


class SeriesKey(NamedTuple):
    """What a reading is about; strata are summed."""

    metric: str
    dimension: str
    key: str


class Row(NamedTuple):
    """The last row of a window end."""

    revision: int
    packed: int


class Plan:
    """What all series of one metric share."""

    __slots__ = ("bins", "grids", "metric", "schedule", "valued")

    def __init__(self, metric: Metric, schedule: Schedule) -> None:
        self.metric = metric
        self.bins = Bins(metric)
        self.schedule, self.grids = schedule, schedule.grids
        self.valued = lru_cache(_VALUES_KEPT)(self._valued)
        """Packed counts -> value and counts by bin; the same few counts come again and again in short windows."""

    def _valued(self, packed: int) -> tuple[Value, dict[str, int]]:
        bins = self.bins.counts(packed)
        total = self.bins.total(packed) if self.bins.summed else 0
        return value_of(self.metric, bins, total), {str(bin_): count for bin_, count in bins.items()}


class Track:
    """One window of one series: its rung, its rows within reach and the latest row."""

    __slots__ = ("checked", "grid", "latest", "order", "plan", "pruning", "rows", "rung", "series", "windex")

    def __init__(self, series: SeriesKey, windex: int, plan: Plan) -> None:
        self.series, self.windex, self.plan = series, windex, plan
        self.order = (series, windex)
        """What outputs of one pane are sorted by."""
        self.grid = plan.grids[windex]
        self.rung = Rung(self.grid.window)
        self.rows: dict[int, Row] = {}
        self.latest: int | None = None
        self.pruning = False
        self.checked: int | None = None
        """The pane for which CHECK was entered last, so that it is entered once; None: nobody knows."""


class Settlement:
    """All windows of all series. Counts go in by `add`, then `settle` says the rows of the pane."""

    def __init__(self, catalogue: Catalogue, *, pane_ms: int, provisional_step_ms: int) -> None:
        schedules: dict[tuple[Grid, ...], Schedule] = {}
        self.plans: dict[str, Plan] = {}
        for metric in catalogue.metric:
            grids = grids_of(metric, pane_ms, provisional_step_ms)
            self.plans[metric.identity] = Plan(metric, schedules.setdefault(grids, Schedule(grids)))
        self._responses = {
            metric.identity: catalogue.named(metric.response_metric).identity
            for metric in catalogue.metric
            if metric.response_metric is not None
        }
        self.dirty = dict.fromkeys(WINDOWS, 0)
        self._hash = catalogue.hash
        self._series: dict[tuple[str, str, str], list[Track]] = {}
        self._calendar: Calendar[Track] = Calendar()

    def __len__(self) -> int:
        return len(self._series)

    def add(self, series: tuple[str, str, str], minutes: Mapping[int, int], pane: int) -> None:
        """Count packed bins by occurred minute (since the epoch) that arrived in `pane`; `series` as in SeriesKey."""
        if not minutes:
            return
        tracks = self._series.get(series)
        if tracks is None:
            named = SeriesKey(*series)
            plan = self.plans[named.metric]
            tracks = self._series[named] = [Track(named, windex, plan) for windex in range(len(plan.grids))]
        living = False
        buckets, grain = minutes, 1
        for track, moment in zip(tracks, tracks[0].plan.schedule.moments(pane), strict=True):
            wanted = track.grid.window.bucket_ms
            if wanted % grain:
                buckets, grain = minutes, 1
            if wanted != grain:  # from the grain before, where that divides this one
                buckets, grain = _by_bucket(buckets, MINUTE_MS if grain == 1 else 1, wanted), wanted
            self._touch(track, buckets, pane, moment)
            living = living or track.pruning
        if not living:
            del self._series[series]

    def _touch(self, track: Track, buckets: Mapping[int, int], pane: int, moment: Moment) -> None:
        if min(buckets) >= moment.open:
            changed, add = True, track.rung.add
            for bucket, packed in buckets.items():
                if add(bucket, packed):
                    entered = track.grid.entered(bucket)
                    self._foresee(track, entered, entered + track.grid.window.length_ms, pane)
        else:
            changed = self._touch_late(track, buckets, pane, moment)
        if changed:
            if track.checked != moment.check:
                track.checked = moment.check
                self._calendar.enter(moment.check, track, CHECK)
            if not track.pruning:
                track.pruning = True
                self._calendar.enter(moment.pruning, track, PRUNE)

    def _touch_late(self, track: Track, buckets: Mapping[int, int], pane: int, moment: Moment) -> bool:
        """Count buckets of which some lie in final windows, or beyond the rung; return whether it holds any."""
        window, changed, dirty_to = track.grid.window, False, 0
        for bucket in sorted(buckets):
            entered = track.grid.entered(bucket)
            if entered < moment.recountable:  # ends in [entered, left) before `recountable`, each counted once a pane
                first, end = max(entered, dirty_to), min(entered + window.length_ms, moment.recountable)
                self.dirty[window.name] += max(0, end - first) // window.step_ms
                dirty_to = max(dirty_to, end)
            if bucket < moment.kept:
                continue
            changed = True
            if track.rung.add(bucket, buckets[bucket]):
                self._foresee(track, entered, entered + window.length_ms, pane)
            if entered <= moment.overdue:
                left = entered + window.length_ms
                self._recall(track, max(entered, moment.recountable), min(left, moment.overdue), (entered, left), pane)
        return changed

    def _foresee(self, track: Track, entered: int, left: int, pane: int) -> None:
        """Enter what the first count of a bucket makes due later."""
        grid, following = track.grid, track.grid.next_end(pane)
        for end in (entered, left):
            due = grid.due(end)
            if due >= pane:
                self._calendar.enter(due, track, end)
            if end > following:
                self._calendar.enter(grid.check(grid.next_since(end)), track, CHECK)

    def _recall(self, track: Track, first: int, last: int, edges: tuple[int, int], pane: int) -> None:
        """Look again, in this pane, at ends that were final before: those with a row, and the edges of the change."""
        rows = track.rows
        for end in range(first, last + 1, track.grid.window.step_ms):
            if end in rows or end in edges:
                self._calendar.enter(pane, track, end)

    def settle(self, pane: int) -> list[Reading]:
        """Return the rows of all panes after the last call up to `pane`, in order of pane, series, window and end."""
        out: list[Reading] = []
        while (due := self._calendar.first()) is not None and due <= pane:
            for track, entries in sorted(self._calendar.take(), key=_in_order):
                self._settle(track, entries, due, out)
        return out

    def _settle(self, track: Track, entries: set[int], pane: int, out: list[Reading]) -> None:
        rung, rows, grid = track.rung, track.rows, track.grid
        step = grid.window.step_ms
        for end in sorted(entries) if len(entries) > 1 or CHECK not in entries else ():
            if end < 0:
                continue
            row = rows.get(end)
            if grid.due(end) == pane:
                if row is not None or rung.differs(end, step):
                    out.append(self._row(track, end, pane, Status.FINAL, rung.total(end)))
            elif row is not None:
                packed = rung.total(end)
                if row.packed != packed:
                    out.append(self._row(track, end, pane, Status.REVISED, packed))
            elif rung.differs(end, step):
                out.append(self._row(track, end, pane, Status.FINAL, rung.total(end)))
        if CHECK in entries:
            track.checked = None
            end = -(-pane // step) * step  # as Grid.next_end, but on the hot path
            packed = rung.total(end)
            if packed != (0 if track.latest is None else rows[track.latest].packed):
                out.append(self._row(track, end, pane, Status.PROVISIONAL, packed))
                self._calendar.enter(grid.due(end), track, end)
        if PRUNE in entries:
            self._prune(track, pane)

    def _row(self, track: Track, end: int, pane: int, status: Status, packed: int) -> Reading:
        before = track.rows.get(end)
        revision = 0 if before is None else before.revision + 1
        track.rows[end] = Row(revision, packed)
        if track.latest is None or end > track.latest:
            track.latest = end
        metric = track.plan.metric
        found, bins = track.plan.valued(packed)
        if metric.response_rate_min is not None:
            found = withheld(metric, found, self._response(track, end))
        identity, dimension, key = track.series
        value, lo, hi, n, method, quality = found
        return Reading(
            metric=metric.name,
            metric_version=identity,
            dimension=dimension,
            key=key,
            window=track.grid.window.name,
            window_end=end,
            as_of=pane,
            revision=revision,
            status=status,
            quality=quality,
            n=n,
            value=value,
            lo=lo,
            hi=hi,
            level=metric.level,
            method=method,
            bins=bins,
            catalogue_hash=self._hash,
        )

    def _response(self, track: Track, end: int) -> Value | None:
        """Return the response rate of the same key and window, None where nothing of it is known."""
        identity = self._responses[track.series.metric]
        tracks = self._series.get(SeriesKey(identity, track.series.dimension, track.series.key))
        if tracks is None:
            return None
        plan = self.plans[identity]
        windex = plan.metric.windows.index(track.grid.window.name)
        return plan.valued(tracks[windex].rung.total(end))[0]

    def _prune(self, track: Track, pane: int) -> None:
        """Forget buckets and rows that no window in reach needs, and the whole series once nothing is left."""
        track.rung.prune(track.grid.kept(pane))
        recountable = track.grid.recountable(pane)
        for end in [end for end in track.rows if end < recountable and end != track.latest]:
            del track.rows[end]
        if track.rung.buckets or (track.latest is not None and track.latest >= recountable):
            self._calendar.enter(track.grid.pruning(pane), track, PRUNE)
            return
        track.rows.clear()
        track.latest = None
        track.pruning = False
        tracks = self._series[track.series]
        if not any(other.pruning for other in tracks):
            del self._series[track.series]

    def freeze(self) -> dict[str, Any]:
        """Return the state as plain values."""
        return {
            "dirty": self.dirty,
            "series": [
                [
                    *series,
                    [[_frozen_buckets(track), _frozen_rows(track), track.latest, track.pruning] for track in tracks],
                ]
                for series, tracks in sorted(self._series.items())
            ],
            "calendar": [
                [pane, *track.series, track.windex, sorted(entries)]
                for pane, waiting in self._calendar.items()
                for track, entries in sorted(waiting, key=lambda pair: pair[0].order)
            ],
        }

    def thaw(self, state: Mapping[str, Any]) -> None:
        """Take the state of `freeze`, but for metrics that are gone."""
        self.dirty = dict(state["dirty"])
        for metric, dimension, key, frozen in state["series"]:
            series = SeriesKey(metric, dimension, key)
            plan = self.plans.get(metric)
            if plan is None:
                continue
            tracks = self._series[series] = [Track(series, windex, plan) for windex in range(len(plan.grids))]
            for track, (buckets, rows, latest, pruning) in zip(tracks, frozen, strict=True):
                track.rung.buckets = {bucket: from_bytes(raw) for bucket, raw in buckets}
                track.rows = {end: Row(revision, from_bytes(raw)) for end, revision, raw in rows}
                track.latest, track.pruning = latest, pruning
        for pane, metric, dimension, key, windex, entries in state["calendar"]:
            for entry in entries if metric in self.plans else ():
                self._calendar.enter(pane, self._series[SeriesKey(metric, dimension, key)][windex], entry)


def _by_bucket(counts: Mapping[int, int], unit_ms: int, grain_ms: int) -> dict[int, int]:
    """Return counts by the start of their bucket, in ms; they come by time in `unit_ms`."""
    out: dict[int, int] = {}
    for at, packed in counts.items():
        bucket = at * unit_ms // grain_ms * grain_ms
        out[bucket] = out.get(bucket, 0) + packed
    return out


def _in_order(due: tuple[Track, set[int]]) -> tuple[SeriesKey, int]:
    return due[0].order


def _frozen_buckets(track: Track) -> Iterable[tuple[int, bytes]]:
    return [(bucket, to_bytes(packed)) for bucket, packed in sorted(track.rung.buckets.items())]


def _frozen_rows(track: Track) -> Iterable[tuple[int, int, bytes]]:
    return [(end, row.revision, to_bytes(row.packed)) for end, row in sorted(track.rows.items())]
