"""Alarms over HTTP, for operators and their tools: what stands open, its history, and the decisions about it.

GET /v1/alarms[?all=1&limit=N], GET /v1/alarms/{id}, POST /v1/alarms/{id}/ack|resolve|note {"note", "by"},
POST /v1/silences {"rule", "key", "for_s" or "until", "note", "by"}; /livez, /readyz, /metrics; people get pages at / and /alarms/{id}.
A decision is answered with 200 when the judge has applied it, with 202 when it stands in the log but is not judged yet.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from deploy.alarm_access import COOKIE, FIELD, Access, Identity
from deploy.alarm_page import alarm_page, language, list_page, refusal_page
from deploy.alarm_requests import Decided, Silenced, body_of, bytes_of, refusal_of, whole
from deploy.alarms import MOST_SILENCED_MS, NOT_YET, By, matching, still_open
from producers.refusals import Refusal, json_answer
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import BarometerError, UnavailableError
from schemas.outputs import DecisionKind
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry

Row = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]
MAX_NOTE_CHARS = 4_000
MOST_ROWS = 10_000
ACTIONS = {"ack": DecisionKind.ACK, "resolve": DecisionKind.RESOLVE, "note": DecisionKind.NOTE}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
}  # fmt: skip


class Alarms(Protocol):
    """What the console needs of the store and the log; each call blocks. Raises UnavailableError."""

    def open(self) -> list[Row]:
        """Return the alarms that stand."""

    def history(self, prefix: str, limit: int) -> list[Row]:
        """Return the steps of the alarms whose ids begin with `prefix`, newest first."""

    def states(self, prefix: str) -> dict[str, str]:
        """Return alarm id -> state of those whose ids begin with `prefix`."""

    def decide(self, kind: DecisionKind, by: By, body: Mapping[str, Any]) -> int | None:
        """Write a decision and wait until it is applied; return the pane judged with it."""


class Console:
    """The handlers of one console."""

    def __init__(
        self, settings: Settings, alarms: Alarms, catalogue: Catalogue, *, clock: Clock, telemetry: Telemetry,
        readiness: Readiness, access: Access | None = None,
    ) -> None:  # fmt: skip
        self._alarms, self._catalogue, self._clock = alarms, catalogue, clock
        self._telemetry, self._readiness = telemetry, readiness
        self._access = access or Access(settings)

    def routes(self) -> Iterator[Route]:
        """Yield all routes."""
        for path, handler, method in (
            ("/v1/alarms", self.list_alarms, "GET"),
            ("/v1/alarms/{alarm}", self.one_alarm, "GET"),
            ("/v1/alarms/{alarm}/{action}", self.decide, "POST"),
            ("/v1/silences", self.silence, "POST"),
        ):
            yield Route(path, self._answering(path, self._allowed(handler), _plainly), methods=[method])
        for path, handler, method in (
            ("/", self.page, "GET"),
            ("/alarms/{alarm}", self.alarm_page, "GET"),
            ("/alarms/{alarm}", self.form, "POST"),
        ):
            yield Route(path, self._answering(path, self._allowed(handler), _as_page), methods=[method])
        for path, handler in (("/livez", self.livez), ("/readyz", self.readyz), ("/metrics", self.metrics)):
            yield Route(path, handler, methods=["GET"])

    # --- tools -----------------------------------------------------------------------------------------------------

    async def list_alarms(self, request: Request) -> Response:
        """List the alarms that stand; with all=1 every step of every alarm."""
        limit = whole(request.query_params.get("limit", "1000"), "limit", MOST_ROWS)
        if request.query_params.get("all", "0") in {"1", "true"}:
            rows = await run_in_threadpool(self._alarms.history, "", limit)
        else:
            rows = (await run_in_threadpool(self._alarms.open))[:limit]
        return json_answer(200, {"alarms": [_plain(row) for row in rows]})

    async def one_alarm(self, request: Request) -> Response:
        """Give one alarm: its state and its steps with their evidence, the newest first."""
        alarm_id, state = await self._found(request.path_params["alarm"])
        rows = await run_in_threadpool(self._alarms.history, alarm_id, MOST_ROWS)
        return json_answer(200, {"alarm_id": alarm_id, "state": state, "transitions": [_plain(row) for row in rows]})

    async def decide(self, request: Request) -> Response:
        """Acknowledge, resolve or annotate an alarm."""
        body = await body_of(request, Decided, self._access)
        alarm_id, pane = await self._decided(
            request, request.path_params["alarm"], request.path_params["action"], body.note, body.by
        )
        return _applied({"alarm_id": alarm_id}, pane)

    async def silence(self, request: Request) -> Response:
        """Notify nobody of a rule's alarms for some time."""
        body = await body_of(request, Silenced, self._access)
        names = sorted(rule.name for rule in self._catalogue.alarm)
        if body.rule not in names:
            raise Refusal(422, "unknown_rule", f"no rule {body.rule!r}", f"the catalogue has {', '.join(names)}")
        if (body.for_s is None) == (body.until is None):
            raise Refusal(422, "bad_length", "one of for_s and until is wanted", 'send {"rule": ..., "for_s": 7200}')
        now = self._clock()
        until = body.until if body.until is not None else now + (body.for_s or 0) * 1000
        if not now < until <= now + MOST_SILENCED_MS:
            raise Refusal(
                422, "bad_length", f"until {until} ms is past, or more than 28 days ahead", "name a shorter time"
            )
        by = self._by(request, body.note, body.by)
        silenced = {"rule": body.rule, "key": body.key, "until": until}
        return _applied(silenced, await self._write(DecisionKind.SILENCE, by, silenced))

    # --- people ----------------------------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        """Show the alarms that stand, with buttons."""
        rows = await run_in_threadpool(self._alarms.open)
        return self._shown(
            request, lambda token: list_page(rows, language(request), token=token, who=self._access.who(request))
        )

    async def alarm_page(self, request: Request) -> Response:
        """Show one alarm with its history."""
        alarm_id, _ = await self._found(request.path_params["alarm"])
        rows = await run_in_threadpool(self._alarms.history, alarm_id, MOST_ROWS)
        who = self._access.who(request)
        return self._shown(request, lambda token: alarm_page(rows, language(request), token=token, who=who))

    async def form(self, request: Request) -> Response:
        """Take a form of our page and go back to it."""
        given = dict(parse_qsl((await bytes_of(request)).decode("utf-8", "replace"), keep_blank_values=True))
        self._access.own_form(request, given.get(FIELD, ""))
        await self._decided(
            request, request.path_params["alarm"], given.get("action", ""), given.get("note", ""), given.get("by", "")
        )
        back = "/" if given.get("back") != "alarm" else f"/alarms/{request.path_params['alarm']}"
        return RedirectResponse(f"{back}?lang={language(request)}", 303, {"Cache-Control": "no-store"})

    def _shown(self, request: Request, page: Callable[[str], str]) -> Response:
        session = self._access.session(request)
        answer = HTMLResponse(page(self._access.form_token(session)), headers=PAGE_HEADERS)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return answer

    # --- both ------------------------------------------------------------------------------------------------------

    async def _found(self, given: str) -> tuple[str, str]:
        states = await run_in_threadpool(self._alarms.states, given)
        alarm_id = matching(states, given)
        return alarm_id, states[alarm_id]

    async def _decided(self, request: Request, given: str, action: str, note: str, by: str) -> tuple[str, int | None]:
        if action not in ACTIONS:
            raise Refusal(404, "unknown_action", f"{action!r} is no action", f"one of {', '.join(ACTIONS)}")
        if action == "note" and not note.strip():
            raise Refusal(422, "note_missing", "the note is empty", "write what others should know")
        author = self._by(request, note, by)
        alarm_id, state = await self._found(given)
        still_open(alarm_id, state)
        return alarm_id, await self._write(ACTIONS[action], author, {"alarm_id": alarm_id})

    def _by(self, request: Request, note: str, given: str) -> By:
        who: Identity = self._access.who(request)
        if len(note) > MAX_NOTE_CHARS or len(given) > 100:
            raise Refusal(422, "too_long", f"a note has at most {MAX_NOTE_CHARS} characters, a name 100", "shorten it")
        return By(who.name if who.named else given.strip() or who.name, note.strip())

    async def _write(self, kind: DecisionKind, by: By, body: Mapping[str, Any]) -> int | None:
        """Return the pane judged with a decision, None if it stands in the log but the judge has not come to it."""
        try:
            return await run_in_threadpool(self._alarms.decide, kind, by, body)
        except UnavailableError as error:
            if error.reason == NOT_YET:
                return None
            raise

    def _allowed(self, handler: Handler) -> Handler:
        async def answer(request: Request) -> Response:
            self._access.who(request)
            return await handler(request)

        return answer

    def _answering(self, route: str, handler: Handler, refused: Callable[[Request, Refusal], Response]) -> Handler:
        """Return the handler with errors turned into answers, and every answer counted."""

        async def answer(request: Request) -> Response:
            try:
                response = await handler(request)
            except Refusal as refusal:
                response = refused(request, refusal)
            except BarometerError as error:
                response = refused(request, refusal_of(error))
            self._telemetry.count("http_requests_total", route=f"console {route}", code=str(response.status_code))
            return response

        return answer

    async def livez(self, request: Request) -> Response:
        """Say that the process turns."""
        return json_answer(200, {"alive": True})

    async def readyz(self, request: Request) -> Response:
        """Say whether alarms can be read, else why not."""
        try:
            await run_in_threadpool(self._alarms.states, "-")
            self._readiness.ok("clickhouse")
        except UnavailableError as error:
            self._readiness.fail("clickhouse", str(error))
        failing = self._readiness.failing()
        return json_answer(503 if failing else 200, {"ready": not failing, "failing": failing})

    async def metrics(self, request: Request) -> Response:
        """Give all metrics in the text format of Prometheus."""
        return Response(generate_latest(self._telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def build_app(console: Console) -> Starlette:
    """Return the ASGI application."""

    async def wrong_route(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        remedy = "GET /v1/alarms, /v1/alarms/ID; POST /v1/alarms/ID/ack, /resolve, /note, /v1/silences"
        body = {"error": error.detail, "detail": request.url.path, "remedy": remedy}
        return json_answer(error.status_code, body, error.headers)

    return Starlette(routes=list(console.routes()), exception_handlers={HTTPException: wrong_route})


def _applied(body: dict[str, Any], pane: int | None) -> Response:
    return json_answer(202 if pane is None else 200, {**body, "applied": pane is not None, "pane": pane})


def _plainly(_request: Request, refusal: Refusal) -> Response:
    return refusal.answer()


def _as_page(request: Request, refusal: Refusal) -> Response:
    page = refusal_page(refusal, language(request))
    return HTMLResponse(page, refusal.status, headers={**PAGE_HEADERS, **refusal.headers})


def _plain(row: Row) -> Row:
    """Return a row as JSON has it: times in RFC 3339, the evidence as an object."""
    evidence = row["evidence"]
    plain: Row = msgspec.to_builtins(row)
    return plain | {"evidence": msgspec.Raw(evidence.encode() or b"{}")}
