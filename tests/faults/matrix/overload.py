"""More than the rest can take: ClickHouse behind a thin line and a tally that is held, under five times the usual load."""

import os
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from random import Random

import httpx
import msgspec

from deploy.positions import Positions
from schemas.topics import GROUP_TALLY, sink_group
from tests.faults.fault import Scene, fault
from tests.faults.ledger import ACCEPTED, UNKNOWN
from tests.faults.load import SHOPS, event

BATCH = 200
RATE_PER_S = 800
HELD_S, RUNS_S = 0.9, 0.1
BEHIND = (GROUP_TALLY, sink_group("feedback_events"))
HONEST = {ACCEPTED, 429, 503}


class Push(threading.Thread):
    """Sends so many events a second, each batch again until it is taken; `codes` counts the answers."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self.codes: Counter[int] = Counter()
        self._scene, self._ended, self._rng = scene, threading.Event(), Random(scene.rng.random())

    def run(self) -> None:
        """Send until stopped."""
        began, batches = time.monotonic(), 0
        with self._scene.client() as client:
            while not self._ended.wait(max(0.0, began + batches * BATCH / RATE_PER_S - time.monotonic())):
                batches += 1
                events = [event(self._rng, self._rng.choice(SHOPS), 0.1, old=False) for _ in range(BATCH)]
                while self._sent(client, events) != ACCEPTED:
                    time.sleep(0.5)

    def end(self) -> None:
        """Stop when the batch under way is taken."""
        self._ended.set()
        self.join()

    def _sent(self, client: httpx.Client, events: list[dict[str, object]]) -> int:
        ledger, body = self._scene.ledger, msgspec.json.encode(events)
        number, code = ledger.sending(body), UNKNOWN
        with suppress(httpx.TransportError):
            code = client.post("/v1/feedback", content=body).status_code
        ledger.answered(number, code, [str(one["id"]) for one in events])
        self.codes[code] += 1
        return code


def _behind(positions: Positions) -> int:
    """Return the records that the slower of both readers still has before it."""
    return max(sum(one.lag for one in positions.of(group)) for group in BEHIND)


@fault(30, f"overload: {RATE_PER_S} events a second, ClickHouse behind 20 kB/s, the tally held nine tenths of the time; then free",
       proofs=("the lag grew", "drained at 3 times the rate of arrival"), limit_s=90.0, at_random=False)  # fmt: skip
def overload(scene: Scene) -> None:
    ground, push = scene.ground, Push(scene)
    push.start()
    ground.store_link.add("bandwidth", rate=20)
    ends = time.monotonic() + scene.lasting(30.0, 300.0)
    try:
        while time.monotonic() < ends:
            pid = ground.child("tally").pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
            time.sleep(HELD_S)
            os.kill(pid, signal.SIGCONT)
            time.sleep(RUNS_S)
    finally:
        ground.store_link.mend()
    behind, arrived, began = _behind(scene.positions), len(scene.ledger.acked), time.monotonic()
    scene.hit("the lag grew", int(behind > 10 * RATE_PER_S))
    try:
        scene.until(lambda: _behind(scene.positions) < RATE_PER_S, "end of the backlog", 120.0)
    finally:
        push.end()
    took_s = time.monotonic() - began
    arrived = len(scene.ledger.acked) - arrived
    scene.notes.append(
        f"{behind} records behind; gone in {took_s:.1f} s, {(behind + arrived) / took_s:.0f} a second while {arrived / took_s:.0f} came"
    )
    scene.hit("drained at 3 times the rate of arrival", int(behind + arrived >= 3 * arrived))
    if set(push.codes) - HONEST:
        scene.wrong(f"answers {dict(push.codes)}")
