"""A loopback proxy before ClickHouse that cuts connections in the middle of an insert: the client cannot know what was stored."""

import contextlib
import socket
import threading
from enum import StrEnum


class Cut(StrEnum):
    BEFORE = "before the rows reach the server"
    AFTER = "after the server has answered, before the client hears of it"


class CuttingProxy:
    """Forward to `target`; the next `times` inserts into `table` are cut."""

    def __init__(self, target: tuple[str, int], table: str, cut: Cut, times: int) -> None:
        self.left = times
        self._target, self._mark, self._cut = target, f"INSERT INTO {table} ".encode(), cut
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            state = {"asked": False, "rows": False}
            for source, sink, up in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, up, state), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool, state: dict[str, bool]) -> None:
        try:
            while chunk := source.recv(1 << 16):
                if up and state["asked"]:
                    if self._cut is Cut.BEFORE:
                        self.left -= 1
                        break
                    state["rows"] = True
                if up and self._mark in chunk and self.left > 0:
                    state["asked"] = True
                if not up and state["rows"]:
                    self.left -= 1
                    break
                sink.sendall(chunk)
        except OSError:
            pass
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
