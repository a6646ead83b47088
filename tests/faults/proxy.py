"""A TCP proxy with Toxiproxy's toxics, for machines without Go: one thread, one event loop, loopback only."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from deploy.engines.ports import LOOPBACK

CHUNK_BYTES = 64 << 10
TOXICS: dict[str, set[str]] = {
    "latency": {"latency", "jitter"}, "bandwidth": {"rate"}, "slicer": {"average_size", "size_variation", "delay"},
    "timeout": {"timeout"}, "limit_data": {"bytes"}, "reset_peer": {"timeout"},
}  # fmt: skip
Toxics = list[tuple[str, dict[str, int]]]


class _Ended(Exception):
    """A toxic ends the connection; `reset`: without a goodbye."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Proxy:
    """A port that leads to another; `cut`, `add` and `mend` act on the connections that stand, too."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._toxics: dict[bool, Toxics] = {False: [], True: []}
        self._open = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._listen)

    def cut(self) -> None:
        async def cut() -> None:
            self._open = False
            if self._server is not None:
                self._server.close()
                self._server = None
            for task in self._tasks:
                task.cancel()

        self._do(cut)

    def add(self, kind: str, *, answers: bool = True, **attributes: int) -> None:
        if not attributes.keys() <= TOXICS[kind]:
            raise ValueError(f"{kind} has {sorted(TOXICS[kind])}")

        async def add() -> None:
            self._toxics[answers] = [*self._toxics[answers], (kind, attributes)]

        self._do(add)

    def mend(self) -> None:
        async def mend() -> None:
            self._toxics = {False: [], True: []}

        self._do(mend)
        self._do(self._listen)

    def close(self) -> None:
        """End it."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _do(self, act: Callable[[], Any]) -> None:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(act(), self._loop)
        future.result(10)

    async def _listen(self) -> None:
        self._open = True
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, reuse_address=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        reset = False
        target: asyncio.StreamWriter | None = None
        pumps: list[asyncio.Task[None]] = []
        try:
            back, target = await asyncio.open_connection(LOOPBACK, self._target)
            pumps = [
                asyncio.create_task(self._pump(reader, target, answers=False)),
                asyncio.create_task(self._pump(back, writer, answers=True)),
            ]
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                error = one.exception()
                reset = isinstance(error, _Ended) and error.reset
        except (OSError, asyncio.CancelledError):
            reset = True
        finally:
            self._tasks.discard(task)
            for one in pumps:
                one.cancel()
            for end in (writer, target):
                if end is not None:
                    _end(end, reset=reset)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        passed: dict[int, int] = {}
        while data := await self._next(reader, answers=answers):
            toxics = self._toxics[answers]
            await self._pass(data, writer, toxics, passed)

    async def _next(self, reader: asyncio.StreamReader, *, answers: bool) -> bytes:
        """Return what comes next; a toxic that ends connections by itself ends an idle one, too."""
        coming = asyncio.ensure_future(reader.read(CHUNK_BYTES))
        try:
            while True:
                done, _ = await asyncio.wait([coming], timeout=0.05)
                if done:
                    return coming.result()
                for kind, at in self._toxics[answers]:
                    if kind == "reset_peer":
                        await asyncio.sleep(at.get("timeout", 0) / 1000)
                        raise _Ended(reset=True)
        finally:
            coming.cancel()

    async def _pass(self, data: bytes, writer: asyncio.StreamWriter, toxics: Toxics, passed: dict[int, int]) -> None:
        size = len(data)
        for kind, at in toxics:
            match kind:
                case "latency":
                    await asyncio.sleep(at["latency"] / 1000)
                case "bandwidth":
                    await self._slowly(data, writer, 1000 * at["rate"], toxics)
                    return
                case "slicer":
                    size = max(1, at["average_size"])
                case "timeout":
                    while at in (known for _, known in (*self._toxics[False], *self._toxics[True])):
                        await asyncio.sleep(0.05)
                        if at["timeout"]:
                            await asyncio.sleep(at["timeout"] / 1000)
                            break
                    raise _Ended  # what the hole took is gone, so the connection is of no more use
                case "limit_data":
                    left = at["bytes"] - passed.get(id(at), 0)
                    passed[id(at)] = passed.get(id(at), 0) + len(data)
                    if len(data) >= left:
                        writer.write(data[: max(0, left)])
                        await writer.drain()
                        raise _Ended
                case "reset_peer":
                    await asyncio.sleep(at.get("timeout", 0) / 1000)
                    raise _Ended(reset=True)
        delay_s = next((at.get("delay", 0) / 1_000_000 for kind, at in toxics if kind == "slicer"), 0.0)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            if delay_s:
                await asyncio.sleep(delay_s)

    async def _slowly(self, data: bytes, writer: asyncio.StreamWriter, rate: int, toxics: Toxics) -> None:
        step = max(1, rate // 10)
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if toxics in self._toxics.values():  # mended meanwhile: the rest goes at once
                await asyncio.sleep(min(step, len(data) - start) / max(1, rate))


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset and (sock := writer.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
