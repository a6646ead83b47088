"""What is seen while a fault lasts: memory of every process, and who says that it is not ready. Sampled by a thread."""

import threading
from contextlib import suppress

import psutil

from tests.faults.ground import Ground

EVERY_S = 0.5


class Watch:
    """Samples a ground from `start` to `stop`; `heard`: process -> what it last said when it was not ready."""

    def __init__(self, ground: Ground) -> None:
        self.peaks_mb: dict[str, float] = {}
        self.heard: dict[str, str] = {}
        self.spool_mb = 0.0
        self._ground = ground
        self._failed: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End. Raises what ended it early: what was not watched was not seen to be well."""
        self._stop.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def abandon(self) -> None:
        """End without a word, where the run is broken already."""
        self._stop.set()

    def _run(self) -> None:
        try:
            self._sample()
        except BaseException as error:  # told by stop
            self._failed = error

    def _sample(self) -> None:
        while not self._stop.wait(EVERY_S):
            for name in self._ground.names():
                pid = self._ground.child(name).pid
                if pid is None:
                    continue
                with suppress(psutil.Error):
                    held = psutil.Process(pid).memory_info().rss / 1e6
                    self.peaks_mb[name] = max(held, self.peaks_mb.get(name, 0.0))
            with suppress(AssertionError):  # it is between two lives
                self.spool_mb = max(self.spool_mb, self._ground.metric("gateway", "barometer_spool_bytes") / 1e6)
            self.heard |= {name: said for name, said in self._ground.unready().items() if said}
