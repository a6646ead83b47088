"""What the packaged metrics that remember customers count, from all stored events at once and from the definitions alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

HOUR = 3_600_000
DAY = 24 * HOUR
TARGET, MEMORY, WITHIN = DAY, 3 * DAY, 7 * DAY
CALLS_FOR = {"question", "remark", "complaint", "letter", "dispute"}
WANTS_ANSWER = {"question", "complaint", "letter"}
EDGES = [101**bucket // 99**bucket for bucket in range(1251)]
Event = Mapping[str, Any]
Found = tuple[str, int, int]
"""Metric, bin, and the pane in which it became known."""


def remembered(events: Iterable[Event], *, pane_ms: int, until: int | None = None) -> dict[str, list[Found]]:
    """Return event id -> what the event counts for by what came before or after it, as known at the end of pane `until`."""
    heard: dict[Any, list[Event]] = defaultdict(list)
    for event in events:
        traits = event.get("traits") or {}
        original = not (
            event.get("retract") or event.get("corrects") or traits.get("probe") or event["kind"] == "probe"
        )
        if original and event.get("subject"):
            heard[event.get("partition_of"), event["channel"], event["subject"]].append(event)
    out: dict[str, list[Found]] = defaultdict(list)
    for (_, channel, _), said in heard.items():
        said.sort(key=lambda one: (one["arrived_at"], one.get("offset", 0)))
        if channel == "call":
            _repeats(said, pane_ms, out)
        if channel in {"email", "call"}:
            _answered(said, pane_ms, max(one["arrived_at"] for one in said) if until is None else until, out)
    return out


def _asked(event: Event, kinds: set[str]) -> bool:
    traits = event.get("traits") or {}
    human = not (traits.get("second_hand") or traits.get("non_human"))
    return event["kind"] in kinds and event.get("direction", "in") == "in" and human


def _repeats(said: list[Event], pane_ms: int, out: dict[str, list[Found]]) -> None:
    last: dict[str, int] = {}
    for event in said:
        if _asked(event, CALLS_FOR):
            at, topic = event["arrived_at"], event.get("topic") or ""
            again = topic in last and at - last[topic] <= WITHIN
            out[event["event_id"]].append(("repeat_calls", int(again), (at // pane_ms + 1) * pane_ms))
            last[topic] = at


def _answered(said: list[Event], pane_ms: int, until: int, out: dict[str, list[Found]]) -> None:
    for event in said:
        if not _asked(event, WANTS_ANSWER) or not event.get("conversation_ref"):
            continue
        arrived, occurred = event["arrived_at"], event["occurred_at"]
        waits = [
            (reply["occurred_at"] - occurred, max(reply["arrived_at"], arrived))
            for reply in said
            if reply["kind"] == "reply" and reply["direction"] == "out" and not (reply.get("traits") or {}).get("non_human")
            and reply["conversation_ref"] == event["conversation_ref"] and reply["occurred_at"] >= occurred
            and abs(reply["arrived_at"] - arrived) <= MEMORY
        ]  # fmt: skip
        waited, known = min(waits, default=(None, max(arrived, min(arrived, occurred) + TARGET)))
        pane = (known // pane_ms + 1) * pane_ms
        if waits or pane <= until:
            out[event["event_id"]].append(("response_in_time", int(waited is not None and waited <= TARGET), pane))
            out[event["event_id"]].append(("response_median", waiting_class(waited), pane))


def waiting_class(waited: int | None) -> int:
    """Return the class of a waiting time, four buckets wide, from that of a minute; None: still open after a day."""
    first, last = (_class(ms) for ms in (60_000, MEMORY))
    return last - first + 2 if waited is None else min(max(_class(waited), first), last + 1) - first


def _class(ms: int) -> int:
    return next(bucket for bucket, edge in enumerate(EDGES) if ms <= edge) // 4


def median(bins: Mapping[int, int]) -> tuple[float | None, float | None, float | None]:
    """Return the median and its interval by order statistics, all from the sorted list of answers."""
    first, open_ = _class(60_000), waiting_class(None)
    answers = sorted(bin_ for bin_, count in bins.items() for _ in range(count))
    n, limit = len(answers), _class(TARGET) - first if bins.get(open_) else open_ - 1
    value = answers[(n + 1) // 2 - 1]
    if value >= limit:
        return None, None, None
    below = [0.5**n]
    for k in range(n):
        below.append(below[-1] * (n - k) / (k + 1))
    at_most = [sum(below[: k + 1]) for k in range(n + 1)]
    lower = next((k for k in range(n) if at_most[k] >= 0.025), n)
    upper = 1 + next((k for k in range(n) if at_most[k] >= 0.975), n)
    hi = EDGES[-1] if upper > n or answers[upper - 1] >= limit else EDGES[4 * (answers[upper - 1] + first) + 3]
    return _middle(value, first), float(_least(answers[lower - 1], first) if lower else 0), float(hi)


def _least(bin_: int, first: int) -> int:
    return EDGES[4 * (bin_ + first) - 1] + 1 if bin_ else 0


def _middle(bin_: int, first: int) -> float:
    lo, hi = _least(bin_, first), EDGES[4 * (bin_ + first) + 3]
    return 2 * lo * hi / (lo + hi) if bin_ else float(hi)
