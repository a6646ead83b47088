"""The comment card as a web page: five faces, a word if you like; works without JavaScript, in French and English.

The hidden submission id makes a card sent twice one event. A card that cannot be kept comes back filled in, with the truth.
"""

import base64
import hashlib
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import parse_qsl, quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from producers.bodies import Limits, read_body
from producers.capture import Capture, Captured
from producers.channels.native import NativeAnswer, NativeEvent, NewId, check_string
from producers.publisher import Record
from producers.refusals import Refusal
from producers.write_keys import RateLimit
from schemas.catalogue import Catalogue, Touchpoint
from schemas.clock import Clock
from schemas.errors import InvalidEventError
from schemas.event import Channel

ROUTE = "/c/{touchpoint}"
SOURCE = "card-page"
LANGUAGES = ("en", "fr")
QUESTION = "csat"
TEXT_MAX_CHARS = 2_000
RATE_PER_TOUCHPOINT_S = 20.0
_LIMITS = Limits(body_bytes=32 * 1024, inflated_bytes=64 * 1024, items=1)
_MAX_FIELDS = 10
Publish = Callable[[list[Record], Captured, str], Awaitable[None]]


class CardPage:
    """Show the card of a touchpoint, take it, say thanks."""

    def __init__(
        self, *, catalogue: Catalogue, capture: Capture, clock: Clock, new_id: NewId, publish: Publish
    ) -> None:
        folder = files("producers") / "page"
        self._touchpoints = {one.name: one for one in catalogue.touchpoint}
        self._capture = capture
        self._clock = clock
        self._new_id = new_id
        self._publish = publish
        self._rate = RateLimit(RATE_PER_TOUCHPOINT_S, clock)
        self._words: Mapping[str, Mapping[str, str]] = tomllib.loads((folder / "words.toml").read_text("utf-8"))
        self._style = (folder / "card.css").read_text("utf-8")
        self._templates = {
            name: Template((folder / f"{name}.html").read_text("utf-8")) for name in ("layout", "card", "message")
        }
        self._headers = _security_headers(self._style)

    async def show(self, request: Request) -> Response:
        """Show an empty card, or 404 for a touchpoint that is not in the catalogue."""
        language = language_of(request)
        touchpoint = self._touchpoints.get(request.path_params["touchpoint"])
        if touchpoint is None:
            return self._unknown(language)
        return self._card(200, language, touchpoint, submission=self._new_id())

    async def take(self, request: Request) -> Response:
        """Keep a card and redirect to the thanks; if it cannot be kept, show it again, filled in, and say why."""
        language = language_of(request)
        touchpoint = self._touchpoints.get(request.path_params["touchpoint"])
        if touchpoint is None:
            return self._unknown(language)
        words = self._words[language]
        try:
            form = await _form(request)
        except Refusal as refusal:
            problem = words["too_long"] if refusal.status == 413 else words["broken"]
            return self._card(refusal.status, language, touchpoint, submission=self._new_id(), problem=problem)
        if form.get("lang") in LANGUAGES:
            language = form["lang"]
            words = self._words[language]
        score, text = form.get("score", ""), form.get("text", "").replace("\r\n", "\n").strip()
        submission = _submission(form.get("submission", "")) or self._new_id()

        def again(status: int, problem: str, retry_after_s: str | None = None) -> Response:
            shown = self._card(
                status, language, touchpoint, submission=submission, score=score, text=text, problem=problem
            )
            if retry_after_s is not None:
                shown.headers["Retry-After"] = retry_after_s
            return shown

        if score not in {"1", "2", "3", "4", "5"}:
            return again(422, words["choose"])
        if len(text) > TEXT_MAX_CHARS:
            return again(413, words["too_long"])
        try:
            check_string(text, "text")
            self._rate.take(touchpoint.name, 1)
            await self._keep(touchpoint, language, submission, int(score), text)
        except InvalidEventError:
            return again(422, words["broken"])
        except Refusal as refusal:
            problem = words["busy"] if refusal.status == 429 else words["unavailable"]
            return again(refusal.status, problem, refusal.headers.get("Retry-After"))
        return RedirectResponse(f"/c/{quote(touchpoint.name)}/thanks?lang={language}", 303, self._headers)

    async def thanks(self, request: Request) -> Response:
        """Say thanks."""
        language = language_of(request)
        touchpoint = self._touchpoints.get(request.path_params["touchpoint"])
        if touchpoint is None:
            return self._unknown(language)
        words = self._words[language]
        body = self._templates["message"].substitute(
            face=_drawing(5), heading=escape(words["thanks"]), words=escape(words["thanks_more"])
        )
        return self._page(200, language, words["thanks"], body)

    async def _keep(self, touchpoint: Touchpoint, language: str, submission: str, score: int, text: str) -> None:
        item = NativeEvent(
            channel=Channel.CARD,
            # not a bare UUID: an id from a public page may only ever mean a card of this page
            id=f"card:{touchpoint.name}:{submission}",
            touchpoint=touchpoint.name,
            answers=[NativeAnswer(question=QUESTION, score=float(score), scale=(1.0, 5.0))],
            text=text or None,
            lang=language,
        )
        event = self._capture.event(item, SOURCE, self._clock())
        captured = Captured(records=self._capture.records([event]), accepted=1)
        captured.channels[Channel.CARD] += 1
        await self._publish(captured.records, captured, ROUTE)

    def _unknown(self, language: str) -> Response:
        words = self._words[language]
        body = self._templates["message"].substitute(
            face=_drawing(3), heading=escape(words["unknown"]), words=escape(words["unknown_more"])
        )
        return self._page(404, language, words["unknown"], body)

    def _card(
        self, status: int, language: str, touchpoint: Touchpoint, *, submission: str, score: str = "", text: str = "",
        problem: str = "",
    ) -> Response:  # fmt: skip
        words = self._words[language]
        other = LANGUAGES[1 - LANGUAGES.index(language)]
        body = self._templates["card"].substitute(
            {name: escape(word) for name, word in words.items()},
            place=escape(touchpoint.title or touchpoint.name),
            action=f"/c/{quote(touchpoint.name)}",
            submission=escape(submission),
            lang=language,
            faces="\n".join(_face(value, words[f"face_{value}"], checked=score == str(value)) for value in range(1, 6)),
            text=escape(text),
            text_max=TEXT_MAX_CHARS,
            problem=f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else "",
            other_lang=other,
            other_name=escape(self._words[other]["language"]),
        )
        return self._page(status, language, f"{words['title']} · {touchpoint.title or touchpoint.name}", body)

    def _page(self, status: int, language: str, title: str, body: str) -> Response:
        page = self._templates["layout"].substitute(lang=language, title=escape(title), style=self._style, body=body)
        return HTMLResponse(page, status, {**self._headers, "Content-Language": language, "Vary": "Accept-Language"})


