"""What people read, in English and French: counts, shares and times; never a customer."""

from datetime import UTC, datetime
from typing import NamedTuple

from sinks.notifying.deliveries import Notice
from sinks.notifying.transition import Transition

LISTED = 50
"""Alarms that a digest lists one by one; the others are counted."""


class Words(NamedTuple):
    """One language."""

    time: str
    decimal: str
    colon: str
    alarm: str
    digest: str
    digest_intro: str
    more: str
    still: str
    states: dict[str, str]
    """State -> word; an unknown state stands for itself."""
    metric: str
    where: str
    direction: str
    counted: str
    baseline: str
    worth: str
    change: str
    occurred: str
    decided: str
    opened: str
    silenced: str
    event: str
    link: str


ENGLISH = Words(
    time="%Y-%m-%d %H:%M UTC", decimal=".", colon=": ", alarm="Alarm", digest="Alarms told late: {n}",
    digest_intro="These steps are more than an hour old. They are told together and call nobody.",
    more="and {n} more", still="still {state}", states={
        "open": "open", "reopened": "open again", "resolved": "resolved", "acknowledged": "acknowledged",
        "flapping": "flapping", "silenced": "silenced",
    },
    metric="Metric", where="Where", direction="Direction", counted="Counted: {n}, of which bad: {bad} ({share})",
    baseline="Usual share of bad ones, at most", worth="Share worth an alarm", change="Began about",
    occurred="Occurred from {first} to {last}", decided="Decided", opened="Open since", silenced="Silenced until",
    event="Event", link="More",
)  # fmt: skip
FRENCH = Words(
    time="%d/%m/%Y %H:%M UTC", decimal=",", colon=" : ", alarm="Alarme", digest="Alarmes signalées en retard : {n}",
    digest_intro="Ces étapes datent de plus d'une heure. Elles sont signalées ensemble et n'appellent personne.",
    more="et {n} autres", still="toujours {state}", states={
        "open": "ouverte", "reopened": "rouverte", "resolved": "résolue", "acknowledged": "prise en charge",
        "flapping": "instable", "silenced": "mise en silence",
    },
    metric="Mesure", where="Où", direction="Sens", counted="Comptées : {n}, dont mauvaises : {bad} ({share})",
    baseline="Part habituelle de mauvaises, au plus", worth="Part qui vaut une alarme", change="Début estimé",
    occurred="Survenues du {first} au {last}", decided="Décidée", opened="Ouverte depuis", silenced="En silence jusqu'au",
    event="Événement", link="Détails",
)  # fmt: skip
LANGUAGES = {"en": ENGLISH, "fr": FRENCH}


def plain(text: str) -> str:
    """Return text on one line without control characters: it may become a header."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def subject(notice: Notice, words: Words) -> str:
    """Return one line that says what happened."""
    if notice.digest:
        return words.digest.format(n=len(notice.transitions))
    return headline(notice.transitions[0], words, still=notice.still)


def headline(one: Transition, words: Words, *, still: bool = False) -> str:
    """Return one line for one step of an alarm."""
    state = words.states.get(one.state, one.state)
    if still:
        state = words.still.format(state=state)
    return plain(f"{words.alarm} {state}{words.colon}{one.rule}, {one.metric}, {one.key}")


def body(notice: Notice, words: Words, public_url: str) -> str:
    """Return the text below the subject."""
    if not notice.digest:
        return "\n".join(details(notice.transitions[0], words, public_url)) + "\n"
    lines = [f"- {_time(one.pane, words)}  {headline(one, words)}" for one in notice.transitions[:LISTED]]
    left = len(notice.transitions) - len(lines)
    if left:
        lines.append(f"- {words.more.format(n=left)}")
    more = [f"{words.link}{words.colon}{public_url}"] if public_url else []
    return "\n".join([words.digest_intro, "", *lines, *([""] if more else []), *more]) + "\n"


def details(one: Transition, words: Words, public_url: str) -> list[str]:
    """Return the lines about one step: what, where, how many, since when."""

    def line(label: str, value: str) -> str:
        return f"{label}{words.colon}{plain(value)}"

    out = [line(words.metric, one.metric), line(words.where, f"{one.dimension} {one.key}")]
    out.append(line(words.direction, one.direction))
    if one.n > 1:
        out.append(words.counted.format(n=one.n, bad=one.bad, share=_share(one.bad / one.n, words)))
    for label, share in ((words.baseline, one.p0), (words.worth, one.p1)):
        if share is not None:
            out.append(line(label, _share(share, words)))
    if one.change_pane is not None:
        out.append(line(words.change, _time(one.change_pane, words)))
    if one.occurred_first is not None and one.occurred_last is not None:
        first, last = _time(one.occurred_first, words), _time(one.occurred_last, words)
        out.append(words.occurred.format(first=first, last=last))
    out.append(line(words.decided, _time(one.pane, words)))
    if one.first_pane != one.pane:
        out.append(line(words.opened, _time(one.first_pane, words)))
    if one.silenced and one.silenced_until is not None:
        out.append(line(words.silenced, _time(one.silenced_until, words)))
    if one.event_id is not None:
        out.append(line(words.event, one.event_id))
    out.append(line(words.alarm, one.alarm_id))
    if public_url:
        out.append(line(words.link, link(one, public_url)))
    return out


def link(one: Transition, public_url: str) -> str:
    """Return the address of an alarm's page."""
    return f"{public_url.rstrip('/')}/alarms/{one.alarm_id}"


def _time(ms: int, words: Words) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime(words.time)


def _share(value: float, words: Words) -> str:
    return f"{100 * value:.1f}".replace(".", words.decimal) + " %"
