"""Readings of all at a fixed mix of channels: a change of mix alone moves the value, and not the value at the reference mix."""

import uuid
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import sqrt
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from clickhouse_driver import Client
from statsmodels.stats.proportion import proportion_confint

from deploy.engines.local import Endpoints
from schemas.catalogue import parse
from schemas.metrics import MetricKind
from schemas.outputs import Reading
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WINDOWS
from sinks.clickhouse import connect
from sinks.migrate import migrate, migrations
from streams.core.bins import Bins
from streams.core.kinds import KINDS
from streams.core.readings import SeriesKey, Settlement

CATALOGUE = """
[[metric]]
name = "csat"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [4, 5]
windows = ["24h", "7d", "28d"]
"""
START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
DAYS = 70


@pytest.fixture(scope="module")
def database(engines: Endpoints) -> Iterator[Client]:
    host, port = engines.clickhouse_native
    name = f"t{uuid.uuid4().hex[:10]}"
    settings = Settings(clickhouse_url=f"clickhouse://default@{host}:{port}", clickhouse_database=name)
    migrate(settings)
    with connect(settings) as one:
        yield one
        one.execute(f"DROP DATABASE {name} SYNC")


@pytest.fixture
def client(database: Client) -> Client:
    """A client of a store without readings."""
    database.execute("TRUNCATE TABLE readings")
    return database


