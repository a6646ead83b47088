"""The report of a week as one HTML page without outside assets; every text of a customer or of the data is escaped."""

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from deploy.report.bars import interval_bar, scale_of
from deploy.report.cases_html import buyers, escalation, repeats, responses
from deploy.report.markup import Html, joined, tag
from deploy.report.said import alarm_reason, alarm_state, finding_sentences, no_figure
from deploy.report.scores import Ranking, Score, Verdict
from deploy.report.style import CSS
from deploy.report.tables import table
from deploy.report.texts import Texts
from deploy.report.week import Finding, Report, Verbatim
from schemas.outputs import Quality

WHOLE = 0.9995
"""From here on a share is written as 100 %."""
SECTIONS = ("findings", "scores", "ranking", "alarms", "escalation", "responses", "repeats", "buyers")


def page(report: Report, lang: str) -> str:
    """Return the whole page in French ("fr") or English ("en")."""
    text = Texts(lang, ZoneInfo(report.time_zone), report.titles)
    title = text("title", week=report.week)
    bodies = {
        "findings": _findings(report, text),
        "scores": _scores(report.scores, text),
        "ranking": _rankings(report.rankings, text),
        "alarms": _alarms(report, text),
        "escalation": escalation(report.cases, text),
        "responses": responses(report.cases, text),
        "repeats": repeats(report.cases, text),
        "buyers": buyers(report.cases, text),
    }
    head = tag(
        "header",
        tag("h1", title),
        tag("p", text("subtitle", first=text.date(report.first_day), last=text.date(report.last_day),
                      zone=report.time_zone, known=text.time(report.known_until_ms)), class_="quiet"),
        () if report.complete else tag("p", text("incomplete"), class_="warn", role="note"),
        tag("p", text("how", level=text.share(report.level).replace(",0", "").replace(".0", "")), class_="how"),
    )  # fmt: skip
    contents = tag(
        "nav",
        tag("ul", [tag("li", tag("a", text(name), href=f"#{name}")) for name in SECTIONS]),
        aria_label=text("skip"),
    )
    sections = [
        tag(
            "section", tag("h2", text(name), id=f"{name}-title"), bodies[name], id=name, aria_labelledby=f"{name}-title"
        )
        for name in SECTIONS
    ]
    body = tag("body", head, contents, tag("main", sections), tag("footer", text("footer")))
    top = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        tag("title", title),
        tag("style", Html(CSS)),
    )
    return "<!doctype html>\n" + tag("html", top, body, lang=lang) + "\n"


def _findings(report: Report, text: Texts) -> Html:
    if not report.findings:
        return tag("p", text("nothing"))
    return tag("ol", [_finding(one, quotes, text) for one, quotes in report.findings], class_="findings")


def _finding(finding: Finding, quotes: Sequence[Verbatim], text: Texts) -> Html:
    first, *more = finding_sentences(finding, text)
    marks = () if finding.score is None else (finding.score.against_target, finding.score.trend)
    look = "alarm" if finding.alarm is not None else "worse" if Verdict.WORSE in marks else "better"
    said = (
        [tag("h4", text("verbatims")), [_quote(one, text) for one in quotes]]
        if quotes
        else [tag("p", text("no_verbatims"), class_="quiet")]
    )
    return tag("li", tag("h3", first), [tag("p", one) for one in more], *said, class_=look)


def _quote(one: Verbatim, text: Texts) -> Html:
    where = [text.time(one.at_ms), text.word(one.channel)]
    if one.score is None or one.kind != "rating":
        where.append(text.word(one.kind))
    if one.touchpoint:
        where.append(text.place("touchpoint", one.touchpoint))
    if one.score is not None:
        where.append(f"{text.word('rating')} {text.number(one.score)}")
    return tag("blockquote", tag("p", one.text), tag("footer", " · ".join(where)))


def _scores(found: Sequence[Score], text: Texts) -> Html:
    head = [text("metric"), *_figure_heads(text), text("target"), text("before"), text("change")]
    whole = [one for one in found if one.dimension == "*"]
    rows = [[_score_name(one, text), *_figure(one, text), _target(one, text), *_before(one, text)] for one in whole]
    told = any(text.told_at_mix(one) is not None for one in whole)
    how = [tag("p", text("at_mix_how"), class_="how")] if told else []
    return joined(table(head, rows, numeric={1, 2, 3, 4, 5, 6}), how)


