"""The gate's lines count each record of history once, touch each other, and go on where they stood after a kill."""

import json
from collections import Counter
from itertools import pairwise
from typing import Any

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrival import TICK_KEY
from schemas.codec import Kind, decode_as
from schemas.topics import HISTORY
from schemas.windows import HOUR_MS
from sinks.gate_lines import GateLines, line_of
from sinks.positions import Committed, Fetched

TP = TopicPartition("x." + HISTORY.name, 3)
FATES = ("events", "repeats", "undecodable", "ticks")


def fetched(offset: int, at_ms: int, key: bytes, value: bytes | None) -> Fetched:
    return Fetched(TP.topic, TP.partition, offset, at_ms, 1, key, value, None, 0, 0, ())


@given(
    st.lists(st.tuples(st.integers(0, 5 * 60), st.sampled_from(FATES)), min_size=1, max_size=60),
    st.lists(st.integers(1, 60), max_size=6),
    st.booleans(),
)
def test_lines_and_what_is_under_way_are_a_naive_recount_by_hour(
    given_records: list[tuple[int, str]], cuts: list[int], restarts: bool
) -> None:
    records, expected, newest = [], Counter[Any](), 0
    for offset, (minute, fate) in enumerate(given_records, 7):
        newest = max(newest, minute * 60_000 // HOUR_MS * HOUR_MS)  # time never goes back
        key, value = (TICK_KEY, None) if fate == "ticks" else (b"k", b"v")
        records.append(fetched(offset, minute * 60_000, key, value))
        expected[newest, fate] += 1
    fate_at = {(TP.partition, offset): fate for offset, (_, fate) in enumerate(given_records, 7)}
    lines = GateLines("id", {TP: 7}, {})
    found: list[Any] = []
    edges = sorted({0, *(cut for cut in cuts if cut < len(records)), len(records)})
    stands = Committed(7, "{}")
    for begin, end in pairwise(edges):
        some = records[begin:end]
        bad, admitted = ({at for at, fate in fate_at.items() if fate == which} for which in ("undecodable", "events"))
        moved = lines.moved({TP: some}, bad, admitted)
        lines.moved({TP: some}, bad, admitted)  # a try that was not committed leaves no trace
        lines.keep(moved)
        found += [decode_as(Kind.LEDGER, value) for _, value in moved.closed]
        stands = Committed(some[-1].offset + 1, lines.beside(moved.under_way[TP]))
        if restarts:
            lines = GateLines("id", {TP: 0}, {TP: stands})
    last = line_of(json.loads(stands.metadata), TP.partition, stands.offset)
    assert last is not None
    found.append({name: getattr(last, name) for name in last.__struct_fields__})
    got = Counter({(one["hour"], name): one[name] for one in found for name in FATES})
    assert +got == +expected
    assert [one["first_offset"] for one in found] == [7, *(one["next_offset"] for one in found[:-1])]
    assert {(one["writer"], one["holes"], one["source_partition"]) for one in found} == {("gate", 0, 3)}


def test_positions_of_an_older_gate_begin_a_line_and_nothing_under_way_is_no_line() -> None:
    lines = GateLines("id", {TP: 4}, {TP: Committed(9, "{}")})
    assert lines.moved({TP: []}, set(), set()).closed == []
    assert lines.moved({TP: [fetched(9, 0, b"k", b"v")]}, set(), set()).under_way[TP].first == 9
    assert line_of({}, 3, 4) is None