def store(client: Client, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    client.execute(
        f"INSERT INTO readings ({', '.join(names)}) VALUES", [[row[name] for name in names] for row in rows],
        settings={"async_insert": 0},
    )  # fmt: skip


def shown(client: Client, where: str = "1") -> list[dict[str, Any]]:
    rows, columns = client.execute(
        f"SELECT * FROM v_readings_mix WHERE {where} ORDER BY window, window_end", with_column_types=True
    )
    return [dict(zip((name for name, _ in columns), row, strict=True)) for row in rows]


class Given(NamedTuple):
    """An answer: when (minutes since START), by which channel, and whether it is good."""

    minute: int
    channel: str
    good: bool


def answers() -> list[Given]:
    """Return answers of ten weeks: email is worse and becomes more, calls stop after a month, the web comes late."""
    rng, out = Random(11), []
    for day in range(DAYS):
        rates = {"card": 6.0, "email": 1 + day / 8, "call": 3.0 * (day < 30), "web": 2.0 * (day >= 60)}
        for channel, rate in rates.items():
            for _ in range(int(rate + rng.random())):
                good = rng.random() < {"card": 0.9, "email": 0.5, "call": 0.7, "web": 0.8}[channel]
                out.append(Given(day * 1440 + rng.randrange(1440), channel, good))
    return sorted(out)


def judged(given: list[Given]) -> list[Reading]:
    """Return the rows that the judge gives when each answer arrives in the pane after it was given."""
    catalogue = parse(CATALOGUE)
    metric = catalogue.metric[0]
    settlement = Settlement(catalogue, pane_ms=MINUTE_MS, provisional_step_ms=HOUR_MS)
    bins, rows = Bins(metric), []
    for minute, channel, good in given:
        at = START_MS + minute * MINUTE_MS
        pane = at + MINUTE_MS
        rows += settlement.settle(pane - MINUTE_MS)
        for dimension, key in (("*", "*"), ("channel", channel)):
            settlement.add(
                SeriesKey(metric.identity, dimension, key), {at // MINUTE_MS: bins.packed({5 if good else 1: 1})}, pane
            )
    return [*rows, *settlement.settle(START_MS + (DAYS + 2) * DAY_MS)]


class Recount:
    """Counts by channel of any window, from the answers themselves."""

    def __init__(self, given: list[Given]) -> None:
        self.minutes, self.good = {}, {}
        for channel in sorted({one.channel for one in given}):
            own = [one for one in given if one.channel == channel]
            self.minutes[channel] = [one.minute for one in own]
            self.good[channel] = [one.good for one in own]

    def of(self, end_ms: int, window: str) -> dict[str, tuple[int, int]]:
        """Return channel -> n and good ones of the window, channels without answers left out."""
        end, out = (end_ms - START_MS) // MINUTE_MS, {}
        for channel, minutes in self.minutes.items():
            first, last = (bisect_left(minutes, at) for at in (end - WINDOWS[window].length_ms // MINUTE_MS, end))
            if last > first:
                out[channel] = (last - first, sum(self.good[channel][first:last]))
        return out


def wilson(good: int, n: int) -> tuple[float, float]:
    lo, hi = proportion_confint(good, n, 0.05, method="wilson")
    return max(0.0, lo), min(1.0, hi)


def at_mix(now: dict[str, tuple[int, int]], once: dict[str, tuple[int, int]]) -> tuple[float | None, ...]:
    """Return value, lo, hi and covered at the mix of `once`, by loops."""
    if not once:
        return None, None, None, None
    weights = {channel: n for channel, (n, _) in once.items() if channel in now}
    total = sum(n for n, _ in once.values())
    if not weights:
        return None, None, None, 0.0
    value, below, above = 0.0, 0.0, 0.0
    for channel, weight in weights.items():
        n, good = now[channel]
        lo, hi = wilson(good, n)
        share = weight / sum(weights.values())
        value += share * good / n
        below += (share * (good / n - lo)) ** 2
        above += (share * (hi - good / n)) ** 2
    return value, value - sqrt(below), value + sqrt(above), sum(weights.values()) / total


def test_rows_of_the_judge_are_shown_at_the_mix_that_a_recount_of_the_answers_finds(client: Client) -> None:
    given = answers()
    rows = judged(given)
    store(client, [
        {**msgspec.structs.asdict(one), "window_end": datetime.fromtimestamp(one.window_end / 1000, UTC),
         "as_of": datetime.fromtimestamp(one.as_of / 1000, UTC), "status": str(one.status), "quality": str(one.quality),
         "arrived_at": START}
        for one in rows
    ])  # fmt: skip
    recount, found = Recount(given), shown(client)
    assert len(found) == len({(one.window, one.window_end) for one in rows if one.dimension == "*"}) > 1_000
    renormalised = filled = 0
    channel_rows = {(one.window, one.window_end, one.key) for one in rows if one.dimension == "channel"}
    for one in found:
        end = round(one["window_end"].timestamp() * 1000)
        now = recount.of(end, one["window"])
        n = sum(n for n, _ in now.values())
        assert one["n"] == n
        assert one["mix"] == [
            (channel, m, pytest.approx(m / n), pytest.approx(good / m)) for channel, (m, good) in sorted(now.items())
        ]
        begins = end - WINDOWS[one["window"]].length_ms
        once = recount.of(begins // DAY_MS * DAY_MS, "28d")
        total = sum(n for n, _ in once.values())
        assert one["reference_mix"] == [(channel, pytest.approx(m / total)) for channel, (m, _) in sorted(once.items())]
        names = ("value_at_reference_mix", "lo_at_reference_mix", "hi_at_reference_mix", "covered")
        assert [one[name] for name in names] == [
            pytest.approx(held, abs=1e-9) if held is not None else None for held in at_mix(now, once)
        ]
        reference_end = one["reference_end"]
        assert (reference_end is None) == (not once)
        if reference_end is not None:
            reached = round(reference_end.timestamp() * 1000)
            assert reached <= begins
            assert recount.of(reached, "28d") == once
        renormalised += 0 < (one["covered"] or 0) < 1
        filled += any((one["window"], end, channel) not in channel_rows for channel in now)
    assert renormalised > 50 and filled > 500, "channels that are silent, and ends without a row of their own, were met"


def reading(dimension: str, key: str, window: str, end: datetime, good: int, n: int, **more: Any) -> dict[str, Any]:
    lo, hi = wilson(good, n) if n else (None, None)
    return {
        "metric": "csat", "metric_version": "csat@1", "dimension": dimension, "key": key, "window": window, "window_end": end,
        "as_of": end, "revision": 0, "n": n, "value": good / n if n else None, "lo": lo, "hi": hi, "method": "wilson",
        "arrived_at": end,
    } | more  # fmt: skip


def week(end: datetime, window: str, channels: dict[str, tuple[int, int]], **more: Any) -> list[dict[str, Any]]:
    good, n = (sum(one[ix] for one in channels.values()) for ix in (0, 1))
    return [
        reading("*", "*", window, end, good, n, **more),
        *(reading("channel", channel, window, end, *counts, **more) for channel, counts in channels.items()),
    ]


BEFORE, NOW = START, START + timedelta(days=7)


def test_a_change_of_mix_alone_moves_the_value_and_not_the_value_at_the_reference_mix(client: Client) -> None:
    store(client, [
        *week(BEFORE, "28d", {"card": (3240, 3600), "email": (200, 400)}),
        *week(BEFORE, "7d", {"card": (810, 900), "email": (50, 100)}),
        *week(NOW, "7d", {"card": (90, 100), "email": (450, 900)}),
    ])  # fmt: skip
    first, then = shown(client, "window = '7d'")
    assert (first["value"], then["value"]) == (0.86, 0.54)
    assert first["reference_mix"] == [] and first["value_at_reference_mix"] is None and first["covered"] is None
    assert then["value_at_reference_mix"] == pytest.approx(0.86)
    assert then["reference_mix"] == [("card", 0.9), ("email", 0.1)]
    assert then["mix"] == [("card", 100, 0.1, 0.9), ("email", 900, 0.9, 0.5)]
    assert then["reference_end"] == BEFORE
    assert then["lo_at_reference_mix"] < 0.86 < then["hi_at_reference_mix"]
    assert then["hi"] < then["lo_at_reference_mix"], "the fall of the whole is sure, and is one of mix"


def test_the_last_revision_counts_and_the_reference_ends_before_the_window_begins(client: Client) -> None:
    store(client, [
        *week(BEFORE, "28d", {"card": (5, 10), "email": (1, 10)}),
        *week(BEFORE, "28d", {"card": (15, 30), "email": (1, 10)}, revision=1),
        *week(BEFORE + timedelta(days=1), "28d", {"card": (1, 10), "email": (9, 90)}),
        *week(NOW, "7d", {"card": (5, 10), "email": (1, 10)}),
        *week(NOW, "7d", {"card": (8, 10), "email": (4, 10)}, revision=1),
    ])  # fmt: skip
    (one,) = shown(client, "window = '7d'")
    assert one["value"] == 0.6
    assert one["reference_mix"] == [("card", 0.75), ("email", 0.25)]
    assert one["value_at_reference_mix"] == pytest.approx(0.75 * 0.8 + 0.25 * 0.4)


def test_what_is_withheld_or_missing_is_not_made_up(client: Client) -> None:
    none: dict[str, Any] = {"value": None, "lo": None, "hi": None}
    late = NOW + timedelta(days=1)
    store(client, [
        *week(BEFORE, "28d", {"card": (5, 10), "email": (1, 10), "call": (0, 0)}),
        reading("*", "*", "7d", NOW, 13, 20), reading("channel", "card", "7d", NOW, 8, 10),
        reading("channel", "email", "7d", NOW, 5, 10) | none,
        reading("*", "*", "7d", late, 13, 20) | none, reading("channel", "card", "7d", late, 9, 10),
        reading("*", "*", "24h", late, 0, 0), reading("channel", "card", "24h", late, 0, 0),
    ])  # fmt: skip
    part, whole = shown(client, "window = '7d'")
    assert (part["value_at_reference_mix"], part["covered"]) == (0.8, 0.5)
    assert part["mix"] == [("card", 10, 0.5, 0.8), ("email", 10, 0.5, None)]
    assert (whole["value"], whole["value_at_reference_mix"], whole["lo_at_reference_mix"]) == (None, None, None)
    (silent,) = shown(client, "window = '24h'")
    assert (silent["mix"], silent["value_at_reference_mix"], silent["covered"]) == ([], None, 0.0)


def test_metrics_that_are_no_mean_of_their_channels_have_no_row_and_uncounted_channels_no_mix(client: Client) -> None:
    other = {"metric": "volume", "metric_version": "volume@1", "method": "poisson_exact"}
    store(client, [
        *week(BEFORE, "28d", {"card": (5, 10)}), *week(NOW, "7d", {"card": (5, 10)}, **other),
        reading("*", "*", "7d", NOW, 5, 10, metric="answered", metric_version="answered@1"),
    ])  # fmt: skip
    (one,) = shown(client, "window = '7d'")
    assert (one["metric"], one["mix"], one["reference_mix"], one["value_at_reference_mix"]) == (
        "answered",
        [],
        [],
        None,
    )


NO_MEANS = {
    MetricKind.DRIVER, MetricKind.RATE, MetricKind.COUNT, MetricKind.AMOUNT, MetricKind.RESPONSE_QUANTILE,
}  # fmt: skip


def test_the_view_knows_the_lengths_of_all_windows() -> None:
    text = next(one.text for one in migrations() if "v_readings_mix" in one.text)
    lengths = ", ".join(f"('{one.name}', {one.length_ms // 1000})" for one in WINDOWS.values())
    assert f"ARRAY JOIN [{lengths}] AS later" in text


def test_the_view_knows_the_methods_of_all_kinds_that_are_means() -> None:
    metric = parse(CATALOGUE).metric[0]
    text = next(one.text for one in migrations() if "v_readings_mix" in one.text)
    listed = text.split("method IN (")[1].split(")")[0]
    for kind, own in KINDS.items():
        for bounds in ("fixed", "anytime"):
            method = own.method(msgspec.structs.replace(metric, kind=kind, bounds=bounds))
            assert (f"'{method}'" in listed) == (kind not in NO_MEANS), (kind, method)
