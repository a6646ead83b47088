"""The console's pages: plain HTML made on the server, in French and English, without scripts."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest
from typing import Any, NamedTuple
from urllib.parse import quote

from starlette.requests import Request

from deploy.alarm_access import FIELD, Identity
from deploy.alarm_words import LANGUAGES, MACHINES, details, moment, sentences, step, where
from producers.refusals import Refusal

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--page:#c62828;--ticket:#b26a00;--info:#3565a8}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
header{display:flex;justify-content:space-between;align-items:baseline;gap:1rem;border-bottom:1px solid var(--line)}
h1{font-size:1.4rem;margin:.5rem 0}h2{font-size:1.1rem;margin:0}
nav a{margin-left:.75rem}
article{border:1px solid var(--line);border-left:.4rem solid var(--info);border-radius:.4rem;padding:.8rem 1rem;margin:1rem 0}
article.page{border-left-color:var(--page)}article.ticket{border-left-color:var(--ticket)}
.meta{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem;opacity:.85}
.state{font-weight:600}
ul{margin:.5rem 0;padding-left:1.2rem}
form{display:flex;flex-wrap:wrap;gap:.5rem;margin-top:.6rem}
input[type=text]{flex:1 1 12rem;min-width:0;padding:.4rem .5rem;font:inherit;border:1px solid var(--line);border-radius:.3rem;background:Field;color:FieldText}
input.by{flex:0 1 9rem}
button{padding:.4rem .9rem;font:inherit;border:1px solid var(--line);border-radius:.3rem;background:var(--soft);color:inherit;cursor:pointer}
button.main{background:#1f6f43;border-color:#1f6f43;color:#fff}
:focus-visible{outline:2px solid #2a7fff;outline-offset:2px}
code{font-size:.85rem}
ol.steps{list-style:none;padding:0}ol.steps>li{border-top:1px solid var(--line);padding:.5rem 0}
.empty{padding:2rem 0;text-align:center}
.note{font-style:italic}
"""


class Text(NamedTuple):
    """The texts of the pages in one language."""

    title: str
    none: str
    since: str
    taken: str
    note: str
    by: str
    ack: str
    resolve: str
    remark: str
    history: str
    back: str
    details: str
    refresh: str
    refused: str
    other: str
    other_name: str
    by_whom: str
    machine: str
    as_who: str


TEXTS: Mapping[str, Text] = {
    "en": Text(
        title="Open alarms", none="No alarm stands open.", since="since {at}",
        taken="taken on by {by}, {at}", note="Note", by="Your name", ack="Take on", resolve="Resolve", remark="Add note",
        history="History", back="All open alarms", details="Details and history", refresh="Refresh",
        refused="That did not work", other="fr", other_name="Français", by_whom="by {by}", machine="by the detectors",
        as_who="as {name}",
    ),
    "fr": Text(
        title="Alarmes ouvertes", none="Aucune alarme n'est ouverte.", since="depuis le {at}",
        taken="prise en charge par {by}, le {at}", note="Note", by="Votre nom", ack="Prendre en charge",
        resolve="Résoudre", remark="Ajouter la note", history="Historique", back="Toutes les alarmes ouvertes",
        details="Détails et historique", refresh="Actualiser", refused="Cela n'a pas fonctionné", other="en",
        other_name="English", by_whom="par {by}", machine="par les détecteurs", as_who="en tant que {name}",
    ),
}  # fmt: skip


def language(request: Request) -> str:
    """Return the language of the page: the one asked for, else the browser's, else English."""
    asked = request.query_params.get("lang", "")
    if asked in TEXTS:
        return asked
    wanted = []
    for part in request.headers.get("accept-language", "").split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), name.partition("-")[0].lower()))
        except ValueError:
            continue
    return next((name for _, name in sorted(wanted, key=lambda one: one[0]) if name in TEXTS), "en")


def list_page(rows: Sequence[Mapping[str, Any]], lang: str, *, token: str, who: Identity) -> str:
    """Return the page of the alarms that stand."""
    text = TEXTS[lang]
    cards = "".join(_card(row, lang, token=token, who=who) for row in rows)
    empty = f'<p class="empty">{escape(text.none)}</p>'
    title = f"{text.title} ({len(rows)})" if rows else text.title
    return _page(title, lang, f'<p><a href="/?lang={lang}">{escape(text.refresh)}</a></p>{cards or empty}', at="/")


