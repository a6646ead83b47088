"""One supervised child process: started, awaited, restarted when it crashes, and never left behind.

Three things end a child, whatever happens to us: `stop` (SIGTERM, then SIGKILL, to its whole process group); the thread that
started it waits for it as long as it lives; and the kernel kills it when that thread dies with this process, kill -9 included
(PR_SET_PDEATHSIG is bound to the parent *thread*, so a child must be started by a thread that outlives it).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploy.engines.errors import EngineError

GUARD = Path(__file__).with_name("guard.py")
FIRST_BACK_OFF_S = 0.2
LONGEST_BACK_OFF_S = 5.0
HEALTHY_AFTER_S = 10.0  # a child that lived as long starts again with the first back-off
STARTS_BEFORE_GIVING_UP = 3  # crashes before the first readiness; afterwards restarts never end
POLL_S = 0.05
LOG_TAIL_BYTES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """How to start a child and how to tell that it is ready (`ready` returns None, or what is still missing)."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    ready: Callable[[], str | None]
    folder: Path | None = None
    on_start: Callable[[str, int], None] = field(default=lambda _name, _pid: None)


class Child:
    """A running child of this process, restarted with back-off until `stop`."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.starts = 0
        self.crashes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._was_ready = False
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"supervise-{spec.name}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The pid of the present incarnation, or None while there is none."""
        with self._lock:
            return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child; returns at once (see `await_ready`)."""
        self._thread.start()

    def await_ready(self, timeout_s: float) -> None:
        """Return when the child is ready.

        Raises:
            EngineError: not ready in time, or it crashed again and again; the message ends with its last log lines.
        """
        deadline = time.monotonic() + timeout_s
        missing: str | None = "not started"
        while time.monotonic() < deadline:
            if not self._thread.is_alive():
                raise EngineError(
                    "child_failed", f"{self.spec.name} does not start: {self._error or self.log_tail()}", "see its log"
                )
            missing = self.spec.ready() if self.pid is not None else "not started"
            if missing is None:
                self._was_ready = True
                return
            time.sleep(POLL_S)
        raise EngineError(
            "child_not_ready",
            f"{self.spec.name} is not ready after {timeout_s:g} s: {missing}\n{self.log_tail()}",
            f"see {self.spec.log}",
        )

    def request_stop(self) -> None:
        """Ask the child to end (SIGTERM) and do not start it again; returns at once."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def finish_stop(self, timeout_s: float) -> None:
        """Wait for the end asked for, and enforce it with SIGKILL after `timeout_s`."""
        self._thread.join(timeout_s)
        self._signal(signal.SIGKILL)
        self._thread.join()

    def stop(self, timeout_s: float) -> None:
        """End the child and everything in its process group."""
        self.request_stop()
        self.finish_stop(timeout_s)

    def log_tail(self) -> str:
        """Return the end of the child's log."""
        try:
            return self.spec.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"

    def _run(self) -> None:
        """Start and wait, again and again; the last incarnation is over when this returns."""
        back_off_s = FIRST_BACK_OFF_S
        try:
            while not self._stopping.is_set():
                begun = time.monotonic()
                self._run_once()
                if self._stopping.is_set():
                    return
                self.crashes += 1
                if not self._was_ready and self.crashes >= STARTS_BEFORE_GIVING_UP:
                    return
                if time.monotonic() - begun >= HEALTHY_AFTER_S:
                    back_off_s = FIRST_BACK_OFF_S
                self._stopping.wait(back_off_s)
                back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S)
        except OSError as error:
            self._error = error

    def _run_once(self) -> None:
        with self.spec.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), *self.spec.argv],
                env=dict(self.spec.env),
                cwd=self.spec.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        with self._lock:
            self._process = process
        self.starts += 1
        if self._stopping.is_set():  # asked between the check and the start
            process.terminate()
        self.spec.on_start(self.spec.name, process.pid)
        process.wait()
        with self._lock:
            self._process = None
        # What the child itself started must not outlive it.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if self._process is not None and self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)


def stop_all(children: Sequence[Child], timeout_s: float) -> None:
    """End the children side by side within `timeout_s`."""
    for child in children:
        child.request_stop()
    deadline = time.monotonic() + timeout_s
    for child in children:
        child.finish_stop(max(0.0, deadline - time.monotonic()))