def _score_name(score: Score, text: Texts) -> Html:
    """Return the head of a row: the metric, and its value at the earlier mix of channels where that is another."""
    mixed = text.told_at_mix(score)
    if mixed is None:
        return tag("th", text.metric(score.metric), scope="row")
    value, lo, hi = (text.value(score.kind, one) for one in (mixed.value, mixed.lo, mixed.hi))
    name = "at_mix" if mixed.covered > WHOLE else "at_mix_part"
    said = text(name, value=value, bounds=text.bounds(lo, hi), covered=text.share(mixed.covered))
    return tag("th", text.metric(score.metric), tag("span", said, class_="badge none"), scope="row")


def _rankings(found: Iterable[Ranking], text: Texts) -> Html:
    out = [tag("p", text("ranking_how"), class_="how")]
    silent = []
    for one in found:
        if any(score.now.n for score in (*one.ranked, *one.unranked)):
            out += [tag("h3", text.metric(one.metric)), _ranking(one, text)]
        else:
            silent.append(text.metric(one.metric))
    if silent:
        out.append(tag("p", text("nobody", metrics="; ".join(silent)), class_="quiet"))
    return joined(out)


def _ranking(ranking: Ranking, text: Texts) -> Html:
    both = [*ranking.ranked, *ranking.unranked]
    bands = [(one.now.lo, one.now.hi) for one in both if one.now.lo is not None and one.now.hi is not None]
    scale = scale_of(bands, [one.target for one in both if one.target is not None])
    axis = text("chart_scale", lo=text.value(both[0].kind, scale[0]), hi=text.value(both[0].kind, scale[1]))
    head = [text("rank"), text("place"), *_figure_heads(text), axis if bands else "", text("before"), text("change")]
    rows = [
        [
            str(place) if place <= len(ranking.ranked) else "–",
            tag("th", text.place("touchpoint", one.key), scope="row"),
            *_figure(one, text),
            _bar(one, scale, text),
            *_before(one, text),
        ]
        for place, one in enumerate(both, start=1)
    ]
    return table(head, rows, numeric={0, 2, 3, 4, 6, 7})


def _bar(score: Score, scale: tuple[float, float], text: Texts) -> Html:
    now = score.now
    if now.value is None or now.lo is None or now.hi is None:
        return Html("")
    value, lo, hi = (text.value(score.kind, one) for one in (now.value, now.lo, now.hi))
    label = text("chart", value=value, lo=lo, hi=hi)
    return interval_bar(now.value, now.lo, now.hi, scale=scale, mark=score.target, label=label)


def _figure_heads(text: Texts) -> list[str]:
    return [text("value"), text("interval"), text("n")]


def _figure(score: Score, text: Texts) -> list[str]:
    now = score.now
    if now.value is None:
        return [_badge(no_figure(now, text), Verdict.NONE), "", text.number(now.n)]
    note = _badge(text("low_n"), Verdict.NONE) if now.quality is Quality.LOW_N else ""
    bounds = text.bounds(text.value(score.kind, now.lo), text.value(score.kind, now.hi))
    return [joined(text.value(score.kind, now.value), note), bounds, text.number(now.n)]


def _target(score: Score, text: Texts) -> str:
    if score.target is None:
        return "–"
    verdict = score.against_target
    mark = "" if verdict is Verdict.NONE else _badge(text(f"target_{verdict}"), verdict)
    return joined(text.value(score.kind, score.target), mark)


def _before(score: Score, text: Texts) -> list[str]:
    if score.redefined:
        return ["–", _badge(text("redefined"), Verdict.NONE)]
    if score.before.value is None or score.change.value is None:
        return [_badge(no_figure(score.before, text), Verdict.NONE), "–"]
    change = text.value(score.kind, score.change.value, signed=True)
    return [
        text.value(score.kind, score.before.value),
        joined(change, _badge(text(f"trend_{score.trend}"), score.trend)),
    ]


def _badge(words: str, verdict: Verdict) -> Html:
    return tag("span", words, class_=f"badge {verdict}")


def _alarms(report: Report, text: Texts) -> Html:
    if not report.alarms:
        return tag("p", text("no_alarms"))
    out = []
    for one in report.alarms:
        name = text(
            "f_alarm",
            rule=text.word(one.rule, "rule_"),
            place=text.place(one.dimension, one.key),
            state=alarm_state(one, text),
        )
        note = [tag("p", text("note", actor=one.actor, note=one.note))] if one.note else []
        out.append(tag("li", tag("strong", name), tag("p", alarm_reason(one, text)), note))
    return tag("ul", out)
