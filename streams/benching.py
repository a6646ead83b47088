"""What stage 1 costs without the broker: fetched records in, encoded blocks out."""

import time
from collections.abc import Sequence

from aiokafka import ConsumerRecord

from schemas import blocks
from schemas.catalogue import Catalogue
from schemas.codec import Kind, encode
from schemas.repeats import RepeatFilter
from streams.core.tally import PartitionTally, TallyState
from streams.runs import runs_of

BATCH = 5_000
DAY_MS = 86_400_000


def bench_tally(
    records: Sequence[ConsumerRecord[bytes, bytes]], catalogue: Catalogue, pane_ms: int = 10_000, batch: int = BATCH
) -> float:
    """Return how many records of one partition stage 1 takes per CPU-second: decode, repeats, counts, blocks, encoding."""
    live = True
    tally = PartitionTally("bench", "bench", 0, catalogue, pane_ms, live, RepeatFilter(14 * DAY_MS), TallyState())
    began = time.process_time()
    for at in range(0, len(records), batch):
        run = runs_of({0: records[at : at + batch]})[0]
        for block in tally.feed(run):
            encode(Kind.BLOCK, blocks.to_record(block))
    return len(records) / (time.process_time() - began)
