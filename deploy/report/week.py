"""The weekly report as plain values: facts in, findings out; no store, no clock."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from deploy.report.alarms import Alarm
from deploy.report.cases import Cases
from deploy.report.period import Week
from deploy.report.quoting import shown_text
from deploy.report.scores import Ranking, Score, Verdict, rankings
from schemas.catalogue import Catalogue
from schemas.outputs import AlarmState
from schemas.windows import MINUTE_MS
from sinks.cases import Wanted

MOST_FINDINGS = 12
VERBATIMS = 5


class Finding(msgspec.Struct, frozen=True):
    """Something that stands out: an alarm, or a score that is clearly off its target or off the week before."""

    alarm: Alarm | None
    score: Score | None
    wanted: Wanted
    """The texts that show it."""


class Verbatim(msgspec.Struct, frozen=True):
    """What a customer wrote, shortened; no pseudonym, addresses and long numbers hidden."""

    at_ms: int
    touchpoint: str
    channel: str
    kind: str
    score: float | None
    text: str


class Report(msgspec.Struct, frozen=True):
    """Everything that the report of a week says."""

    week: str
    first_day: str
    last_day: str
    time_zone: str
    known_until_ms: int
    complete: bool
    """Whether the week was over when this was known."""
    titles: dict[str, str]
    """Metric or touchpoint -> its title in the catalogue."""
    level: float
    scores: list[Score]
    rankings: list[Ranking]
    alarms: list[Alarm]
    findings: list[tuple[Finding, list[Verbatim]]]
    cases: Cases


def findings(
    catalogue: Catalogue, found: Sequence[Score], raised: Sequence[Alarm], week_ms: tuple[int, int]
) -> list[Finding]:
    """Return what stands out: alarms first, then what is clearly worse, then what is clearly better; a dozen at most.

    Several metrics may read one question: of each key and question one finding is enough.
    """
    told: set[tuple[str, str, str]] = set()
    out = [Finding(one, None, _of_alarm(catalogue, one, week_ms)) for one in raised]
    marked = [(_weight(one), one) for one in found if one.dimension != "channel" and one.good != "none"]
    for _, score in sorted(
        ((weight, one) for weight, one in marked if weight is not None),
        key=lambda pair: (pair[0], pair[1].metric, pair[1].dimension, pair[1].key),
    ):
        metric = catalogue.named(score.metric)
        about = (metric.question or metric.name, score.dimension, score.key)
        if about in told:
            continue
        told.add(about)
        happy = score.against_target is not Verdict.WORSE and score.trend is not Verdict.WORSE
        quoted = Wanted(
            *week_ms, score.dimension, score.key, question=metric.question or "", kinds=metric.events,
            happy_first=happy and not metric.events,
        )  # fmt: skip
        out.append(Finding(None, score, quoted))
    return out[:MOST_FINDINGS]


def _weight(score: Score) -> int | None:
    marks = (score.against_target, score.trend)
    if Verdict.WORSE in marks:
        return 0 if marks.count(Verdict.WORSE) == len(marks) else 1
    return 2 if Verdict.BETTER in marks else None


def _of_alarm(catalogue: Catalogue, alarm: Alarm, week_ms: tuple[int, int]) -> Wanted:
    if alarm.immediate:
        return Wanted(0, 1 << 42, event_ids=(alarm.event_id,))
    question = next((one.question or "" for one in catalogue.metric if one.name == alarm.metric), "")
    start = alarm.occurred_first_ms if alarm.occurred_first_ms is not None else week_ms[0]
    # times of evidence are whole minutes
    end = alarm.occurred_last_ms + MINUTE_MS if alarm.occurred_last_ms is not None else week_ms[1]
    dimension = alarm.dimension if alarm.dimension in {"*", "channel", "touchpoint"} else "*"
    return Wanted(start, max(end, start + 1), dimension, alarm.key if dimension != "*" else "*", question=question)


def assemble(
    catalogue: Catalogue,
    week: Week,
    *,
    time_zone: str,
    known_until_ms: int,
    week_ms: tuple[int, int],
    found: list[Score],
    raised: list[Alarm],
    shown: Iterable[tuple[Finding, Iterable[Mapping[str, Any]]]],
    cases: Cases,
) -> Report:
    """Return the report."""
    return Report(
        week=week.name,
        first_day=week.monday.isoformat(),
        last_day=week.sunday.isoformat(),
        time_zone=time_zone,
        known_until_ms=known_until_ms,
        complete=known_until_ms >= week_ms[1],
        titles={one.name: one.title for one in catalogue.metric}
        | {f"touchpoint:{one.name}": one.title or one.name for one in catalogue.touchpoint},
        level=max((one.level for one in catalogue.metric), default=0.95),
        scores=found,
        rankings=rankings(found),
        alarms=raised,
        findings=[(finding, [_quoted(row) for row in rows]) for finding, rows in shown],
        cases=cases,
    )


def open_alarms(report: Report) -> int:
    """Return how many alarms of the report are not over."""
    return sum(one.state is not AlarmState.RESOLVED for one in report.alarms)


def _quoted(row: Mapping[str, Any]) -> Verbatim:
    return Verbatim(row["at_ms"], row["touchpoint"], row["channel"], row["kind"], row["score"], shown_text(row["text"]))
