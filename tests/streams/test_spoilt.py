"""When a partition is spoilt: a share of bad records over so many, whatever the size of what is fetched at once."""

import random
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.runs import runs_of
from streams.spoilt import Spoilt

START_MS = 1_790_000_000_000
PARTITION = TopicPartition("feedback.card.v1", 2)
JUNK = b"\x00\x00\x00\x00\x01junk"


@pytest.fixture
def run(event_maker: Any, record_maker: Any) -> Any:
    """Return a maker of runs: `x` a bad record, `.` an event, `t` a tick; one a millisecond."""

    def made(what: str, at: int = 0) -> Any:
        records = []
        for number, sign in enumerate(what, start=at):
            value = {"x": JUNK, "t": None}.get(sign)
            event = event_maker(random.Random(number)) if sign == "." else value
            records.append(record_maker(number, event, START_MS + number))
        return runs_of({PARTITION: records})[PARTITION]

    return made


def test_half_of_so_many_is_too_much_and_less_is_not(run: Any) -> None:
    assert Spoilt(0.5, 10).seen(PARTITION, run("x.x.x.x.x."))
    assert not Spoilt(0.5, 10).seen(PARTITION, run("x.x.x.x..."))
    assert not Spoilt(0.5, 10).seen(PARTITION, run("xxxxxxxxx")), "too few to judge by"


def test_what_is_fetched_record_by_record_is_judged_alike(run: Any) -> None:
    spoilt, signs = Spoilt(0.5, 10), "..........xxxxx....xx"
    found = [spoilt.seen(PARTITION, run(sign, at)) for at, sign in enumerate(signs)]
    assert [at for at, one in enumerate(found) if one] == [19], "of the second ten, six are bad"


def test_ticks_do_not_count(run: Any) -> None:
    assert not Spoilt(0.5, 10).seen(PARTITION, run("t" * 50 + "xxxxx"))


def test_what_an_operator_has_let_pass_does_not_count_what_comes_later_does(run: Any) -> None:
    spoilt = Spoilt(0.5, 10)
    assert spoilt.seen(PARTITION, run("x" * 20))
    spoilt.take(PARTITION, START_MS + 30)
    assert not spoilt.seen(PARTITION, run("x" * 31))
    assert spoilt.seen(PARTITION, run("x" * 10, 31))


def test_without_a_ratio_nothing_is_spoilt(run: Any) -> None:
    assert not Spoilt(0, 10).seen(PARTITION, run("x" * 100))
