"""The month of the demonstration keeps what it says about itself, for more than one seed."""

from collections import Counter
from typing import Any

import pytest

from deploy.demo.generate import ANCHOR_MS, INJECTED_AT_MS, LIVE_FROM_DAY, real_time
from deploy.demo.scenario import DISPUTE_AFTER_S, HISTORY_DAYS, INJECTED_AFTER_S, LIVE_S, Month, month
from deploy.demo.shops import shops_of
from producers.channels import native
from producers.pseudonyms import Pseudonyms
from schemas import catalogue
from schemas.errors import InvalidEventError
from schemas.event import Channel
from schemas.windows import DAY_MS

CATALOGUE = catalogue.load()
SHOPS = shops_of(CATALOGUE)
PSEUDONYMS = Pseudonyms(key=b"k" * 16, country="FR")
SEEDS = (1, 2, 3)


def csat_of(event: dict[str, Any]) -> list[int]:
    return [given["score"] for given in event.get("answers", ()) if given["question"] == "csat"]


@pytest.fixture(scope="module", params=SEEDS)
def played(request: pytest.FixtureRequest) -> Month:
    return month(SHOPS, request.param, ANCHOR_MS)


def test_the_same_seed_gives_the_same_month_and_another_seed_another() -> None:
    small = {"history_events": 50, "live_events": 20}
    assert month(SHOPS, 1, ANCHOR_MS, **small) == month(SHOPS, 1, ANCHOR_MS, **small)
    assert month(SHOPS, 1, ANCHOR_MS, **small) != month(SHOPS, 2, ANCHOR_MS, **small)


def test_history_fills_27_days_in_order_and_all_channels(played: Month) -> None:
    moments = [item.at_ms for item in played.history]
    assert moments == sorted(moments)
    assert played.anchor_ms - HISTORY_DAYS * DAY_MS <= moments[0] and moments[-1] < played.anchor_ms
    assert len({moment // DAY_MS for moment in moments}) == HISTORY_DAYS
    assert {item.event["channel"] for item in played.history} == set(Channel)


def test_every_shop_has_the_same_bad_share_in_history_and_enough_old_cards_to_learn_it(played: Month) -> None:
    for shop in SHOPS:
        cards = [
            score
            for item in played.history
            if item.event["touchpoint"] == shop.name and item.event["channel"] == "card"
            and item.at_ms < played.anchor_ms - 7 * DAY_MS
            for score in csat_of(item.event)
        ]  # fmt: skip
        assert len(cards) > 1000
        assert sum(score <= 3 for score in cards) / len(cards) == pytest.approx(0.10, abs=0.03)


def test_every_shop_gets_150_csat_answers_live_and_one_turns_bad_at_second_30(played: Month) -> None:
    firsts = [send for send in played.live if send.repeats is None and not send.broken]
    answers = Counter(send.event["touchpoint"] for send in firsts if csat_of(send.event))
    assert min(answers.values()) >= 150 and len(answers) == len(SHOPS)
    raised = [send for send in firsts if send.injected]
    assert {send.event["touchpoint"] for send in raised} == {played.injected_shop}
    assert min(send.at_s for send in raised) >= INJECTED_AFTER_S
    scores = [score for send in raised for score in csat_of(send.event)]
    assert sum(score <= 3 for score in scores) / len(scores) == pytest.approx(0.45, abs=0.12)


def test_one_dispute_at_another_shop_and_two_percent_of_repeats(played: Month) -> None:
    disputes = [send for send in played.live if send.event.get("kind") == "dispute" and send.repeats is None]
    assert [(send.at_s, send.event["touchpoint"]) for send in disputes] == [(DISPUTE_AFTER_S, played.dispute_shop)]
    assert played.dispute_shop != played.injected_shop
    repeats = sum(send.repeats is not None for send in played.live)
    assert repeats / len(played.live) == pytest.approx(0.02, abs=0.012)
    assert all(0 <= send.at_s <= LIVE_S for send in played.live)


def test_the_gateway_takes_every_event_but_the_broken_ones(played: Month) -> None:
    reasons = []
    for send in played.live:
        try:
            native.parse(
                dict(send.event), source="demo", received_at=ANCHOR_MS, pseudonyms=PSEUDONYMS, catalogue=CATALOGUE
            )
            assert not send.broken
        except InvalidEventError as error:
            assert send.broken
            reasons.append(error.reason)
    assert len(reasons) == sum(send.broken for send in played.live) > 3 and len(set(reasons)) > 3


def test_customers_are_invented(played: Month) -> None:
    for item in played.history:
        given = item.event.get("customer", {})
        assert given.get("email", "@mail.example").endswith("@mail.example")
        assert given.get("phone", "+3363998").startswith("+3363998")


def test_the_month_in_real_time_has_100_csat_answers_a_day_and_shop_and_arrives_in_order() -> None:
    made = real_time(SHOPS, 5)
    arrived = [event["arrived_at"] for event in made.events]
    assert arrived == sorted(arrived) and arrived[-1] < made.end
    answers = Counter(
        (event["touchpoint"], event["occurred_at"] // DAY_MS)
        for event in {event["id"]: event for event in made.events}.values()
        if csat_of(event)
    )
    assert len(answers) == 28 * len(SHOPS) and min(answers.values()) >= 100
    assert made.renewal.from_pane == ANCHOR_MS + LIVE_FROM_DAY * DAY_MS


def test_the_null_month_differs_from_the_other_only_after_the_injection() -> None:
    hit, null = real_time(SHOPS, 6), real_time(SHOPS, 6, inject=False)
    before = ANCHOR_MS + INJECTED_AT_MS

    def early(events: list[dict[str, Any]]) -> set[str]:
        return {event["id"] for event in events if event["occurred_at"] < ANCHOR_MS + 27 * DAY_MS}

    def late(events: list[dict[str, Any]]) -> float:
        scores = [
            score
            for event in events
            if event["occurred_at"] >= before and event["touchpoint"] == hit.injected_shop
            for score in csat_of(event)
        ]
        return sum(score <= 3 for score in scores) / len(scores)

    assert early(hit.events) == early(null.events)
    assert late(hit.events) == pytest.approx(0.45, abs=0.12) and late(null.events) == pytest.approx(0.10, abs=0.08)
