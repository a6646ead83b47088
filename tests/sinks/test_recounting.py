"""The recount against the engine: every reading that late counts changed beyond its reach is revised, and nothing else."""

import asyncio
import json
from collections import Counter
from random import Random

import msgspec
from clickhouse_driver import Client
from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from schemas.blocks import Block, Cells, Row, Series, cells_of, to_record
from schemas.catalogue import Catalogue, load
from schemas.clock import system_clock
from schemas.codec import Kind, decode_as, encode
from schemas.declared import Catalogues, Declared
from schemas.metrics import Metric
from schemas.outputs import Output, Reading, Status, output_to_record
from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from schemas.topics import GROUP_JUDGE, READINGS, TALLIES
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS, WINDOWS
from sinks.accounting import _records
from sinks.dirty import Counted, End, changed_ends, recounted
from sinks.recounting import known_at, revisions, run_recount
from sinks.rows import Place, reading_rows, tally_rows
from streams.core.engine import Engine
from streams.core.values import Value, value_of
from tests.sinks.conftest import Stand, wait_for

PANE_MS = 10 * MINUTE_MS
START = 20_000 * DAY_MS


def valued(metric: Metric, bins: dict[int, int], total: int) -> Value:
    return value_of(metric, bins)


def only_csat() -> Catalogue:
    packaged = load()
    return msgspec.structs.replace(packaged, metric=[packaged.named("csat")], alarm=[])


