"""What operations ask a process: /metrics, /livez and /readyz, served by a thread of its own so that load never starves it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from schemas.errors import SettingsError
from schemas.readiness import Readiness

JSON = "application/json"


class OpsServer:
    """Serve until `close`; port 0 takes any free one, `port` says which."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry, readiness: Readiness) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif path == "/livez":
                    self._answer(200, JSON, b'{"alive":true}')
                elif path == "/readyz":
                    failing = readiness.failing()
                    body = json.dumps({"ready": not failing, "failing": failing}).encode()
                    self._answer(503 if failing else 200, JSON, body)
                else:
                    self._answer(
                        404,
                        JSON,
                        b'{"error":"not_found","remedy":"/metrics, /livez or /readyz"}',
                    )

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                """Probes come every second: they are not worth a log line."""

        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise SettingsError(
                "port_taken",
                f"{host}:{port}: {error}",
                "set BAROMETER_OPS_PORT to a free port",
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="ops-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
