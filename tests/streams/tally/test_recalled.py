"""What a killed tally remembered of customers, its successor knows from the log."""

import random
import signal

from schemas.clock import system_clock
from schemas.windows import HOUR_MS
from tests.streams.tally.test_worker import _assert_equal_to_a_clean_pass, _wait_settled

HUMAN = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}


def _said(event_maker, dice, number, **fields):
    """Return a mail or call of one of forty customers, in a conversation of their own; 25 hours old where the number is even."""
    now = system_clock()
    usual = {
        "channel": ("email", "call")[number % 4 // 2], "subject": f"customer {number}", "conversation_ref": f"talk {number}",
        "kind": "question", "direction": "in", "occurred_at": now - 25 * HOUR_MS * (number % 2 == 0), "received_at": now,
        "traits": HUMAN, "attributes": {}, "touchpoint": "lyon",
    }  # fmt: skip
    return event_maker(dice, **usual | fields)


def test_answers_and_repeats_after_a_kill_meet_the_messages_before_it(installation, event_maker):
    dice, producer = random.Random(5), installation.producer()
    for number in range(40):
        installation.send(producer, _said(event_maker, dice, number))
    producer.flush()
    first = installation.start()
    installation.wait(lambda: installation.assigned(first), "assigned")
    _wait_settled(installation)
    first.kill()
    assert -signal.SIGKILL == first.wait()
    late = _counts(installation, "response_in_time")
    assert {(0, 1): 20} == late
    for number in range(40):
        now = system_clock()
        reply = _said(event_maker, dice, number, kind="reply", direction="out", occurred_at=now)
        installation.send(producer, reply)
        installation.send(producer, _said(event_maker, dice, number, occurred_at=now + 1))
    producer.close()
    installation.start()
    _wait_settled(installation)
    assert {(0, 1): 20, (1, 1): 20} == _counts(installation, "response_in_time")
    assert {(0, 1): 20, (1, 1): 20} == _counts(installation, "repeat_calls")
    _assert_equal_to_a_clean_pass(installation)


def _counts(installation, metric):
    """Return (bin, sign) -> count of a metric over everything."""
    out = {}
    for block in installation.taken():
        for row in block.cells.rows():
            if row.series.metric.partition("@")[0] == metric and row.series.dimension == "*":
                at = row.bin, (row.count > 0) - (row.count < 0)
                out[at] = out.get(at, 0) + row.count
    return out