def world(catalogue: Catalogue, seed: int) -> list[tuple[int, Cells]]:
    """Three days of panes; every tenth answer is hours or days late."""
    rng = Random(seed)
    identity = catalogue.metric[0].identity
    out = []
    for pane in range(START, START + 3 * DAY_MS, PANE_MS):
        rows = []
        for _ in range(rng.randrange(3)):
            late = rng.choice([3 * HOUR_MS, 30 * HOUR_MS, 12 * DAY_MS, 40 * DAY_MS]) if rng.random() < 0.1 else 0
            series = Series(identity, "touchpoint", rng.choice(["paris", "lyon"]), rng.choice(["card", "call"]))
            score = rng.randint(1, 5)
            rows.append(Row(series, (pane - 1 - late) // MINUTE_MS, score, 1, 1, score))
        out.append((pane, cells_of(rows)))
    return out


def block_of(pane: int, cells: Cells) -> Block:
    return Block(
        topic="feedback.card.v1", topic_id="t", partition=0, from_pane=pane, to_pane=pane, pane_ms=PANE_MS,
        arrived_ms=pane, next_offset=1, catalogue_hash="c", cells=cells,
    )  # fmt: skip


def store(client: Client, catalogue: Catalogue, panes: list[tuple[int, Cells]]) -> list[Reading]:
    """Judge the panes; put the blocks and what the judge said into the tables, as the sink does."""
    engine = Engine(catalogue, pane_ms=PANE_MS, provisional_step_ms=PANE_MS)
    said: list[Output] = []
    for pane, cells in panes:
        said += engine.advance(pane, cells)
    blocks = [to_record(block_of(pane, cells)) for pane, cells in panes if len(cells)]
    places = [Place("log", "log", 0, i, system_clock()) for i in range(max(len(blocks), len(said)))]
    outputs = [output_to_record(one) for one in said]
    for table, rows in (
        ("tallies", tally_rows(blocks, places[: len(blocks)])),
        ("readings", reading_rows(outputs, places[: len(said)])),
    ):
        names = ", ".join(rows.columns)
        client.execute(f"INSERT INTO {table} ({names}) VALUES", list(rows.columns.values()), columnar=True)
    return [one for one in said if isinstance(one, Reading)]


def naive(said: list[Reading], panes: list[tuple[int, Cells]]) -> dict[tuple[str, str, int], Counter[str]]:
    """(key, window, end) of the last rows whose window holds other counts now -> these counts."""
    last = {(one.key, one.window, one.window_end): one for one in said}
    rows = [
        (row.series.key, row.minute * MINUTE_MS, str(row.bin), row.count) for _, cells in panes for row in cells.rows()
    ]
    out = {}
    for (key, window, end), one in last.items():
        if one.status is Status.PROVISIONAL and one.as_of > panes[-1][0] - 2 * DAY_MS:
            continue
        start = end - WINDOWS[window].length_ms
        bins: Counter[str] = Counter()
        for its_key, at, bin_, count in rows:
            if its_key == key and start <= at < end:
                bins[bin_] += count
        if bins != Counter(one.bins):
            out[key, window, end] = bins
    return out


def test_every_reading_that_late_counts_changed_beyond_reach_is_revised_and_nothing_else(stand: Stand) -> None:
    catalogue = only_csat()
    panes = world(catalogue, 5)
    said = store(stand.client, catalogue, panes)
    upto = panes[-1][0]
    ends = changed_ends(stand.client, catalogue.by_identity(), 0, upto)
    counts = recounted(stand.client, ends, upto)
    revised = revisions(ends, counts, catalogue.by_identity(), valued, upto, catalogue.hash)
    expected = naive(said, panes)
    assert {window for _, window, _ in expected} >= {"1h", "24h"}
    assert {(one.key, one.window, one.window_end): Counter(one.bins) for one in revised} == expected
    last = {(one.key, one.window, one.window_end): one for one in said}
    for one in revised:
        before = last[one.key, one.window, one.window_end]
        assert (one.revision, one.status, one.seq) == (before.revision + 1, Status.REVISED, 0)
        assert one.n == sum(expected[one.key, one.window, one.window_end].values())


def test_only_panes_after_the_last_recount_make_ends_dirty(stand: Stand) -> None:
    catalogue = only_csat()
    panes = world(catalogue, 6)
    store(stand.client, catalogue, panes)
    middle, upto = panes[len(panes) // 2][0], panes[-1][0]
    identity = catalogue.by_identity()
    whole = {one[:5] for one in changed_ends(stand.client, identity, 0, upto)}
    early = {one[:5] for one in changed_ends(stand.client, identity, 0, middle)}
    late = {one[:5] for one in changed_ends(stand.client, identity, middle, upto)}
    assert early | late == whole
    assert late < whole
    assert changed_ends(stand.client, identity, upto, upto) == []


def test_an_unchanged_window_is_not_said_again() -> None:
    catalogue = only_csat()
    identity = catalogue.metric[0].identity
    end = End(identity, "*", "*", "1h", START, 0, {"4": 2})
    assert revisions([end], [Counted({4: 2}, 8)], catalogue.by_identity(), valued, START, catalogue.hash) == []


def test_a_recount_knows_every_series_that_began_by_its_pane_and_names_the_catalogue_of_then() -> None:
    first = only_csat()
    csat = first.metric[0]
    other = msgspec.structs.replace(csat, name="strict", box=(5,))
    later = msgspec.structs.replace(csat, name="later")
    second, third = (msgspec.structs.replace(first, metric=[one]) for one in (other, later))
    known = Catalogues([Declared(0, first), Declared(START, second), Declared(START + DAY_MS, third)])
    assert known_at(known, START - 1) == ({csat.identity: csat}, first.hash)
    assert known_at(known, START) == ({csat.identity: csat, other.identity: other}, second.hash)
    end = End(csat.identity, "*", "*", "1h", START, 0, {"4": 2})
    metrics, name = known_at(known, START)
    (said,) = revisions([end], [Counted({4: 3}, 12)], metrics, valued, START, name)
    assert (said.metric, said.n, said.catalogue_hash) == ("csat", 3, second.hash), "its series ended, its rows stand"


def test_recount_follows_the_judge_and_says_a_revision_once(stand: Stand) -> None:
    catalogue = only_csat()
    panes = world(catalogue, 7)
    said = store(stand.client, catalogue, panes)
    for pane, cells in panes[-3:]:
        stand.publish(TALLIES, encode(Kind.BLOCK, to_record(block_of(pane + 1_000 * DAY_MS, cells))))
    stand.settle()
    stand.start("sink", "tallies", "readings")
    wait_for(lambda: stand.caught_up("tallies", TALLIES))
    upto = panes[-1][0]

    log = stand.name(TALLIES)
    consumer = KafkaConsumer(
        bootstrap_servers=stand.settings.kafka_bootstrap, group_id=stand.settings.topic_prefix + GROUP_JUDGE,
        enable_auto_commit=False,
    )  # fmt: skip
    consumer.assign([TopicPartition(log, 0)])
    consumer.commit({TopicPartition(log, 0): OffsetAndMetadata(3, json.dumps({"pane": upto}), -1)})
    consumer.close()

    def run() -> None:
        asyncio.run(run_recount(stand.settings, catalogue, valued, Telemetry(), Readiness(), once=True))

    run()
    run()
    expected = naive(said, panes)
    records = [decode_as(Kind.READING, value) for _, _, _, _, value in _records(stand.settings, READINGS)]
    assert Counter((one["key"], one["window"], one["window_end"]) for one in records) == Counter(expected.keys())
    wait_for(lambda: stand.caught_up("readings", READINGS))
    newest = stand.count(
        f"count() FROM v_readings_latest WHERE as_of = fromUnixTimestamp64Milli({upto}) AND revision > 0"
    )
    assert newest >= stand.count("count() FROM readings WHERE topic_id != 'log'") == len(expected)
