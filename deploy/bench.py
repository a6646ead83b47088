"""`barometer bench`: what each stage costs, in events per CPU-second; ratios where there is a bare library to compare with.

Stage 1 and stage 2 are measured without the broker (records in, blocks out; blocks in, outputs out), sink and gateway against
real engines of their own. Machines are noisy: compare figures of one run only.
"""

import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import ConsumerRecord
from rich.console import Console
from rich.table import Table

from deploy import topics
from deploy.engines.datadir import DataDir
from deploy.engines.local import LocalEngines
from deploy.engines.ports import Ports
from producers.bench import bench_gateway, sample_event
from producers.channels.native import parse
from producers.pseudonyms import pseudonyms_of
from schemas import catalogue as catalogues
from schemas.arrival import LOG_APPEND_TIME, sent_header
from schemas.blocks import Block
from schemas.catalogue import Catalogue
from schemas.clock import system_clock
from schemas.codec import Kind, encode
from schemas.event import Channel, to_record
from schemas.outputs import Decision, DecisionKind
from schemas.repeats import RepeatFilter
from schemas.rules import BaselineKind, RuleKind
from schemas.settings import Settings
from schemas.topics import LIVE
from sinks.bench import bench_sink
from sinks.migrate import migrate
from streams.benching import bench_tally
from streams.core.judge import Judge
from streams.core.tally import PartitionTally, TallyState
from streams.runs import runs_of

EVENTS, QUICK_EVENTS = 200_000, 20_000
EVENTS_PER_S = 1_000
PANE_MS = 10_000
WARM_PANES = 2
"""Panes that stage 2 judges before its clock starts: the first keys, and the renewal that arms the rules."""
LEAST_JUDGED = 60_000
"""Events of the shortest log that leaves stage 2 some panes to measure: the last one is never closed."""
ROUNDS = 20
"""Judges that take the same log, one after the other; the fastest counts, since a round is over in a few hundredths of a second."""
START_MS = 1_772_409_600_000
"""2026-03-02 00:00 UTC."""
FIXED_BAD_SHARE = 0.6
"""Of the sample events this share of the answers is bad."""
WATCHED = frozenset({RuleKind.DROP, RuleKind.RISE, RuleKind.RECOVERY})
Row = dict[str, Any]


def records_of(events: int, catalogue: Catalogue) -> list[ConsumerRecord[bytes, bytes]]:
    """Return the records of one partition with `events` typical events, EVENTS_PER_S a second of arrived time."""
    pseudonyms = pseudonyms_of("only-for-measuring", "FR")
    out = []
    for number in range(events):
        at = START_MS + number * 1000 // EVENTS_PER_S
        event = parse(
            sample_event(number, at), source="bench", received_at=at, pseudonyms=pseudonyms, catalogue=catalogue
        )
        value = encode(Kind.EVENT, to_record(event))
        out.append(
            ConsumerRecord(
                LIVE[Channel.CARD].name, 0, number, at, LOG_APPEND_TIME, event.key, value, None, len(event.key), len(value),
                (sent_header(at),),
            )
        )  # fmt: skip
    return out


def bench_judge(records: Sequence[ConsumerRecord[bytes, bytes]], catalogue: Catalogue) -> Row:
    """Return what stage 2 takes per CPU-second in the fastest round: events, and cells as they come in blocks.

    Wants LEAST_JUDGED records or more.
    """
    tally = PartitionTally("bench", "bench", 0, catalogue, PANE_MS, True, RepeatFilter(1 << 40), TallyState())  # noqa: FBT003 - live
    watched = _against_fixed_baselines(catalogue)
    blocks = [
        msgspec.structs.replace(block, catalogue_hash=watched.hash) for block in tally.feed(runs_of({0: records})[0])
    ]
    rounds = [_judged(blocks, watched) for _ in range(ROUNDS)]
    spent_s, outputs = min(rounds)
    cells = sum(len(block.cells) for block in blocks[WARM_PANES:])
    events = sum(block.events for block in blocks[WARM_PANES:])
    return {
        "what": "stage 2: blocks in, readings and alarms out",
        "per_cpu_s": events / spent_s,
        "note": f"{cells / spent_s:,.0f} cell rows a CPU-second; {outputs} outputs of {events} events; fastest of {ROUNDS} rounds",
    }