_MOUTHS = {
    1: "M7.2 17.4Q12 11.6 16.8 17.4", 2: "M8 16.6Q12 13.6 16 16.6", 3: "M8 15.6H16", 4: "M8 14.8Q12 17.8 16 14.8",
    5: "M6.8 13.6Q12 20.6 17.2 13.6Z",
}  # fmt: skip


def _drawing(value: int) -> str:
    """Return a face as inline SVG: the same on every device, whatever its fonts."""
    return (
        f'<svg class="drawing mood-{value}" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><circle cx="12" cy="12" r="10.5"/>'
        f'<circle class="eye" cx="8.5" cy="9.6" r="1.3"/><circle class="eye" cx="15.5" cy="9.6" r="1.3"/>'
        f'<path d="{_MOUTHS[value]}"/></svg>'
    )


def _face(value: int, word: str, *, checked: bool) -> str:
    mark = " checked" if checked else ""
    return (
        f'<label class="face"><input type="radio" name="score" value="{value}" required{mark}>'
        f'{_drawing(value)}<span class="word">{escape(word)}</span></label>'
    )


def language_of(request: Request) -> str:
    """Return the language of the page: ?lang= first, then Accept-Language, else English."""
    asked = request.query_params.get("lang", "")
    return asked if asked in LANGUAGES else preferred(request.headers.get("accept-language", ""))


def preferred(accept_language: str) -> str:
    """Return the supported language that a browser prefers. Source: RFC 9110, 12.5.4."""
    best, weight = LANGUAGES[0], 0.0
    for part in accept_language.split(","):
        tag, _, parameter = part.strip().partition(";")
        name = tag.strip().lower().partition("-")[0]
        q = parameter.strip().removeprefix("q=") or "1"
        try:
            found = float(q)
        except ValueError:
            continue
        if name in LANGUAGES and found > weight:
            best, weight = name, found
    return best


async def _form(request: Request) -> dict[str, str]:
    body = await read_body(request.stream(), gzip=False, limits=_LIMITS)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS, separator="&"
        )
    except ValueError as error:
        raise Refusal(400, "bad_form", "the form cannot be read", "send the form again") from error
    return dict(pairs)


def _submission(given: str) -> str | None:
    try:
        return str(UUID(given))
    except ValueError:
        return None


def _security_headers(style: str) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
