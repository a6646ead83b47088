"""The order in a file means nothing where the times of arrival are given, and neither does saying everything twice."""

from random import Random
from typing import Any

import pytest

from deploy.backtest import backtest
from deploy.demo.generate import RealTime, real_time
from deploy.demo.shops import shops_of
from schemas import catalogue as catalogues

CATALOGUE = catalogues.load()
PANE_MS = 10_000
KEPT = 60
LEARNED_FROM = 300
"""Cards of the hit shop that are old enough to learn from: with them its detector is armed."""


@pytest.fixture(scope="module")
def month() -> RealTime:
    return real_time(shops_of(CATALOGUE), 11)


@pytest.fixture(scope="module")
def events(month: RealTime) -> list[dict[str, Any]]:
    """A thinned month, with all that the detector of the hit shop needs: old cards to learn from and the last day."""
    rng = Random(11)
    cards = [one for one in month.events if one["touchpoint"] == month.injected_shop and one["channel"] == "card"]
    needed = {
        one["id"] for one in (*cards[:LEARNED_FROM], *(one for one in cards if one["arrived_at"] >= month.injected_at))
    }
    return [one for one in month.events if one["id"] in needed or not rng.randrange(KEPT)]


def said(events: list[dict[str, Any]], month: RealTime) -> tuple[dict[Any, Any], list[Any]]:
    """Return the last revision of every final reading, and the transitions."""
    finals, transitions = {}, []
    for row in backtest(
        events, CATALOGUE, pane_ms=PANE_MS, provisional_step_ms=60_000, until=month.end, commands=[month.renewal]
    ):
        row.pop("seq")
        if row["type"] == "alarm":
            transitions.append(row)
        elif row["status"] != "provisional":
            finals[row["metric"], row["dimension"], row["key"], row["window"], row["window_end"]] = row
    return finals, transitions


def by_partition(events: list[dict[str, Any]], rng: Random) -> list[dict[str, Any]]:
    """Return the events as four partitions a channel would be read: each in its order, interleaved by chance."""
    partitions: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for event in events:
        partitions.setdefault((event["channel"], hash(event["id"]) % 4), []).append(event)
    waiting = [list(reversed(held)) for held in partitions.values()]
    out = []
    while waiting:
        chosen = rng.choice(waiting)
        out += [chosen.pop() for _ in range(min(len(chosen), rng.randrange(1, 200)))]
        waiting = [held for held in waiting if held]
    return out


@pytest.mark.long
def test_partitions_interleaved_otherwise_and_every_record_twice_give_the_same(
    month: RealTime, events: list[dict[str, Any]]
) -> None:
    straight = said(events, month)
    assert len(straight[0]) > 5_000 and straight[1]
    rng = Random(7)
    doubled = [copy for event in by_partition(events, rng) for copy in (event, event)]
    assert said(doubled, month) == straight
