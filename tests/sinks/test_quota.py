"""The limit on what is set aside: held against a naive recount, and not forgotten by a restart."""

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.arrival import TICK_KEY
from schemas.event import Channel
from schemas.topics import LIVE
from sinks.making import Take
from sinks.quota import LEAST_RECORDS, Quota, TooManyRejectedError
from sinks.ranges import NONE_YET, Counts

CARD = LIVE[Channel.CARD]
PLACE = ("id", 0)


def take(kinds: str, partition: int = 0) -> Take:
    """Return records: `.` good, `x` bad, `t` a tick."""
    records = [
        SimpleNamespace(offset=10 + 2 * i, key=TICK_KEY if kind == "t" else b"k", value=None if kind == "t" else b"v")
        for i, kind in enumerate(kinds)
    ]
    return Take(CARD, "id", partition, records, [0] * len(records))


def places(kinds: str, partition: int = 0) -> list[tuple[str, int, int]]:
    return [("id", partition, 10 + 2 * i) for i, kind in enumerate(kinds) if kind == "x"]


def quota(batches: Sequence[str], *, ratio: float = 0.3, run: int = 100) -> Counts:
    """Pass batches of one partition; return its counts."""
    counts = NONE_YET
    for kinds in batches:
        one = Quota("t", [take(kinds)], {PLACE: counts}, ratio=ratio, run=run)
        one.add(places(kinds))
        counts = one.after(PLACE)
    return counts


@given(st.lists(st.text("..xt", min_size=1, max_size=30), min_size=1, max_size=8), st.integers(1, 6))
@settings(max_examples=200)
def test_so_many_in_a_row_stop_wherever_batches_are_cut(batches: list[str], run: int) -> None:
    flat = "".join(batches).replace("t", "")
    too_many = "x" * run in flat
    try:
        counts = quota(batches, run=run)
    except TooManyRejectedError:
        assert too_many
    else:
        assert not too_many
        assert counts == (len(flat), flat.count("x"), len(flat) - len(flat.rstrip("x")))


def test_a_share_past_the_limit_stops_once_there_are_enough_records() -> None:
    third = "x.." * 100
    quota([third] * 3)
    with pytest.raises(TooManyRejectedError, match=r"barometer rejected list"):
        quota([third] * 4)
    quota([third] * 4, ratio=0.34)
    quota([third] * 4, ratio=1.0, run=2)
    quota(["x" * 500], ratio=1.0)


def test_so_many_that_the_store_refuses_in_a_row_stop_across_partitions_too() -> None:
    takes = [take("x" * 6, partition) for partition in range(20)]
    refused = [place for partition in range(20) for place in places("x" * 6, partition)]
    one = Quota("t", takes, {}, ratio=0.3, run=100)
    for place in refused[:99]:
        one.refused(place)
    with pytest.raises(TooManyRejectedError, match="100 records in a row"):
        one.refused(refused[99])
    two, free = Quota("t", takes, {}, ratio=0.3, run=100), Quota("t", takes, {}, ratio=1.0, run=100)
    for number, place in enumerate(refused):
        if number % 60 == 59:
            two.taken()
        two.refused(place)
        free.refused(place)


def test_a_share_is_that_of_all_partitions_of_a_topic() -> None:
    kinds = "x." * 150
    takes = [take(kinds, partition) for partition in range(4)]
    one = Quota("t", takes, {}, ratio=0.3, run=100)
    with pytest.raises(TooManyRejectedError):
        one.add([place for partition in range(4) for place in places(kinds, partition)])


def test_long_ago_does_not_count_for_ever() -> None:
    good = ["." * 1000] * 12
    counts = quota(["x." * 40, *good])
    assert LEAST_RECORDS <= counts.records <= 2 * LEAST_RECORDS
    assert counts.aside == 0
    assert quota([*good, "x..." * 250]).aside > 0


def test_what_was_counted_before_a_restart_counts_after_it() -> None:
    with pytest.raises(TooManyRejectedError):
        Quota("t", [take("x" * 60)], {PLACE: Counts(500, 60, 60)}, ratio=0.3, run=100).add(places("x" * 60))
    with pytest.raises(TooManyRejectedError):
        Quota("t", [take("x")], {PLACE: Counts(1500, 460, 0)}, ratio=0.3, run=100).add(places("x"))
