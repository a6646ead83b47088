"""Findings and alarms in sentences."""

from deploy.report.alarms import Alarm
from deploy.report.scores import Figure, Score, Verdict
from deploy.report.texts import Texts
from deploy.report.week import Finding
from schemas.outputs import Quality


def no_figure(figure: Figure, text: Texts) -> str:
    """Return in words why there is no value."""
    return text("withheld" if figure.quality is Quality.WITHHELD else "no_data")


def finding_sentences(finding: Finding, text: Texts) -> list[str]:
    """Return one or more sentences, the main one first."""
    if finding.alarm is not None:
        return _of_alarm(finding.alarm, text)
    assert finding.score is not None
    return _of_score(finding.score, text)


def _of_alarm(alarm: Alarm, text: Texts) -> list[str]:
    name = text("f_alarm", rule=text.word(alarm.rule, "rule_"), place=text.place(alarm.dimension, alarm.key),
                state=alarm_state(alarm, text))  # fmt: skip
    return [name, alarm_reason(alarm, text)]


def alarm_state(alarm: Alarm, text: Texts) -> str:
    """Return the state of an alarm with its times."""
    ended = "" if alarm.ended_ms is None else text.time(alarm.ended_ms)
    return text(f"state_{alarm.state}", opened=text.time(alarm.opened_ms), ended=ended)


def alarm_reason(alarm: Alarm, text: Texts) -> str:
    """Return what an alarm rests on."""
    if alarm.immediate:
        return text("why_immediate")
    out = []
    if alarm.n > 0:
        out.append(
            text(
                "why_counts", bad=text.number(alarm.bad), n=text.number(alarm.n), share=text.share(alarm.bad / alarm.n)
            )
        )
    if alarm.p0 is not None:
        out.append(text("why_usual", p0=text.share(alarm.p0)))
    if alarm.change_ms is not None:
        out.append(text("why_change", at=text.time(alarm.change_ms)))
    return " ".join(out) or text("why_none")


def _of_score(score: Score, text: Texts) -> list[str]:
    def value(given: float | None, *, signed: bool = False) -> str:
        return text.value(score.kind, given, signed=signed)

    words = {
        "metric": text.metric(score.metric),
        "place": text.place(score.dimension, score.key),
        "n": text.number(score.now.n),
        "value": value(score.now.value),
        "bounds": text.bounds(value(score.now.lo), value(score.now.hi)),
        "target": value(score.target),
        "change": value(score.change.value, signed=True),
        "changes": text.bounds(value(score.change.lo, signed=True), value(score.change.hi, signed=True)),
    }
    mixed = text.told_at_mix(score)
    if mixed is not None:
        words |= {"at_mix": value(mixed.value), "at_mixes": text.bounds(value(mixed.lo), value(mixed.hi))}
    out = []
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        if score.against_target is verdict:
            out.append(text(f"f_{verdict}_target", **words))
        if score.trend is verdict:
            out.append(text(f"f_{verdict}", **words))
    return out if mixed is None else [*out, text("f_at_mix", **words)]
