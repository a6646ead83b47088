"""Receivers that fail in stages: a real HTTP server and a real SMTP server on loopback, and transitions to tell."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from schemas.outputs import transition_id
from sinks.notifying.transition import Transition

T0 = 1_790_000_000_000
"""An instant in 2026, ms."""


def step(alarm: str = "a" * 32, sequence: int = 1, state: str = "open", pane: int = T0, **more: Any) -> Transition:
    """Return a step of an alarm; its id follows from alarm and sequence, as the judge makes it."""
    fields: dict[str, Any] = {
        "transition_id": transition_id(alarm, sequence), "alarm_id": alarm, "sequence": sequence,
        "rule": "satisfaction_drop", "metric": "csat", "dimension": "touchpoint", "key": "paris", "direction": "down",
        "severity": "page", "state": state, "pane": pane, "first_pane": T0, "statistic": 1.25, "p0": 0.18, "p1": 0.25,
        "n": 120, "bad": 54,
    }  # fmt: skip
    return Transition(**{**fields, **more})


@dataclass(frozen=True)
class Answer:
    """How the HTTP receiver answers one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


class HttpReceiver:
    """Answers as `script` says, one answer a request, then 200; `requests` is what came."""

    def __init__(self, *script: Answer, port: int = 0) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = receiver.script.pop(0) if receiver.script else Answer()
                receiver.requests.append(Request(self.path, headers, body))
                receiver.released.wait(answer.wait_s)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class SmtpReceiver:
    """Speaks as much SMTP as a client needs; `script` holds the answers to RCPT and to the end of DATA, else 250.

    An answer "drop" closes the connection instead; `mails` holds (sender, recipients, bytes) of every mail accepted.
    """

    def __init__(self, *, recipients: tuple[str, ...] = (), ends: tuple[str, ...] = ()) -> None:
        self.recipients, self.ends = list(recipients), list(ends)
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            self._started.set()
            async with server:
                await self._stop.wait()

        self._loop.run_until_complete(serve())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        sender, to = "", []
        writer.write(b"220 sink ESMTP\r\n")
        while line := (await reader.readline()).decode().strip():
            verb = line.upper().split(":")[0]
            answer = "250 ok"
            if verb.startswith("MAIL FROM"):
                sender, to = line.split("<")[1].split(">")[0], []
            elif verb.startswith("RCPT TO"):
                answer = self.recipients.pop(0) if self.recipients else answer
                if answer.startswith("2"):
                    to.append(line.split("<")[1].split(">")[0])
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                content = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                answer = self.ends.pop(0) if self.ends else answer
                if answer.startswith("2"):
                    self.mails.append((sender, to, content))
            if answer == "drop":
                break
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
            if verb == "QUIT":
                break
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def http_receiver() -> Iterator[HttpReceiver]:
    one = HttpReceiver()
    yield one
    one.close()


@pytest.fixture
def smtp_receiver() -> Iterator[SmtpReceiver]:
    one = SmtpReceiver()
    yield one
    one.close()


async def until(reached: Any, timeout_s: float = 30.0) -> None:
    """Return as soon as `reached()` is true; fail after `timeout_s`."""
    limit = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < limit, "not reached in time"
        await asyncio.sleep(0.02)
