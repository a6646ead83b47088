"""A broker whose clock is a year ahead for one batch, then an hour behind: panes, and days of the store, hardly notice."""

import itertools
import random

from schemas.arrival import SENT_SLACK_MS, arrived_run
from schemas.catalogue import load
from streams.core.tally import PartitionTally, TallyState
from streams.runs import runs_of

PANE_MS = 1_000
YEAR_MS, HOUR_MS, DAY_MS = 365 * 86_400_000, 3_600_000, 86_400_000
START_MS = 1_790_000_000_000
EVERY_MS, RECORDS = 500, 1_600
JUMPS = {**dict.fromkeys(range(400, 410), YEAR_MS), **dict.fromkeys(range(800, 1_000), -HOUR_MS)}


def test_panes_go_on_days_stay_few_and_every_event_is_counted_once(event_maker, record_maker) -> None:
    dice = random.Random(1)
    records, sent, append = [], [], []
    for number in range(RECORDS):
        now = START_MS + number * EVERY_MS
        sent.append(now)
        append.append(now + JUMPS.get(number, 0))
        records.append(record_maker(number, event_maker(dice, at_ms=now), append[-1], sent_ms=now))
    tally = PartitionTally("t", "id", 0, load(), PANE_MS, True, None, TallyState())
    blocks = [block for at in range(0, RECORDS, 20) for block in tally.feed(runs_of({0: records[at : at + 20]})[0])]

    assert all(after.from_pane == before.to_pane + PANE_MS for before, after in itertools.pairwise(blocks))
    assert blocks[-1].to_pane <= sent[-1] + SENT_SLACK_MS, "no pane of the year to come was closed"
    at = arrived_run(0, append, sent)
    assert len({one // DAY_MS for one in at}) <= 2, "a batch of the store meets one day"
    late = sent[1_000] - START_MS
    closed_at_the_end = blocks[-1].to_pane - START_MS
    assert closed_at_the_end > late, "panes go on once the clock is right again"
    assert max(one - there for one, there in zip(at, sent, strict=True)) <= SENT_SLACK_MS
    assert sum(block.events for block in blocks) + sum(one >= blocks[-1].to_pane for one in at) == RECORDS
