"""What the sink of one table works with."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.clock import Clock
from schemas.killpoint import KillPoints
from schemas.readiness import Readiness
from schemas.settings import Settings
from schemas.telemetry import Telemetry
from schemas.topics import Topic
from sinks.insert import Inserter
from sinks.owner import Ownership
from sinks.seals import Seals
from sinks.tables import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the sink of one table works with; `topics`: name on the broker -> topic."""

    settings: Settings
    telemetry: Telemetry
    readiness: Readiness
    clock: Clock
    table: Table
    topics: Mapping[str, Topic]
    ownership: Ownership
    inserter: Inserter
    seals: Seals
    kill: KillPoints

    @property
    def prefix(self) -> str:
        """Return what stands before every topic and group."""
        return self.settings.topic_prefix