def alarm_page(rows: Sequence[Mapping[str, Any]], lang: str, *, token: str, who: Identity) -> str:
    """Return the page of one alarm: its steps, the newest first."""
    text, words, newest = TEXTS[lang], LANGUAGES[lang], rows[0]
    path = f"/alarms/{quote(newest['alarm_id'])}"
    title = f"{newest['rule']}: {where(newest, words)}"
    form = "" if newest["state"] == "resolved" else _form(newest, lang, token=token, who=who, back="alarm")
    steps = "".join(f"<li>{_step(row, before, lang)}</li>" for row, before in zip_longest(rows, rows[1:]))
    body = (
        f'<p><a href="/?lang={lang}">{escape(text.back)}</a></p><article class="{escape(newest["severity"])}">'
        f"{_meta(newest, lang)}<p><code>{escape(newest['alarm_id'])}</code></p>{form}</article>"
        f'<h2>{escape(text.history)}</h2><ol class="steps">{steps}</ol>'
    )
    return _page(title, lang, body, at=path)


def refusal_page(refusal: Refusal, lang: str) -> str:
    """Return the page that says what went wrong and what to do."""
    text = TEXTS[lang]
    body = (
        f"<p><strong>{escape(refusal.detail)}</strong> <code>{escape(refusal.reason)}</code></p>"
        f'<p>{escape(refusal.remedy)}</p><p><a href="/?lang={lang}">{escape(text.back)}</a></p>'
    )
    return _page(text.refused, lang, body, at="/")


def _page(title: str, lang: str, body: str, *, at: str) -> str:
    text = TEXTS[lang]
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8"><title>{escape(title)} - Barometer</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<header><h1>{escape(title)}</h1><nav><a href="{at}?lang={text.other}" lang="{text.other}"'
        f' hreflang="{text.other}">{escape(text.other_name)}</a></nav></header><main>{body}</main></body></html>'
    )


def _card(row: Mapping[str, Any], lang: str, *, token: str, who: Identity) -> str:
    text, words = TEXTS[lang], LANGUAGES[lang]
    said = "".join(f"<li>{escape(_sentence(one))}</li>" for one in sentences(row, words))
    note = f'<p class="note">{escape(row["last_note"])}</p>' if row["last_note"] else ""
    path = f"/alarms/{quote(row['alarm_id'])}?lang={lang}"
    return (
        f'<article class="{escape(row["severity"])}"><h2>{escape(where(row, words))}: {escape(row["rule"])}</h2>'
        f"{_meta(row, lang)}<ul>{said}</ul>{note}"
        f'<a href="{path}">{escape(text.details)}</a>{_form(row, lang, token=token, who=who, back="list")}</article>'
    )


def _meta(row: Mapping[str, Any], lang: str) -> str:
    text, words = TEXTS[lang], LANGUAGES[lang]
    parts = [
        f'<span class="state">{escape(words.states.get(row["state"], row["state"]))}</span>',
        f"<span>{escape(words.severities.get(row['severity'], row['severity']))}</span>",
        f"<span>{escape(text.since.format(at=moment(row.get('opened_at') or row['first_at'], words)))}</span>",
    ]
    if row.get("acknowledged_by"):
        at = moment(row["acknowledged_at"], words)
        parts.append(f"<span>{escape(text.taken.format(by=row['acknowledged_by'], at=at))}</span>")
    return f'<div class="meta">{"".join(parts)}</div>'


def _step(row: Mapping[str, Any], before: Mapping[str, Any] | None, lang: str) -> str:
    text, words = TEXTS[lang], LANGUAGES[lang]
    machine = row["actor"] in MACHINES
    by = text.machine if machine else text.by_whom.format(by=row["actor"])
    said = [*sentences(row, words), *details(row, words)] if machine else []
    lines = "".join(f"<li>{escape(_sentence(one))}</li>" for one in said)
    note = f'<p class="note">{escape(row["note"])}</p>' if row["note"] else ""
    state = escape(step(row, before, words))
    return (
        f'<div class="meta"><span class="state">{state}</span><span>{escape(moment(row["at"], words))}</span>'
        f"<span>{escape(by)}</span></div>{note}{f'<ul>{lines}</ul>' if lines else ''}"
    )


def _form(row: Mapping[str, Any], lang: str, *, token: str, who: Identity, back: str) -> str:
    text = TEXTS[lang]
    name = (
        f"<span>{escape(text.as_who.format(name=who.name))}</span>"
        if who.named
        else f'<input class="by" type="text" name="by" maxlength="100" placeholder="{escape(text.by)}" '
        f'aria-label="{escape(text.by)}" autocomplete="name">'
    )
    ack = (
        f'<button class="main" name="action" value="ack">{escape(text.ack)}</button>'
        if row["state"] != "acknowledged"
        else ""
    )
    return (
        f'<form method="post" action="/alarms/{quote(row["alarm_id"])}?lang={lang}">'
        f'<input type="hidden" name="{FIELD}" value="{token}"><input type="hidden" name="back" value="{back}">'
        f'<input type="text" name="note" maxlength="4000" placeholder="{escape(text.note)}" aria-label="{escape(text.note)}">'
        # the first button is what the return key presses: the harmless one
        f'{name}<button name="action" value="note">{escape(text.remark)}</button>{ack}'
        f'<button name="action" value="resolve">{escape(text.resolve)}</button></form>'
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
