"""The drop alarm again, written from the design alone: one list of panes with evidence, one number a shop.

Shops are watched from one renewal on, with equal shares of the budget; no second renewal, no commands.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from scipy import stats

DAY = 86_400_000
WEEK = 7 * DAY
P1, MARGIN, LEARN_MIN, MAX_AGE, RESOLVE_MIN = 0.25, 0.03, 200, DAY, 30
Z = float(stats.norm.ppf(0.999))


def csat_of(event: Mapping[str, Any]) -> int | None:
    """Return the CSAT score of an event that counts, else None."""
    traits = event.get("traits") or {}
    if event["kind"] == "probe" or any(traits.get(name) for name in ("probe", "second_hand", "non_human")):
        return None
    return next((int(one["score"]) for one in event.get("answers") or () if one["question"] == "csat"), None)


def upper(bad: int, n: int) -> float:
    """Return the one-sided Wilson upper bound of a share."""
    p = bad / n
    centre, half = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return (centre + half) / (1 + Z * Z / n)


def baselines(
    events: Iterable[Mapping[str, Any]], renewed: int, pane_ms: int
) -> dict[str, dict[str, tuple[float, float]]]:
    """Return shop -> channel -> (p0, p1) from the whole days between 36 and 7 days before the pane that begins the watch."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for event in events:
        score, day = csat_of(event), event["occurred_at"] // DAY * DAY
        known = (event["arrived_at"] // pane_ms + 1) * pane_ms < renewed
        if score is None or not event.get("touchpoint") or not known:
            continue
        if renewed - 36 * DAY <= day and day + DAY <= renewed - 7 * DAY:
            counts[event["touchpoint"], event["channel"]][0] += 1
            counts[event["touchpoint"], event["channel"]][1] += score <= 3
    out: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for (shop, channel), (n, bad) in counts.items():
        if n >= LEARN_MIN:
            p0 = upper(bad, n)
            out[shop][channel] = (p0, max(P1, p0 + MARGIN))
    return dict(out)


def transitions(
    events: Iterable[Mapping[str, Any]], *, renewed: int, pane_ms: int, budget_per_week: float = 1.0
) -> list[tuple[int, str, str]]:
    """Return (pane, shop, "open" | "resolved") in order; `events` hold each id once, with lane and times."""
    events = list(events)
    shares = baselines(events, renewed, pane_ms)
    evidence: dict[str, dict[int, list[tuple[str, bool]]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        score, pane = csat_of(event), (event["arrived_at"] // pane_ms + 1) * pane_ms
        shop = event.get("touchpoint") or ""
        fresh = event["lane"] == "live" and event["received_at"] - event["occurred_at"] <= MAX_AGE
        if score is not None and fresh and pane >= renewed and event["channel"] in shares.get(shop, {}):
            evidence[shop][pane].append((event["channel"], score <= 3))
    w = budget_per_week * pane_ms / WEEK / max(len(shares), 1)
    out = []
    for shop, panes in evidence.items():
        r, last, opened, since = 0.0, renewed - pane_ms, False, 0
        for pane in sorted(panes):
            ratio = 1.0
            for channel, bad in panes[pane]:
                p0, p1 = shares[shop][channel]
                ratio *= p1 / p0 if bad else (1 - p1) / (1 - p0)
            r = (r + w * ((pane - last) // pane_ms)) * (1 / ratio if opened else ratio)
            last = pane
            since += len(panes[pane])
            if not opened and ratio > 1 and r >= 1:
                out.append((pane, shop, "open"))
                r, opened, since = 0.0, True, 0
            elif opened and r >= 1 and since >= RESOLVE_MIN:
                out.append((pane, shop, "resolved"))
                r, opened = 0.0, False
    return sorted(out)
