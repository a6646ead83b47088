"""What stands between two processes: a link that can be cut, slowed, broken off in mid-answer, or turned into a black hole.

Toxiproxy where its server was built (`make faults` builds it where Go is), else the proxy of `proxy.py`; the names and units of the toxics
are Toxiproxy's: latency (ms), bandwidth (rate in kB/s), slicer (average_size in bytes, delay in us), timeout (ms; 0: for ever),
limit_data (bytes), reset_peer (ms).
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.error import URLError
from urllib.request import Request, urlopen

from deploy.engines.ports import LOOPBACK, Ports
from tests.faults.proxy import Proxy

SERVER = Path(__file__).parents[2] / ".venv" / "bin" / "toxiproxy-server"
START_TIMEOUT_S = 10.0


class Link(Protocol):
    """One address that leads to another."""

    port: int

    def cut(self) -> None:
        """End every connection and refuse new ones, until `mend`."""

    def add(self, kind: str, *, answers: bool = True, **attributes: int) -> None:
        """Spoil the answers, or with `answers=False` the requests, of old and new connections."""

    def mend(self) -> None:
        """Take every toxic away and let connections in."""


class Links(Protocol):
    """All links of a ground."""

    name: str

    def make(self, name: str, port: int, target: int) -> Link:
        """Listen on `port` and lead to `target`, both on the loopback address."""

    def close(self) -> None:
        """End all links."""


@contextmanager
def spoilt(link: Link, kind: str, *, answers: bool = True, **attributes: int) -> Iterator[None]:
    """Spoil a link for as long as the block runs."""
    link.add(kind, answers=answers, **attributes)
    try:
        yield
    finally:
        link.mend()


class OwnLinks:
    """Links of our own proxy, in this process."""

    name = "own proxy"

    def __init__(self) -> None:
        self._proxies: list[Proxy] = []

    def make(self, name: str, port: int, target: int) -> Link:
        self._proxies.append(Proxy(port, target))
        return self._proxies[-1]

    def close(self) -> None:
        for one in self._proxies:
            one.close()


class ToxiLinks:
    """Links of a Toxiproxy server, which this object starts and ends."""

    name = "toxiproxy"

    def __init__(self, ports: Ports, log: Path) -> None:
        port = ports.take(28_474)
        self._api = f"http://{LOOPBACK}:{port}"
        with log.open("ab") as stream:
            self._server = subprocess.Popen(
                [SERVER, "-host", LOOPBACK, "-port", str(port)],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LOG_LEVEL": "error"},  # it writes a line for every connection otherwise
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.ask("GET", "/version")
                return
            except URLError:
                assert time.monotonic() < deadline, f"toxiproxy does not answer, see {log}"
                time.sleep(0.05)

    def make(self, name: str, port: int, target: int) -> Link:
        self.ask(
            "POST", "/proxies",
            {"name": name, "listen": f"{LOOPBACK}:{port}", "upstream": f"{LOOPBACK}:{target}", "enabled": True},
        )  # fmt: skip
        return _Toxi(self, name, port)

    def close(self) -> None:
        self._server.terminate()
        self._server.wait(10)

    def ask(self, method: str, path: str, body: object = None) -> object:
        """Ask the server. Raises URLError."""
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._api + path, data=data, method=method), timeout=5) as answer:
            text = answer.read()
        return json.loads(text) if text.startswith((b"{", b"[")) else text


class _Toxi:
    def __init__(self, links: ToxiLinks, name: str, port: int) -> None:
        self.port = port
        self._links, self._name = links, name
        self._toxics: list[str] = []

    def cut(self) -> None:
        self._links.ask("POST", f"/proxies/{self._name}", {"enabled": False})

    def add(self, kind: str, *, answers: bool = True, **attributes: int) -> None:
        name = f"{kind}{len(self._toxics)}"
        stream = "downstream" if answers else "upstream"
        self._links.ask(
            "POST", f"/proxies/{self._name}/toxics",
            {"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes},
        )  # fmt: skip
        self._toxics.append(name)

    def mend(self) -> None:
        for name in self._toxics:
            self._links.ask("DELETE", f"/proxies/{self._name}/toxics/{name}")
        self._toxics = []
        self._links.ask("POST", f"/proxies/{self._name}", {"enabled": True})


def links(ports: Ports, log: Path, *, own: bool = False) -> Links:
    """Return Toxiproxy's links where its server is there and `own` is not asked for, else ours."""
    return ToxiLinks(ports, log) if SERVER.exists() and not own else OwnLinks()
