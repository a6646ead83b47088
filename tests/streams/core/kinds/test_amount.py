"""Revenue: exact sums, and an interval from classes of amounts."""

import random
from collections import Counter

import numpy as np

from schemas.outputs import Quality
from streams.core.bins import Bins
from streams.core.values import value_of
from tests.streams.core.kinds.conftest import (
    assert_counts_equal_the_naive_count,
    metric_of,
    rich_event,
    rich_events,
    value_over,
)
from tests.streams.core.naive_cells import amount_class

REVENUE = metric_of("amount", events=("order_placed",), currency="EUR")
PLAIN = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}


def order(dice, amount, currency="EUR", **fields):
    placed = {"ref": "o", "amount_minor": amount, "currency": currency}
    return rich_event(dice, kind="order_placed", order=placed, traits=PLAIN, **{"retract": False, **fields})


def test_counts_equal_the_naive_count():
    assert_counts_equal_the_naive_count(
        REVENUE, metric_of("amount", name="chf", events=("order_placed",), currency="CHF")
    )


def test_the_total_is_exact_whatever_the_sizes():
    dice = random.Random(2)
    amounts = [dice.choice((0, 1, 7, 10**12, dice.randrange(10**6))) for _ in range(500)]
    found = value_over(REVENUE, [order(dice, one) for one in amounts])
    assert (found.value, found.n) == (float(sum(amounts)), 500)


def test_what_is_no_amount_of_the_currency_does_not_count():
    dice = random.Random(3)
    others = [order(dice, 5, "CHF"), order(dice, None), order(dice, -1), order(dice, 10**12 + 1)]
    others.append(rich_event(dice, kind="order_returned", order={"ref": "o", "amount_minor": 5, "currency": "EUR"}))
    assert value_over(REVENUE, others).quality is Quality.NO_DATA


def test_a_returned_amount_is_taken_back_to_the_cent():
    dice = random.Random(3)
    kept, undone = order(dice, 1_999), order(dice, 777_777)
    assert value_over(REVENUE, [kept, undone, {**undone, "retract": True}]) == value_over(REVENUE, [kept])


def test_the_interval_covers_the_expected_total_as_often_as_promised():
    """Lognormal orders at a Poisson number a day: the interval of each day against the true mean of a day."""
    dice = np.random.default_rng(5)
    orders, worlds, inside = 80, 400, 0
    expected = orders * np.exp(8 + 0.7**2 / 2)
    for _ in range(worlds):
        amounts = np.round(dice.lognormal(8, 0.7, dice.poisson(orders))).astype(int).tolist()
        found = value_of(REVENUE, Counter(map(amount_class, amounts)), sum(amounts))
        inside += found.lo <= expected <= found.hi
    assert 0.93 <= inside / worlds <= 0.985


def test_sums_pack_and_unpack_beside_their_counts():
    bins = Bins(REVENUE)
    for total, counts in ((5, {0: 1}), (-(10**13), {312: -3}), (0, {7: -1, 8: 1}), (10**18, {1: 2**31})):
        packed = bins.packed(counts, total)
        assert (bins.counts(packed), bins.total(packed)) == (counts, total)
        assert bins.total(packed - packed) == 0


def test_rich_events_hold_both_currencies():
    currencies = {one["order"]["currency"] for one in rich_events(0, 80) if one["order"]}
    assert {"EUR", "CHF"} <= currencies
