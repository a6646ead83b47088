"""What the notifier needs of a receiver, and what telling one works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.clock import Clock
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import Topic
from sinks.notifying.deliveries import Alarm, Notice
from sinks.notifying.outcomes import Chance, Outcome
from sinks.owner import Ownership


class Receiver(Protocol):
    """Somebody to tell. `keep` says once more what stands open, every `keep_every_s` (None: never)."""

    name: str
    keep_every_s: float | None

    async def tell(self, notice: Notice) -> Outcome:
        """Try once to tell."""
        ...

    async def keep(self, standing: Sequence[Alarm]) -> Outcome:
        """Say once more what stands open."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the telling of one receiver works with; `topics`: name on the broker -> topic."""

    settings: Settings
    telemetry: Telemetry
    readiness: Readiness
    clock: Clock
    chance: Chance
    receiver: Receiver
    topics: Mapping[str, Topic]
    ownership: Ownership

    @property
    def check(self) -> str:
        """Return the name of this receiver's readiness."""
        return f"notify {self.receiver.name}"

    def count(self, outcome: str, times: int = 1) -> None:
        """Count one attempt; 0 times: show the series, so that Prometheus sees its first step."""
        self.telemetry.count("notifications_total", times, receiver=self.receiver.name, outcome=outcome)
