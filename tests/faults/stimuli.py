"""What makes the rarer named points come up in a campaign of kills: a broker that goes away for a moment, rows that the store refuses.

Threads beside the load, each until `stop`.
"""

import threading
from random import Random

import httpx
import msgspec

from sinks import clickhouse
from tests.faults.ground import Ground
from tests.faults.ledger import ACCEPTED, UNKNOWN
from tests.faults.load import event

MARK = "deadbeef"
CONSTRAINT = "planted"
AWAY_S = 2.0
BETWEEN_S = 9.0
REFUSED_EVERY_S = 3.0
GATEWAY_POINTS = frozenset({"gateway.after_spool", "spool.before_delete"})
SINK_POINTS = frozenset({"sink.mid_bisection"})
BY_HAND = frozenset({"judge.before_exclusion"})
"""Points that no campaign reaches: they want a source that falls silent each time (see matrix/exclusion.py)."""


def plant(ground: Ground) -> None:
    """Have the store refuse every row whose id begins with MARK."""
    with clickhouse.connect(ground.direct) as client:
        client.execute(
            f"ALTER TABLE feedback_events ADD CONSTRAINT {CONSTRAINT} CHECK NOT startsWith(event_id, '{MARK}')"
        )


def unplant(ground: Ground) -> None:
    """Take that back."""
    with clickhouse.connect(ground.direct) as client:
        client.execute(f"ALTER TABLE feedback_events DROP CONSTRAINT IF EXISTS {CONSTRAINT}")


class Stimuli:
    """The threads; `start` and `stop` them. A named point that is not among `points` gets none."""

    def __init__(self, ground: Ground, points: frozenset[str], seed: int) -> None:
        self._ground, self._seed = ground, seed
        self._stop = threading.Event()
        self._enough = {"gateway": threading.Event(), "sink": threading.Event()}
        self._refusing = bool(points & SINK_POINTS)
        self._threads = []
        if points & GATEWAY_POINTS:
            self._threads.append(threading.Thread(target=self._away, daemon=True))
        if self._refusing:
            self._threads.append(threading.Thread(target=self._refused, daemon=True))

    def start(self) -> None:
        """Begin."""
        if self._refusing:
            plant(self._ground)
        for one in self._threads:
            one.start()

    def enough(self, process: str) -> None:
        """End what only the points of this process want, so that the others get on with their work."""
        if process in self._enough:
            self._enough[process].set()

    def stop(self) -> None:
        """End, with the broker reachable. What the store refused is set aside by then or later: `lift` after settling."""
        self._stop.set()
        for one in self._threads:
            one.join()

    def lift(self) -> None:
        """Let the store take everything again; once nothing is under way, so that each marked row met the same answer."""
        if self._refusing:
            unplant(self._ground)

    def _away(self) -> None:
        while not (self._stop.wait(BETWEEN_S) or self._enough["gateway"].is_set()):
            self._ground.broker_link.cut()
            self._stop.wait(AWAY_S)
            self._ground.broker_link.mend()

    def _refused(self) -> None:
        rng, ledger = Random(f"refused {self._seed}"), self._ground.ledger
        found = self._ground.stack.endpoints
        headers = {"Authorization": f"Bearer {found['write_key']}"}
        while not (self._stop.wait(REFUSED_EVERY_S) or self._enough["sink"].is_set()):
            events = [event(rng, "nantes", 0.1, old=False) for _ in range(10)]
            events[3]["id"] = MARK + events[3]["id"][8:]
            body = msgspec.json.encode(events)
            number = ledger.sending(body)
            try:
                answer = httpx.post(found["gateway"] + "/v1/feedback", content=body, headers=headers, timeout=5.0)
                code = answer.status_code
            except httpx.TransportError:
                code = UNKNOWN
            ledger.answered(number, code, [one["id"] for one in events] if code == ACCEPTED else ())
