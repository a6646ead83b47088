"""`barometer replay` as people see it: the report, the certificate, and whether a certificate still holds."""

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from deploy.certificate import Certificate, TableHash, certificate, write
from deploy.declarations import moment_of
from deploy.replay import WHOLE, Range, Report, catalogues_of, replay, table_topics
from schemas.clock import system_clock
from schemas.settings import Settings
from sinks.shadow import live_hashes


def run(
    settings: Settings, *, within: Range = WHOLE, certified: Path | None = None, keep: bool = False, json_: bool = False
) -> int:
    """Replay, print the report, write the certificate; return the exit code: 0 only if nothing differs."""
    report = replay(settings, within=within, keep=keep, tell=lambda text: print(text, file=sys.stderr))
    if certified is not None:
        write(_certificate(settings, report), certified)
    plain: dict[str, Any] = {"equal": report.equal, **msgspec.to_builtins(report)}
    if json_:
        print(json.dumps(plain, ensure_ascii=False))
    else:
        print(
            f"recounted {report.events} events into {report.blocks} blocks, judged up to {report.pane}: {report.outputs} outputs, "
            f"{report.readings} last readings, {report.transitions} transitions; {report.difference_count} differences"
        )
        for one in report.differences:
            print(f"  {one}")
        if certified is not None:
            print(f"{certified}: {'certified' if report.equal else 'the differences'}, {_span(report)}")
    return 0 if report.equal else 1


def check(settings: Settings, made: Certificate) -> list[str]:
    """Return in what the live tables no longer are what a certificate says; nothing is counted again."""
    topics = table_topics(settings)
    foreign = [
        f"{one.table}: filled from another topic now ({topics[one.table]})"
        for one in made.tables
        if one.topic_id != topics[one.table]
    ]
    if foreign:
        return foreign
    now = live_hashes(settings, made.from_ms, made.to_ms, topics)
    return [
        f"{one.table}: {one.rows} rows were certified, {now[one.table][0]} stand there"
        + ("" if now[one.table][0] != one.rows else ", with other contents")
        for one in made.tables
        if now[one.table] != (one.rows, one.hash)
    ]


def _certificate(settings: Settings, report: Report) -> Certificate:
    assert report.log is not None
    return certificate(
        clock=system_clock, from_ms=report.from_ms, to_ms=report.to_ms, catalogues=catalogues_of(settings), log=report.log,
        sources=report.sources, differences=report.differences,
        events=report.events, blocks=report.blocks, decisions=report.decisions, outputs=report.outputs,
        tables=[
            TableHash(table=one.table, topic_id=one.topic_id, rows=one.live_rows, hash=one.live_hash) for one in report.tables
        ],
    )  # fmt: skip


def _span(report: Report) -> str:
    return f"{moment_of(report.from_ms)} to {moment_of(report.to_ms)}"