def _judged(blocks: Sequence[Block], watched: Catalogue) -> tuple[float, int]:
    """Return the CPU-seconds that a new judge spends on the blocks after the warm ones, and how many outputs it gives."""
    judge = Judge(watched, pane_ms=PANE_MS, provisional_step_ms=60_000, armed=True)
    judge.feed(
        Decision(
            decision_id="bench", kind=DecisionKind.SOURCES, author="bench", made_at=0,
            body={"sources": [["bench", "bench", 0]], "pane_ms": PANE_MS, "catalogue_hash": watched.hash},
        )
    )  # fmt: skip
    for block in blocks[:WARM_PANES]:
        judge.feed(block)
    judge.feed(Decision(decision_id="renew", kind=DecisionKind.RENEW, author="bench", made_at=0))
    gc.collect()  # what earlier rounds left is not this one's
    began = time.process_time()
    outputs = sum(len(judge.feed(block)) for block in blocks[WARM_PANES:])
    return time.process_time() - began, outputs


def _against_fixed_baselines(catalogue: Catalogue) -> Catalogue:
    """Return the catalogue with rules that watch from the first key on: a baseline takes a week to learn."""
    rules = [
        msgspec.structs.replace(one, baseline=BaselineKind.FIXED, p0=FIXED_BAD_SHARE) if one.kind in WATCHED else one
        for one in catalogue.alarm
    ]
    return msgspec.structs.replace(catalogue, alarm=rules)


@contextmanager
def _engines(settings: Settings) -> Iterator[Settings]:
    """Give settings that name a Kafka and a ClickHouse: the named ones, else engines of our own for the time of the run."""
    named = bool(settings.kafka_bootstrap and settings.clickhouse_url)
    with tempfile.TemporaryDirectory(prefix="barometer-bench-") as name:
        engines, ports = None, Ports()
        found = msgspec.structs.replace(
            settings,
            topic_prefix=f"bench{os.getpid()}.",
            clickhouse_database=f"bench_{os.getpid()}",
            write_keys="bench:bench",
            pseudonym_key="only-for-measuring",
        )
        folder = DataDir.own(Path(name))
        try:
            if not named:
                engines = LocalEngines.start(folder, ports, env=os.environ, grants={})
                host, port = engines.endpoints.clickhouse_native
                found = msgspec.structs.replace(
                    found,
                    kafka_bootstrap=engines.endpoints.kafka_bootstrap,
                    clickhouse_url=f"clickhouse://default@{host}:{port}/{found.clickhouse_database}",
                )
            topics.apply(found.kafka_bootstrap, found.topic_prefix)
            migrate(found)
            yield found
        finally:
            if engines is not None:
                engines.stop()
            ports.release()
            folder.close()


def measure(settings: Settings, *, events: int) -> Iterator[Row]:
    """Yield a row a stage."""
    catalogue = catalogues.load(settings.catalogue, pane_ms=settings.pane_ms)
    records = records_of(max(events, LEAST_JUDGED), catalogue)
    gc.freeze()  # what is measured should not be charged for looking through the input again and again
    yield {
        "what": "stage 1: records in, blocks out",
        "per_cpu_s": bench_tally(records[:events], catalogue, PANE_MS),
        "note": "decode, repeats, counts, encode; one partition, batches of 5,000",
    }
    yield bench_judge(records, catalogue)
    with _engines(settings) as found:
        sink = bench_sink(found, events=events)
        yield {"what": "sink: Avro in, rows in ClickHouse", "per_cpu_s": sink.pop("per_cpu_s"), "note": _note(sink)}
        gateway = asdict(bench_gateway(found, catalogue=catalogue, clock=system_clock, events=events // 5, batch=100))
        rate = gateway.pop("gateway_per_cpu_s")
        yield {"what": "gateway: HTTP in batches of 100, acknowledged", "per_cpu_s": rate, "note": _note(gateway)}


def _note(figures: Row) -> str:
    return ", ".join(
        f"{name} {value:,.2f}" if isinstance(value, float) else f"{name} {value}" for name, value in figures.items()
    )


def run(settings: Settings, *, quick: bool, json_: bool) -> int:
    """Measure and print; 0 when everything ran."""
    table = Table("stage", "events per CPU-second", "how", title="barometer bench", title_justify="left")
    rows = []
    for row in measure(settings, events=QUICK_EVENTS if quick else EVENTS):
        print(f"{row['what']}: {row['per_cpu_s']:,.0f} events per CPU-second", file=sys.stderr, flush=True)
        rows.append(row)
        table.add_row(row["what"], f"{row['per_cpu_s']:,.0f}", row["note"])
    if json_:
        print(json.dumps(rows))
    else:
        Console().print(table)
    return 0
