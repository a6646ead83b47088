"""Escalation, response times and repeat contacts of a week, from the rows of the case views."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import msgspec

from deploy.report.scores import Figure
from schemas.outputs import Quality
from streams.core.incidence import Row, cumulative_incidence
from streams.core.intervals import wilson

DAY_S = 86_400
LEVEL = 0.95
N_MIN = 30
HORIZONS_DAYS = (7, 30, 90)
CAUSES = {"remark": ("complaint", "dispute"), "complaint": ("dispute",)}


class Case(msgspec.Struct, frozen=True):
    """One customer and topic on the ladder, without the customer; times in ms."""

    topic: str
    touchpoint: str
    last_rung: str
    events: int
    recurrences: int
    remark_at: int | None
    complaint_at: int | None
    dispute_at: int | None
    first_at: int
    last_at: int
    lead_s: float | None
    legal_threat: bool


class NextRung(msgspec.Struct, frozen=True):
    """How likely it is that a case goes from one rung to another within so many days, and that no other rung comes first."""

    from_rung: str
    cause: str
    days: int
    probability: Figure


class Timeliness(msgspec.Struct, frozen=True):
    """Messages of one touchpoint and channel: the share answered within the target; those not yet due are in no share."""

    touchpoint: str
    channel: str
    target_s: int
    share: Figure
    waiting: int
    overdue: int


class Repeat(msgspec.Struct, frozen=True):
    """Contacts of one touchpoint and channel: the share that came back within 7 days."""

    touchpoint: str
    channel: str
    share: Figure


class Cases(msgspec.Struct, frozen=True):
    """What the case views say of a week."""

    running: list[Case]
    median_lead_s: float | None
    """Of the disputes of the week: from the first event of the case to the dispute."""
    next_rungs: list[NextRung]
    responses: list[Timeliness]
    answered_at_all: int
    """Messages of the week that were answered; 0 with messages there: no reply is captured, or none was sent."""
    repeats: list[Repeat]
    buyers: dict[str, Figure]
    first_answers: Figure | None
    repeated_answers: int


def share(good: int, n: int) -> Figure:
    """Return a share with its Wilson interval."""
    if n == 0:
        return Figure(None, None, None, 0, Quality.NO_DATA)
    lo, hi = wilson(good, n, LEVEL)
    return Figure(good / n, lo, hi, n, Quality.OK if n >= N_MIN else Quality.LOW_N)


def next_rungs(steps: Iterable[Mapping[str, Any]]) -> list[NextRung]:
    """Return the chances of each step up the ladder, by Aalen and Johansen, with their intervals; cases so far as n."""
    rows: dict[str, list[Row]] = {rung: [] for rung in CAUSES}
    for one in steps:
        cause = None if one["cause"] == "censored" else one["cause"]
        rows[one["from_rung"]].append(Row(round(one["days"] * DAY_S), cause))
    out = []
    for rung, causes in CAUSES.items():
        for cause in causes:
            found = cumulative_incidence(rows[rung], cause, LEVEL)
            for days in HORIZONS_DAYS:
                if not found.n:
                    figure = Figure(None, None, None, 0, Quality.NO_DATA)
                else:
                    at = found.at(days * DAY_S)
                    figure = Figure(at.share, at.lo, at.hi, found.n, Quality.OK if found.n >= N_MIN else Quality.LOW_N)
                out.append(NextRung(rung, cause, days, figure))
    return out


def cases(
    *,
    escalations: Iterable[Mapping[str, Any]],
    steps: Iterable[Mapping[str, Any]],
    responses: Iterable[Mapping[str, Any]],
    repeats: Iterable[Mapping[str, Any]],
    buyers: Iterable[Mapping[str, Any]],
    first_answers: Iterable[Mapping[str, Any]],
    week_ms: tuple[int, int],
) -> Cases:
    """Return the cases of a week from the rows of sinks.cases."""
    running = [msgspec.convert({name: one[name] for name in Case.__struct_fields__}, Case) for one in escalations]
    leads = [one.lead_s for one in running if one.lead_s is not None and _within(one.dispute_at, week_ms)]
    due, back, once = list(responses), list(repeats), list(first_answers)
    return Cases(
        running=running,
        median_lead_s=median(leads) if leads else None,
        next_rungs=next_rungs(steps),
        responses=[
            Timeliness(
                one["touchpoint"], one["channel"], one["target_s"], share(one["within"], one["n"]), one["waiting"], one["overdue"]
            )
            for one in due
        ],
        answered_at_all=sum(one["n"] - one["overdue"] for one in due),
        repeats=[Repeat(one["touchpoint"], one["channel"], share(one["repeats"], one["n"])) for one in back],
        buyers={one["customer_class"]: share(one["satisfied"], one["n"]) for one in buyers},
        first_answers=share(once[0]["satisfied"], once[0]["counted"]) if once else None,
        repeated_answers=once[0]["repeats"] if once else 0,
    )  # fmt: skip


def _within(at: int | None, bounds: tuple[int, int]) -> bool:
    return at is not None and bounds[0] <= at < bounds[1]
