"""The HTTP gateway: routes, limits, answers. A 2xx follows the broker's acknowledgement, or the sync of the local spool."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from time import perf_counter
from uuid import uuid4

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from producers.bodies import Limits, read_body, split
from producers.capture import Capture, Captured
from producers.card_page import CardPage
from producers.docs_page import docs_html
from producers.pseudonyms import pseudonyms_of
from producers.publisher import CHECK, Publisher, Record
from producers.refusals import Refusal, json_answer, unavailable
from producers.sealer import Sealer, sealer_of
from producers.spooling import Spooling, open_spooling
from producers.write_keys import RateLimit, WriteKeys
from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import InvalidEventError, UnavailableError
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.settings import Settings, keys_of
from schemas.telemetry import Telemetry

ROUTE = "/v1/feedback"
CHUNK_ITEMS = 250
"""Items parsed between two turns of the event loop, so that a large batch does not hold up the small ones."""
MAX_HELD_BYTES = 256 * 1024 * 1024
GRACE_S = 8
NOT_SNIFFED = {"X-Content-Type-Options": "nosniff"}
log = structlog.get_logger("producers.gateway")
Handler = Callable[[Request], Awaitable[Response]]


class Gateway:
    """The routes of the gateway over one publisher, and the spool behind it if there is one."""

    def __init__(
        self,
        settings: Settings,
        *,
        publisher: Publisher,
        spooling: Spooling | None = None,
        catalogue: Catalogue,
        sealer: Sealer,
        clock: Clock,
        telemetry: Telemetry,
        readiness: Readiness,
        new_id: Callable[[], str] = lambda: str(uuid4()),
    ) -> None:
        self._durable = publisher if spooling is None else spooling
        self._spooling = spooling
        self._clock = clock
        self._telemetry = telemetry
        self._readiness = readiness
        self._kill_points = KillPoints(settings.kill_point)
        self._keys = WriteKeys(keys_of(settings))
        self._rate = RateLimit(settings.rate_per_key_s, clock)
        self._limits = Limits(
            body_bytes=settings.max_body_bytes,
            inflated_bytes=settings.max_inflated_bytes,
            items=settings.max_batch_events,
        )
        self._capture = Capture(
            pseudonyms=pseudonyms_of(settings.pseudonym_key, settings.default_country), catalogue=catalogue, sealer=sealer,
            new_id=new_id, max_event_bytes=settings.max_event_bytes,
        )  # fmt: skip
        self._openapi = (files("producers") / "page" / "openapi.json").read_bytes()
        self._docs = docs_html(self._openapi)
        self._card_page = CardPage(
            catalogue=catalogue, capture=self._capture, clock=clock, new_id=new_id, publish=self.publish
        )
        self._held_bytes = 0

    def routes(self) -> list[Route]:
        """Return all routes; the OpenAPI document describes exactly these."""
        page = self._card_page
        return [
            Route(ROUTE, self._answering(ROUTE, self.feedback), methods=["POST"]),
            Route("/c/{touchpoint}", self._answering("/c/{touchpoint}", page.show), methods=["GET"]),
            Route("/c/{touchpoint}", self._answering("/c/{touchpoint}", page.take), methods=["POST"]),
            Route("/c/{touchpoint}/thanks", self._answering("/c/{touchpoint}/thanks", page.thanks), methods=["GET"]),
            Route("/livez", self.livez, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/docs", self.docs, methods=["GET"]),
        ]

    async def feedback(self, request: Request) -> Response:
        """Take native events: one object, an array or NDJSON. Raises Refusal."""
        source = self._keys.name_of(request.headers.get("authorization"))
        self._rate.check(source)
        try:
            async with self._holding(request) as body:
                items = split(body, self._limits)
                self._rate.take(source, len(items))
                captured = await self._captured(items, source)
        except Refusal as refusal:
            if refusal.raw_bytes:
                await self._keep(refusal, source)
            raise
        if captured.records:
            await self.publish(captured.records, captured, ROUTE)
        self._kill_points.reached("gateway.before_ack")
        if captured.refused:
            log.info("events refused", source=source, refused=len(captured.refused), accepted=captured.accepted)
        answer: dict[str, object] = {"accepted": captured.accepted, "rejected": captured.refused}
        if captured.refused and not captured.accepted:
            return json_answer(422, answer | {"error": "all_rejected", "remedy": "mend the events as `rejected` says"})
        return json_answer(202, answer)

    async def publish(self, records: list[Record], captured: Captured, route: str) -> None:
        """Make records durable and count what was captured. Raises Refusal 503."""
        try:
            await self._durable.publish(records)
        except UnavailableError as error:
            log.warning("not durable", reason=error.reason, records=len(records))
            raise unavailable(error.detail) from error
        for channel, count in captured.channels.items():
            self._telemetry.count("captured_total", count, channel=channel, route=route)
        for refused in captured.refused:
            self._telemetry.count("rejected_total", stage="gateway", reason=refused.reason)

    async def _captured(self, items: list[bytes], source: str) -> Captured:
        captured = Captured()
        received_at = self._clock()
        for start in range(0, len(items), CHUNK_ITEMS):
            if start:
                await asyncio.sleep(0)
            self._capture.add(
                items[start : start + CHUNK_ITEMS], captured, first_index=start, source=source, received_at=received_at
            )
        return captured

    @asynccontextmanager
    async def _holding(self, request: Request) -> AsyncIterator[bytes]:
        """Give the body while its bytes count against what the gateway may hold at once."""
        if self._held_bytes > MAX_HELD_BYTES:
            raise unavailable("too many requests at once")
        gzip = "gzip" in request.headers.get("content-encoding", "").lower()
        body = await read_body(request.stream(), gzip=gzip, limits=self._limits)
        self._held_bytes += len(body)
        try:
            yield body
        finally:
            self._held_bytes -= len(body)

    async def _keep(self, refusal: Refusal, source: str) -> None:
        """Keep a body that was refused as a whole as one rejection."""
        captured = Captured()
        error = InvalidEventError(refusal.reason, "", refusal.detail, refusal.remedy)
        captured.records.append(
            self._capture.rejection(
                error, refusal.raw, source=source, received_at=self._clock(), raw_bytes=refusal.raw_bytes
            )
        )
        await self.publish(captured.records, captured, ROUTE)
        self._telemetry.count("rejected_total", stage="gateway", reason=refusal.reason)

    def _answering(self, route: str, handler: Handler) -> Handler:
        """Return the handler with refusals turned into answers, and every answer counted and timed."""

        async def answer(request: Request) -> Response:
            began = perf_counter()
            try:
                response = await handler(request)
            except Refusal as refusal:
                response = refusal.answer()
            self._telemetry.count("http_requests_total", route=route, code=str(response.status_code))
            self._telemetry.observe("http_request_seconds", perf_counter() - began, route=route)
            return response

        return answer

    async def livez(self, request: Request) -> Response:
        """Say that the process turns."""
        return json_answer(200, {"alive": True})

    async def readyz(self, request: Request) -> Response:
        """Say whether events can be taken, else which check fails and why; `notes` where the spool takes them."""
        failing = self._readiness.failing()
        notes = {} if self._spooling is None else self._spooling.health(failing, CHECK)
        answer = {"ready": not failing, "failing": failing} | ({"notes": notes} if notes else {})
        return json_answer(503 if failing else 200, answer)

    async def metrics(self, request: Request) -> Response:
        """Give all metrics in the text format of Prometheus."""
        if self._spooling is not None:
            self._spooling.measure()
        return Response(generate_latest(self._telemetry.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: Request) -> Response:
        """Give the description of this API."""
        return Response(self._openapi, media_type="application/json", headers=NOT_SNIFFED)

    async def docs(self, request: Request) -> Response:
        """Give the same description for people."""
        return HTMLResponse(self._docs, headers=NOT_SNIFFED)


async def _plain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    remedy = "see /docs for the routes"
    return json_answer(
        error.status_code, {"error": error.detail, "detail": request.url.path, "remedy": remedy}, error.headers
    )


def build_app(gateway: Gateway) -> Starlette:
    """Return the ASGI application."""
    return Starlette(routes=list(gateway.routes()), exception_handlers={HTTPException: _plain_error})


def run_gateway(
    settings: Settings,
    *,
    catalogue: Catalogue,
    clock: Clock,
    telemetry: Telemetry,
    readiness: Readiness,
    announce: Callable[[str, int], None] = lambda _host, _port: None,
) -> int:
    """Serve until SIGTERM or SIGINT, then finish what was begun; return the exit code.

    `announce` is called with host and port once requests are taken.
    """
    sealer = sealer_of(settings, catalogue, clock)
    sealer.check()
    publisher = Publisher(settings, clock=clock, telemetry=telemetry, readiness=readiness)
    broken: list[BaseException] = []

    def end(error: BaseException) -> None:
        broken.append(error)
        server.should_exit = True

    spooling = open_spooling(settings, publisher, clock=clock, telemetry=telemetry, failed=end)
    gateway = Gateway(
        settings, publisher=publisher, spooling=spooling, catalogue=catalogue, sealer=sealer, clock=clock,
        telemetry=telemetry, readiness=readiness,
    )  # fmt: skip
    server = Server(build_app(gateway), settings.gateway_host, settings.gateway_port, announce)
    publisher.start()
    if spooling is not None:
        spooling.start()
    try:
        server.run()
    finally:
        if spooling is not None:
            spooling.close()
        publisher.close()
    return 0 if server.started and not broken else 1


class Server(uvicorn.Server):
    """uvicorn with the fast parser and loop, that says where it listens."""

    def __init__(self, app: Starlette, host: str, port: int, announce: Callable[[str, int], None]) -> None:
        config = uvicorn.Config(
            app, host=host, port=port, loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, date_header=False, timeout_graceful_shutdown=GRACE_S, backlog=2048,
        )  # fmt: skip
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully at SIGTERM and SIGINT; unlike uvicorn's own, do not raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Listen, then announce the address."""
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            log.info("gateway listens", host=host, port=port)
            self._announce(host, port)
