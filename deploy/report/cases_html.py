"""The sections of the page that speak of cases: escalation, response times, repeat contacts, customers and users."""

from collections import Counter

from deploy.report.cases import Case, Cases
from deploy.report.markup import Html, joined, tag
from deploy.report.scores import Figure
from deploy.report.tables import table
from deploy.report.texts import Texts
from schemas.outputs import Quality

MOST_CASES = 25


def escalation(cases: Cases, text: Texts) -> Html:
    """Return the cases under way, and how likely the next rung is."""
    rungs = Counter(one.last_rung for one in cases.running)
    out = [
        tag("p", text("cases_count", n=text.number(len(cases.running)), disputes=rungs["dispute"], complaints=rungs["complaint"], remarks=rungs["remark"]))
        if cases.running else tag("p", text("no_cases"))
    ]  # fmt: skip
    if cases.median_lead_s is not None:
        out.append(tag("p", text("lead", span=text.span(cases.median_lead_s))))
    if cases.running:
        head = [
            text(name)
            for name in ("rung", "topic", "place", "first_at", "last_at", "lead_time", "recurrences", "legal")
        ]
        out.append(table(head, [_case(one, text) for one in cases.running[:MOST_CASES]], numeric={5, 6}))
        if len(cases.running) > MOST_CASES:
            out.append(tag("p", f"… {len(cases.running) - MOST_CASES} (escalation.csv)", class_="quiet"))
    head = [text("from"), text("to"), text("horizon"), text("value"), text("interval"), text("n")]
    rows = [
        [
            text.word(one.from_rung),
            text.word(one.cause),
            text("within_days", n=one.days),
            *_share(one.probability, text),
        ]
        for one in cases.next_rungs
    ]
    return joined(
        out, tag("h3", text("next")), tag("p", text("next_how"), class_="how"), table(head, rows, numeric={3, 4, 5})
    )


def _case(one: Case, text: Texts) -> list[str]:
    return [
        text.word(one.last_rung), one.topic or text("no_topic"), text.place("touchpoint", one.touchpoint),
        text.time(one.first_at), text.time(one.last_at), "–" if one.lead_s is None else text.span(one.lead_s),
        text.number(one.recurrences), text("yes") if one.legal_threat else "",
    ]  # fmt: skip


def responses(cases: Cases, text: Texts) -> Html:
    """Return the share answered in time by touchpoint and channel."""
    if not cases.responses:
        return tag("p", text("no_messages"))
    head = [
        text("place"),
        text("channel"),
        text("share_in_time"),
        text("interval"),
        text("n"),
        text("overdue"),
        text("waiting"),
    ]
    rows = [
        [
            text.place("touchpoint", one.touchpoint),
            text.word(one.channel),
            *_share(one.share, text),
            text.number(one.overdue),
            text.number(one.waiting),
        ]
        for one in cases.responses
    ]
    how = tag("p", text("responses_how", span=text.span(cases.responses[0].target_s)), class_="how")
    silent = [] if cases.answered_at_all else [tag("p", text("no_replies"), class_="warn")]
    return joined(how, silent, table(head, rows, numeric={2, 3, 4, 5, 6}))


def repeats(cases: Cases, text: Texts) -> Html:
    """Return the share of contacts that come back, by touchpoint and channel."""
    if not cases.repeats:
        return tag("p", text("no_contacts"))
    head = [text("place"), text("channel"), text("share_back"), text("interval"), text("n")]
    rows = [
        [text.place("touchpoint", one.touchpoint), text.word(one.channel), *_share(one.share, text)]
        for one in cases.repeats
    ]
    return joined(tag("p", text("repeats_how"), class_="how"), table(head, rows, numeric={2, 3, 4}))


def buyers(cases: Cases, text: Texts) -> Html:
    """Return satisfaction by customer class, and with each customer counted once."""
    rows = [[text.word(name), *_share(found, text)] for name, found in cases.buyers.items()]
    head = [text("group"), text("value"), text("interval"), text("n")]
    once = []
    if cases.first_answers is not None and cases.first_answers.value is not None:
        value = text.share(cases.first_answers.value)
        once.append(tag("p", text("first_answers", value=value, repeats=text.number(cases.repeated_answers))))
    body = table(head, rows, numeric={1, 2, 3}) if rows else tag("p", text("no_data"))
    return joined(tag("p", text("buyers_how"), class_="how"), body, once)


def _share(figure: Figure, text: Texts) -> list[str]:
    if figure.value is None or figure.lo is None or figure.hi is None:
        return [tag("span", text("no_data"), class_="none"), "", text.number(figure.n)]
    note = tag("span", " (", text("low_n"), ")", class_="none") if figure.quality is Quality.LOW_N else ""
    return [
        joined(text.share(figure.value), note),
        text.bounds(text.share(figure.lo), text.share(figure.hi)),
        text.number(figure.n),
    ]
