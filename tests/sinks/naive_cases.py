"""A slow recount of the case views from plain events, written from their comments alone: lists and loops, times in ms."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
RUNGS = {"remark": 1, "complaint": 2, "letter": 2, "dispute": 3}
CONTACTS = {"comment", "praise", "suggestion", "idea", "remark", "complaint", "letter", "dispute", "question"}


class Event(NamedTuple):
    """What the views read of an event."""

    event_id: str
    channel: str
    kind: str
    occurred_at: int
    arrived_at: int
    subject: str = ""
    conversation_ref: str = ""
    in_reply_to: str = ""
    direction: str = "in"
    touchpoint: str = ""
    attributes: Mapping[str, str] = MappingProxyType({})
    score: int | None = None
    probe: bool = False
    non_human: bool = False
    second_hand: bool = False
    corrects: str = ""
    retract: bool = False
    offset: int = 0

    @property
    def topic(self) -> str:
        """What it is about."""
        return self.attributes.get("topic", "")


def standing(events: Iterable[Event], known: int) -> list[Event]:
    """Return what stood at `known`, in order of time and id."""
    versions = defaultdict(list)
    for one in sorted(events, key=lambda one: (one.arrived_at, one.offset)):
        if one.arrived_at <= known:
            versions[one.corrects or one.event_id].append(one)
    left = []
    for own in versions.values():
        said = [one for one in own if not one.retract]
        if len(own) - len(said) < len(said) and not (said[-1].probe or said[-1].kind == "probe"):
            left.append(said[-1])
    return sorted(left, key=lambda one: (one.occurred_at, one.event_id))


def local_day(at: int, zone: str) -> date:
    """Return the calendar day."""
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone)).date()


def chains(events: list[Event], gap: int, *, closed: bool) -> list[list[Event]]:
    """Cut ordered events where the gap exceeds `gap`; a gap of just `gap` cuts unless `closed`."""
    out = [[events[0]]]
    for before, after in pairwise(events):
        apart = after.occurred_at - before.occurred_at
        if apart > gap or (apart == gap and not closed):
            out.append([])
        out[-1].append(after)
    return out


def grouped(events: Iterable[Event], key: Any) -> dict[Any, list[Event]]:
    """Return key -> events."""
    out = defaultdict(list)
    for one in events:
        out[key(one)].append(one)
    return dict(out)


def visits(events: list[Event]) -> list[tuple[Any, ...]]:
    """Return start, end, touchpoint, events, pages, distinct pages, known, order, complaint of each visit."""
    web = [one for one in events if one.channel == "web" and one.direction == "in" and not one.non_human]
    out = []
    for who, own in grouped(
        web,
        lambda one: (
            one.subject,
            one.conversation_ref if not one.subject else "",
            one.event_id if not one.subject and not one.conversation_ref else "",
        ),
    ).items():
        for visit in chains(own, 30 * MINUTE, closed=False):
            start, end = visit[0].occurred_at, visit[-1].occurred_at
            after = {
                one.kind for one in events
                if who[0] and one.subject == who[0] and one.direction == "in" and start <= one.occurred_at <= end + DAY
            }  # fmt: skip
            out.append((
                start, end, next((one.touchpoint for one in visit if one.touchpoint), ""), len(visit),
                sum(one.kind == "page_view" for one in visit), len({one.attributes["page"] for one in visit if "page" in one.attributes}),
                bool(who[0]), "order_placed" in after, bool(after & {"complaint", "letter", "dispute"}),
            ))  # fmt: skip
    return sorted(out)


def cases(events: list[Event]) -> list[dict[str, Any]]:
    """Return the escalation cases."""
    rungs = [one for one in events if one.subject and one.direction == "in" and not one.non_human and one.kind in RUNGS]
    out = []
    for (customer, topic), own in grouped(rungs, lambda one: (one.subject, one.topic)).items():
        for number, case in enumerate(chains(own, 90 * DAY, closed=True), start=1):
            first = {
                rung: next((one.occurred_at for one in case if RUNGS[one.kind] == rung), None) for rung in (1, 2, 3)
            }
            highest = max(RUNGS[one.kind] for one in case)
            out.append({
                "customer": customer, "topic": topic, "case_no": number, "touchpoint": case[0].touchpoint,
                "events": len(case), "recurrences": len(case) - 1, "remark_at": first[1], "complaint_at": first[2],
                "dispute_at": first[3], "first_at": case[0].occurred_at, "last_at": case[-1].occurred_at,
                "last_rung": ("remark", "complaint", "dispute")[highest - 1],
                "lead_s": None if first[3] is None else (first[3] - case[0].occurred_at) / 1000,
                "legal_threat": any(one.attributes.get("legal_threat") == "true" for one in case),
            })  # fmt: skip
    return sorted(out, key=lambda one: (one["customer"], one["topic"], one["case_no"]))


def steps(found: list[dict[str, Any]], known: int) -> list[tuple[Any, ...]]:
    """Return from_rung, entered, days, cause, topic, touchpoint of each step."""
    out = []
    for case in found:
        higher = {
            "remark": {"complaint": case["complaint_at"], "dispute": case["dispute_at"]},
            "complaint": {"dispute": case["dispute_at"]},
        }
        for rung, nexts in higher.items():
            entered = case[f"{rung}_at"]
            there = {name: at for name, at in nexts.items() if at is not None}
            if entered is None or any(at <= entered for at in there.values()):
                continue
            if there:
                at = min(there.values())
                cause = "dispute" if there.get("dispute") == at else "complaint"
            else:
                at, cause = min(known, case["last_at"] + 90 * DAY), "censored"
            out.append((rung, entered, max(0, at - entered) / DAY, cause, case["topic"], case["touchpoint"]))
    return sorted(out)


def repeats(events: list[Event], zones: dict[str, str]) -> dict[tuple[Any, ...], list[int]]:
    """Return (day, touchpoint, channel) -> [contacts, repeats]."""
    contacts = [
        one
        for one in events
        if one.subject
        and one.direction == "in"
        and not one.non_human
        and one.channel in {"call", "email"}
        and one.kind in CONTACTS
    ]
    out: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for position, one in enumerate(contacts):
        cell = out[local_day(one.occurred_at, zones.get(one.touchpoint, "UTC")), one.touchpoint, one.channel]
        cell[0] += 1
        cell[1] += any(
            other.subject == one.subject and other.topic == one.topic and one.occurred_at - other.occurred_at <= 7 * DAY
            for other in contacts[:position]
        )
    return dict(out)


def responses(events: list[Event], known: int) -> dict[str, tuple[int | None, str]]:
    """Return event_id -> time of the first reply, and state."""
    out: dict[str, tuple[int | None, str]] = {}
    replies = [one for one in events if one.direction == "out" and one.kind == "reply" and not one.non_human]
    for one in events:
        wants = (one.channel in {"email", "call", "card"} and one.kind in {"question", "complaint", "letter"}) or (
            one.channel == "email" and one.kind in {"comment", "remark"}
        )
        if one.direction != "in" or one.non_human or not wants or not (one.subject or one.conversation_ref):
            continue
        times = [
            reply.occurred_at for reply in replies
            if reply.occurred_at >= one.occurred_at
            and (reply.in_reply_to == one.event_id or (one.conversation_ref and reply.conversation_ref == one.conversation_ref))
        ]  # fmt: skip
        if times:
            out[one.event_id] = (min(times), "within" if min(times) - one.occurred_at <= DAY else "late")
        else:
            out[one.event_id] = (None, "waiting" if known - one.occurred_at < DAY else "overdue")
    return out


def answers(events: list[Event]) -> list[Event]:
    """Return the answers that count for satisfaction, in order of time and id."""
    return [one for one in events if one.score is not None and not one.second_hand and not one.non_human]


def buyers(events: list[Event], zones: dict[str, str]) -> dict[tuple[Any, ...], list[int]]:
    """Return (day, touchpoint, class) -> [answers, satisfied]."""
    out: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
    for one in answers(events):
        bought = any(
            other.kind == "order_placed" and other.subject == one.subject and other.occurred_at <= one.occurred_at
            for other in events
        )
        kind = "unknown" if not one.subject else "customer" if bought else "user"
        cell = out[local_day(one.occurred_at, zones.get(one.touchpoint, "UTC")), one.touchpoint, kind]
        cell[0] += 1
        cell[1] += (one.score or 0) >= 4
    return dict(out)


def first_answers(events: list[Event], zones: dict[str, str]) -> dict[tuple[Any, ...], list[int]]:
    """Return (Monday, touchpoint) -> [answers, counted, satisfied among the counted]."""
    out: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    seen = set()
    for one in answers(events):
        day = local_day(one.occurred_at, zones.get(one.touchpoint, "UTC"))
        monday = day - timedelta(days=day.weekday())
        counts = not one.subject or (one.subject, monday) not in seen
        seen.add((one.subject, monday))
        cell = out[monday, one.touchpoint]
        cell[0] += 1
        cell[1] += counts
        cell[2] += counts and (one.score or 0) >= 4
    return dict(out)
