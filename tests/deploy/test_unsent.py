"""`doctor --settled` waits for the gateway's spool."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from prometheus_client import generate_latest

from deploy.unsent import spooled, unsent
from schemas.telemetry import Telemetry

EMPTY, FULL = Telemetry(), Telemetry()
EMPTY.set("spool_records", 0)
FULL.set("spool_records", 12_345)


def test_the_spool_is_read_from_what_a_gateway_shows() -> None:
    assert spooled(generate_latest(Telemetry().registry).decode()) == 0
    assert spooled(generate_latest(FULL.registry).decode()) == 12_345


def test_what_waits_is_said_and_a_gateway_that_does_not_answer_is_waited_for() -> None:
    shown = [FULL, EMPTY]

    class Shown(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest(shown.pop(0).registry))

        def log_message(self, *_: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Shown)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/metrics"
    try:
        assert unsent(url) == "the gateway's spool: 12345 records"
        assert unsent(url) == ""
    finally:
        server.shutdown()
        server.server_close()
    assert url in unsent(url)
    assert unsent("") == ""
