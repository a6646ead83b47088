"""The month in real time: 28 days of events as JSON lines, for `barometer backtest` and for whoever checks its promises.

Days 1-20 are history (readings and baselines), days 21-28 are live (detectors too); the renewal of baselines at the start
of day 21 learns from the days that were then at least a week old. On day 28 at 06:00 UTC the bad share at one shop goes
from .10 to .45. Cards are typed in with a delay, some of them up to two days later.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from deploy.demo.answers import BAD_SHARE, INJECTED_BAD_SHARE
from deploy.demo.customers import Customers
from deploy.demo.scenario import REPEATED, moment
from deploy.demo.shops import WEEKDAYS, Hours, Shop, weekday_of
from schemas.event import Channel, Lane
from schemas.outputs import Decision, DecisionKind, decision_to_record
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS

ANCHOR_MS = 1_772_323_200_000
"""2026-03-01 00:00 UTC, a Sunday: day 28 is a Saturday."""
DAYS = 28
LIVE_FROM_DAY = 20
INJECTED_AT_MS = 27 * DAY_MS + 6 * HOUR_MS
"""Since the anchor."""
CHANNELS = {Channel.CARD: 0.80, Channel.WEB: 0.08, Channel.ORDER: 0.05, Channel.CALL: 0.04, Channel.EMAIL: 0.03}
CSAT_AT_LEAST = 100
"""CSAT answers a day and shop."""
CSAT_BESIDES = 30
"""What a usual weekday brings beyond that."""
LATE_CARDS = 0.03
TYPICAL_DELAY_MS = {
    Channel.CARD: 20_000,
    Channel.WEB: 1_000,
    Channel.ORDER: 2_000,
    Channel.CALL: 5 * MINUTE_MS,
    Channel.EMAIL: 3 * MINUTE_MS,
}

_CHANNELS, _WEIGHTS = list(CHANNELS), list(CHANNELS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTime:
    """Events of 28 days in order of arrival, the command that arms the detectors, and the shop that was hit (None: none)."""

    events: list[dict[str, Any]]
    renewal: Decision
    injected_shop: str | None
    injected_at: int
    end: int


def real_time(shops: Sequence[Shop], seed: int, *, anchor_ms: int = ANCHOR_MS, inject: bool = True) -> RealTime:
    """Return the 28 days of a seed; without injection the bad share stays .10 everywhere."""
    rng = Random(seed)
    hit = rng.choice(shops).name
    end = anchor_ms + DAYS * DAY_MS
    live_from = anchor_ms + LIVE_FROM_DAY * DAY_MS
    events = list(_days(rng, shops, anchor_ms, end, hit if inject else None))
    for event in events:
        event["lane"] = Lane.LIVE.value if event["arrived_at"] >= live_from else Lane.HISTORY.value
    events += [
        {**event, "arrived_at": min(event["arrived_at"] + rng.randrange(10 * MINUTE_MS), end - 1)}
        for event in events
        if rng.random() < REPEATED
    ]
    events.sort(key=lambda event: event["arrived_at"])
    return RealTime(
        events=events,
        renewal=Decision(
            decision_id=f"demo-renew-{seed}",
            kind=DecisionKind.RENEW,
            from_pane=live_from,
            author="demo",
            made_at=live_from,
        ),
        injected_shop=hit if inject else None,
        injected_at=anchor_ms + INJECTED_AT_MS,
        end=end,
    )


def _days(rng: Random, shops: Sequence[Shop], anchor_ms: int, end: int, hit: str | None) -> Iterator[dict[str, Any]]:
    hours = Hours(shops, anchor_ms, DAYS)
    customers = Customers(rng)
    for day in range(DAYS):
        busy = WEEKDAYS[weekday_of(anchor_ms + day * DAY_MS)]
        for shop in shops:
            wanted = CSAT_AT_LEAST + rng.randrange(int(2 * CSAT_BESIDES * busy * shop.busy))
            answers = 0
            while answers < wanted:
                channel = rng.choices(_CHANNELS, _WEIGHTS)[0]
                at = moment(rng, hours, channel, shop.name, day)
                raised = shop.name == hit and at >= anchor_ms + INJECTED_AT_MS
                event = customers.event(channel, shop.name, INJECTED_BAD_SHARE if raised else BAD_SHARE)
                answers += any(given["question"] == "csat" for given in event.get("answers", ()))
                arrived = at + int(rng.expovariate(1 / TYPICAL_DELAY_MS[channel]))
                if channel is Channel.CARD and rng.random() < LATE_CARDS:
                    arrived = at + rng.randrange(2 * DAY_MS)
                yield {**event, "occurred_at": at, "arrived_at": min(arrived, end - 1)}


def write(month: RealTime, path: Path) -> None:
    """Write PATH, PATH.commands.jsonl (for `backtest --commands`) and PATH.injected.json (what is to be found)."""
    encode = msgspec.json.Encoder().encode
    path.write_bytes(b"".join(encode(event) + b"\n" for event in month.events))
    commands = path.with_name(path.name + ".commands.jsonl")
    commands.write_bytes(encode(decision_to_record(month.renewal)) + b"\n")
    truth = [{"metric": "csat", "dimension": "touchpoint", "key": month.injected_shop, "at": month.injected_at}] * (
        month.injected_shop is not None
    )
    path.with_name(path.name + ".injected.json").write_bytes(encode(truth) + b"\n")
