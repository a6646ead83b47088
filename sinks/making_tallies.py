"""Rows of tallies: blocks of stage 1. Pure: a function of the log.

Repeats: a block is dropped if its source had already got as far (the judge's rule).
"""

from collections.abc import Sequence

from schemas.blocks import from_record
from schemas.codec import Kind, kind_of
from schemas.declared import LESSON
from schemas.errors import UndecodableError
from sinks.ledger_blocks import block_line
from sinks.making import Kept, Made, Memory, Take, of_kind, set_aside
from sinks.rows import Place, Record, tally_rows


def make_tallies(takes: Sequence[Take], memory: Memory) -> Made:
    """Return the rows of tallies; a block whose source had already got as far is a repeat.

    Decisions make no row, and lessons none: they say again what stands in the rows of other blocks.
    """
    made = Made()
    blocks = [
        take._replace(
            records=[one for one in take.records if not _is_decision(one)],
            arrived=[at for one, at in zip(take.records, take.arrived, strict=True) if not _is_decision(one)],
        )
        for take in takes
    ]
    decoded, bad = of_kind(blocks, Kind.BLOCK, from_record)
    set_aside(bad, made, memory.seals)
    kept: list[Record] = []
    places: list[Place] = []
    for take, at, records in decoded:
        for i, record in zip(at, records, strict=True):
            if record["topic"] == LESSON:
                continue
            line = block_line(record, memory.ends)
            if line is not None:
                made.closed += [(line, place) for place in take.places([i])]
            source = (record["topic_id"], record["partition"])
            if record["to_pane"] <= memory.blocks.get(source, -1):
                made.repeats[take.topic.name] += 1
                continue
            memory.blocks[source] = record["to_pane"]
            if record["rows"]:
                kept.append(record)
                places.extend(take.places([i]))
    if kept:
        made.rows = tally_rows(kept, places)
    return made


def _is_decision(one: Kept) -> bool:
    try:
        return kind_of(one.value) is Kind.DECISION
    except UndecodableError:
        return False
