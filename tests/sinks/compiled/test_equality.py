"""One definition: the stream's counts, SQL over its tallies and SQL over the events are the same, to the last count."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from math import isclose
from typing import Any

from clickhouse_driver import Client

from schemas.blocks import Cells
from schemas.catalogue import Catalogue, load
from schemas.metrics import MetricKind
from schemas.windows import WINDOWS
from streams.core.values import Value, value_of
from tests.sinks.compiled.conftest import ARRIVED_MS, EVERY_KIND, stored
from tests.sinks.compiled.feedback import conversations, feedback

EVERY_MS = 600_000
At = tuple[str, str, str, int]
Held = tuple[dict[int, int], int]


def counted(cells: Cells, catalogue: Catalogue, name: str, windows: Collection[str]) -> dict[At, Held]:
    """Return (dimension, key, window, window end) -> counts by bin and sum, added up one by one."""
    metric = catalogue.named(name)
    by_minute: dict[tuple[str, str, int, int], list[int]] = defaultdict(lambda: [0, 0])
    for row in cells.rows():
        if row.series.metric == metric.identity:
            held = by_minute[row.series.dimension, row.series.key, row.minute, row.bin]
            held[0] += row.count
            held[1] += row.sum
    out: dict[At, tuple[dict[int, int], list[int]]] = defaultdict(lambda: (defaultdict(int), [0]))
    for (dimension, key, minute, bin_), (count, total) in by_minute.items():
        for window in (WINDOWS[one] for one in metric.windows if one in windows):
            at = minute * 60_000
            first = at // window.step_ms * window.step_ms + window.step_ms
            for end in range(first, at + window.length_ms + 1, window.step_ms):
                bins, added = out[dimension, key, window.name, end]
                bins[bin_] += count
                added[0] += total
    plain = {
        at: ({bin_: count for bin_, count in bins.items() if count}, added[0]) for at, (bins, added) in out.items()
    }
    return {at: held for at, held in plain.items() if held[0] or held[1]}


FIGURES = "n, value, lo, hi, method, quality, bins, sum"


def asked(client: Client, view: str, windows: Collection[str]) -> dict[At, tuple[Any, ...]]:
    """Return the rows of a view by trailing window."""
    rows = client.execute(
        f"SELECT dimension, key, window, toUnixTimestamp64Milli(window_end), {FIGURES} FROM {view} WHERE window IN %(windows)s",
        {"windows": tuple(windows)},
    )
    return {row[:4]: row[4:] for row in rows}


def same(one: float | None, other: float | None) -> bool:
    """Return whether two values are equal up to the rounding of a few operations."""
    return one == other or (one is not None and other is not None and isclose(one, other, rel_tol=1e-9, abs_tol=1e-9))


def agree(
    client: Client, catalogue: Catalogue, cells: Cells, windows: Collection[str] = tuple(WINDOWS)
) -> Mapping[str, int]:
    """Demand equality for every metric; return how many windows each had."""
    sizes = {}
    for metric in catalogue.metric:
        expected = counted(cells, catalogue, metric.name, windows)
        tallied, recounted = (
            asked(client, f"v_metric_{metric.name}_{source}", windows) for source in ("windows", "recount")
        )
        values: dict[Any, Value] = {}
        assert tallied.keys() == recounted.keys() == expected.keys(), metric.name
        for at, (bins, total) in expected.items():
            assert tallied[at] == recounted[at], (metric.name, at)
            n, value, lo, hi, method, quality, in_sql, added = tallied[at]
            assert ({int(bin_): count for bin_, count in in_sql.items()}, added) == (bins, total), (metric.name, at)
            exact = tuple(sorted(bins.items())), total
            said = values.get(exact) or values.setdefault(exact, value_of(metric, bins, total))
            assert (n, quality) == (said.n, said.quality), (metric.name, at)
            assert same(value, said.value), (metric.name, at)
            if method:
                assert method == said.method and same(lo, said.lo) and same(hi, said.hi), (metric.name, at)
            else:
                assert (lo, hi) == (None, None)
        sizes[metric.name] = len(expected)
    return sizes


def test_stream_tallies_and_events_agree_for_every_kind(
    migrated: Callable[[str], Client], every_kind: Catalogue
) -> None:
    assert {one.kind for one in every_kind.metric} == set(MetricKind)
    client, talks = migrated(str(EVERY_KIND)), conversations(9, 200, since_ms=ARRIVED_MS, every_ms=EVERY_MS)
    sizes = agree(client, every_kind, stored(client, every_kind, [*talks, *feedback(7, 200)], every_ms=EVERY_MS))
    assert min(sizes.values()) > 100, sizes


def test_the_packaged_catalogue_agrees_too(migrated: Callable[[str], Client]) -> None:
    catalogue = load()
    client = migrated("")
    sizes = agree(client, catalogue, stored(client, catalogue, feedback(8, 60)), ("28d",))
    assert sum(map(bool, sizes.values())) > len(sizes) / 2, sizes
