"""The month of a shop chain that the demonstration plays: five shops, five channels, one shop that goes wrong.

A pure function of a seed and an anchor: the same seed gives the same events, ids included.

    history   27 days, about 17,500 events: the bad share of CSAT is .10 at every shop
    last day  about 2,500 events in two minutes: from second 30 on the bad share at one shop is .45, and another shop
              gets a dispute
    repeats   2 % of all sends come a second time, and a few inputs are broken on purpose
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from deploy.demo.answers import BAD_SHARE, INJECTED_BAD_SHARE, answer
from deploy.demo.customers import Customers
from deploy.demo.shops import WEEKDAYS, Hours, Shop, weekday_of
from schemas.event import Channel
from schemas.windows import DAY_MS

HISTORY_DAYS = 27
HISTORY_EVENTS = 17_500
LIVE_EVENTS = 2_500
LIVE_S = 120.0
INJECTED_AFTER_S = 30.0
DISPUTE_AFTER_S = 75.0
REPEATED = 0.02
CHANNELS = {Channel.CARD: 0.60, Channel.WEB: 0.16, Channel.ORDER: 0.12, Channel.CALL: 0.07, Channel.EMAIL: 0.05}
"""Share of each channel in all events."""

_CHANNELS, _CHANNEL_WEIGHTS = list(CHANNELS), list(CHANNELS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that a customer did at `at_ms`, as a native event without times."""

    at_ms: int
    event: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One item of the live day, sent `at_s` after its start.

    `injected`: a CSAT answer drawn at the raised bad share; `repeats`: the number of the item that is sent again, byte for
    byte; `broken`: no gateway may accept it.
    """

    at_s: float
    event: dict[str, Any]
    injected: bool = False
    repeats: int | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The whole demonstration: what is imported, what is sent live, and where the trouble is."""

    seed: int
    anchor_ms: int
    injected_shop: str
    dispute_shop: str
    history: list[Item]
    live: list[Send] = field(repr=False)


def month(
    shops: Sequence[Shop],
    seed: int,
    anchor_ms: int,
    *,
    history_events: int = HISTORY_EVENTS,
    live_events: int = LIVE_EVENTS,
    live_s: float = LIVE_S,
) -> Month:
    """Return the demonstration of a seed; `anchor_ms` is the UTC midnight that begins the live day.

    Shorter days keep their proportions: the injection begins after a quarter of `live_s`.
    """
    rng = Random(seed)
    names = [shop.name for shop in shops]
    injected_shop, dispute_shop = rng.sample(names, 2)
    history = sorted(_history(rng, shops, anchor_ms, history_events), key=lambda item: item.at_ms)
    live = _live_day(rng, shops, live_events, live_s, injected_shop, dispute_shop)
    return Month(
        seed=seed,
        anchor_ms=anchor_ms,
        injected_shop=injected_shop,
        dispute_shop=dispute_shop,
        history=history,
        live=live,
    )


def _history(rng: Random, shops: Sequence[Shop], anchor_ms: int, events: int) -> Iterator[Item]:
    first_ms = anchor_ms - HISTORY_DAYS * DAY_MS
    hours = Hours(shops, first_ms, HISTORY_DAYS)
    customers = Customers(rng)
    names, busy = [shop.name for shop in shops], [shop.busy for shop in shops]
    days = range(HISTORY_DAYS)
    traffic = [WEEKDAYS[weekday_of(first_ms + day * DAY_MS)] for day in days]
    for day, shop, channel in zip(
        rng.choices(days, traffic, k=events),
        rng.choices(names, busy, k=events),
        rng.choices(_CHANNELS, _CHANNEL_WEIGHTS, k=events),
        strict=True,
    ):
        yield Item(at_ms=moment(rng, hours, channel, shop, day), event=customers.event(channel, shop, BAD_SHARE))


def moment(rng: Random, hours: Hours, channel: Channel, shop: str, day: int) -> int:
    """Return when somebody uses this channel: cards and calls while the shop is open, the rest from home."""
    at = hours.in_shop if channel in {Channel.CARD, Channel.CALL} else hours.at_home
    return at(rng, shop, day)


def _live_day(
    rng: Random, shops: Sequence[Shop], events: int, live_s: float, injected_shop: str, dispute_shop: str
) -> list[Send]:
    customers = Customers(rng)
    names, busy = [shop.name for shop in shops], [shop.busy for shop in shops]
    injected_after_s = live_s * INJECTED_AFTER_S / LIVE_S
    sends = []
    for index in range(events):
        at_s = live_s * index / events
        shop = rng.choices(names, busy)[0]
        channel = rng.choices(_CHANNELS, _CHANNEL_WEIGHTS)[0]
        raised = shop == injected_shop and at_s >= injected_after_s
        event = customers.event(channel, shop, INJECTED_BAD_SHARE if raised else BAD_SHARE)
        asked = {given["question"] for given in event.get("answers", ())}
        sends.append(Send(at_s=at_s, event=event, injected=raised and "csat" in asked))
    sends.append(Send(at_s=live_s * DISPUTE_AFTER_S / LIVE_S, event=customers.dispute(dispute_shop)))
    repeats = [
        Send(
            at_s=min(send.at_s + rng.uniform(0.05, 8.0), live_s),
            event=send.event,
            injected=send.injected,
            repeats=index,
        )
        for index, send in enumerate(sends)
        if rng.random() < REPEATED
    ]
    broken = [Send(at_s=rng.uniform(0, live_s), event=event, broken=True) for event in _broken_events(names[0])]
    return sorted([*sends, *repeats, *broken], key=lambda send: send.at_s)


def _broken_events(shop: str) -> list[dict[str, Any]]:
    """Return inputs that no gateway may take for events, each wrong in a way of its own."""
    good = {"channel": "card", "kind": "rating", "touchpoint": shop, "answers": [answer("csat", 4)]}
    return [
        {**good, "channel": "pigeon"},
        {**good, "answers": [{"question": "csat", "score": 9, "scale": [1, 5]}]},
        {**good, "answers": [{"question": "csat", "score": "very", "scale": [1, 5]}]},
        {**good, "occurred_at": "2026-02-31T10:00:00Z"},
        {**good, "occurred_at": 915_148_800_000},
        {**good, "kind": "hologram"},
    ]
