"""Tokens come back with time, never beyond the bucket; a refused request takes none."""

import pytest

from producers.refusals import Refusal
from producers.write_keys import BURST_S, RateLimit, WriteKeys


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


def refused(limit: RateLimit, events: int) -> int:
    with pytest.raises(Refusal) as refusal:
        limit.take("shop", events)
    assert 429 == refusal.value.status
    return int(refusal.value.headers["Retry-After"])


def test_a_burst_passes_then_the_rate_holds() -> None:
    clock = Clock()
    limit = RateLimit(2.0, clock)
    limit.take("shop", 2 * BURST_S)
    assert 1 == refused(limit, 1)
    assert 5 == refused(limit, 10)
    clock.now += 5_000
    limit.take("shop", 10)
    clock.now += 3_600_000
    limit.take("shop", 2 * BURST_S)
    refused(limit, 1)


def test_the_time_told_is_enough() -> None:
    clock = Clock()
    limit = RateLimit(3.0, clock)
    limit.take("shop", 30)
    clock.now += refused(limit, 7) * 1000
    limit.take("shop", 7)


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full_and_leaves_a_debt() -> None:
    clock = Clock()
    limit = RateLimit(1.0, clock)
    limit.take("shop", 100)
    assert refused(limit, 1) > 90


def test_a_check_takes_nothing_and_a_clock_that_goes_back_gives_nothing() -> None:
    clock = Clock()
    limit = RateLimit(1.0, clock)
    for _ in range(100):
        limit.check("shop")
    limit.take("shop", BURST_S)
    clock.now -= 60_000
    refused(limit, 1)
    with pytest.raises(Refusal):
        limit.check("shop")


def test_keys_are_told_apart_and_a_password_is_ignored() -> None:
    keys = WriteKeys({"k1": "shop", "k2": "site"})
    assert "shop" == keys.name_of("Bearer k1")
    assert "site" == keys.name_of("Basic azI6c2VjcmV0")
