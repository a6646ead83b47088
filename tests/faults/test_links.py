"""Each toxic does to a stream of bytes what it says; Toxiproxy, where its server is there, does the same as our own."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.engines.ports import LOOPBACK, Ports
from tests.faults.links import SERVER, Link, Links, OwnLinks, ToxiLinks, spoilt

ANSWER = bytes(range(256)) * 40


def serve(server: socket.socket) -> None:
    """Answer each line with ANSWER."""

    def talk(peer: socket.socket) -> None:
        with peer:
            try:
                while peer.recv(4096):
                    peer.sendall(ANSWER)
            except OSError:
                return

    while True:
        try:
            peer, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=talk, args=(peer,), daemon=True).start()


@pytest.fixture(params=["own", "toxiproxy"])
def link(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Link]:
    if request.param == "toxiproxy" and not SERVER.exists():
        pytest.skip("no toxiproxy-server here: `make faults` builds it where Go is")
    ports = Ports()
    links: Links = OwnLinks() if request.param == "own" else ToxiLinks(ports, tmp_path / "log")
    server = socket.create_server((LOOPBACK, 0))
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    try:
        yield links.make("test", ports.take(27_400), server.getsockname()[1])
    finally:
        links.close()
        server.close()
        ports.release()


def asked(link: Link, timeout_s: float = 5.0) -> bytes:
    """Return what comes back on a new connection, until all came or it ends."""
    out = b""
    with socket.create_connection((LOOPBACK, link.port), timeout=timeout_s) as mine:
        mine.sendall(b"x\n")
        while len(out) < len(ANSWER) and (got := mine.recv(65_536)):
            out += got
    return out


def test_a_link_without_toxics_changes_nothing(link: Link) -> None:
    assert asked(link) == ANSWER


def test_a_cut_link_refuses_ends_what_stood_and_can_be_mended(link: Link) -> None:
    with socket.create_connection((LOOPBACK, link.port), timeout=5) as mine:
        mine.sendall(b"x\n")
        assert mine.recv(10)
        link.cut()
        try:
            while mine.recv(65_536):
                pass
        except ConnectionResetError:
            pass
    with pytest.raises(OSError, match="refused"):
        asked(link)
    link.mend()
    assert asked(link) == ANSWER


def test_limit_data_gives_so_many_bytes_and_ends(link: Link) -> None:
    with spoilt(link, "limit_data", bytes=100):
        assert asked(link) == ANSWER[:100]
    assert asked(link) == ANSWER


def test_a_reset_is_no_goodbye(link: Link) -> None:
    with spoilt(link, "reset_peer", timeout=0), pytest.raises(ConnectionResetError):
        asked(link)


def test_a_black_hole_says_nothing(link: Link) -> None:
    with spoilt(link, "timeout", timeout=0), pytest.raises(TimeoutError):
        asked(link, timeout_s=0.5)


@pytest.mark.parametrize(
    ("toxic", "attributes", "at_least_s"),
    [("latency", {"latency": 300}, 0.28), ("bandwidth", {"rate": 20}, 0.3), ("slicer", {"average_size": 512, "delay": 20_000}, 0.2)],
)  # fmt: skip
def test_a_slow_link_is_slow_and_exact(link: Link, toxic: str, attributes: dict[str, int], at_least_s: float) -> None:
    with spoilt(link, toxic, **attributes):
        began = time.monotonic()
        assert asked(link) == ANSWER
        assert time.monotonic() - began >= at_least_s
