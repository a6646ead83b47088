"""Wait until everything that has been published is counted, judged and stored; by positions, never by sleeping a guess."""

import time
from collections.abc import Callable, Mapping

from deploy.positions import READERS, SINK_TOPICS, Positions
from schemas.errors import UnavailableError
from schemas.topics import (
    ALARMS,
    GROUP_GATE,
    GROUP_JUDGE,
    GROUP_TALLY,
    HISTORY,
    IMMEDIATE,
    READINGS,
    REJECTED,
    SOURCES,
    TALLIES,
    sink_group,
)

POLL_S = 0.2
Tell = Callable[[str], None]


class _Wait:
    def __init__(self, positions: Positions, deadline: float, tell: Tell) -> None:
        self.positions = positions
        self._deadline = deadline
        self._tell = tell
        self._said = ""

    def until(self, missing: Callable[[], str]) -> None:
        """Poll until `missing` returns "", and say what it waits for whenever that changes."""
        while why := missing():
            if time.monotonic() > self._deadline:
                raise UnavailableError(
                    "not_settled",
                    f"still waiting for {why}",
                    "see `barometer doctor` and the logs",
                )
            if why != self._said:
                self._tell(why)
                self._said = why
            time.sleep(POLL_S)

    def reached(self, group: str, ends: Mapping[tuple[str, int], int]) -> None:
        """Wait until a group has committed all of `ends`."""

        def missing() -> str:
            behind = {
                f"{one.topic}-{one.partition}": ends[one.topic, one.partition] - one.offset
                for one in self.positions.of(group)
                if (one.topic, one.partition) in ends and one.offset < ends[one.topic, one.partition]
            }
            return f"{group}: {sum(behind.values())} records in {len(behind)} partitions" if behind else ""

        self.until(missing)


def settle(
    bootstrap: str,
    prefix: str,
    *,
    timeout_s: float,
    tell: Tell = lambda _: None,
    unsent: Callable[[], str] = lambda: "",
) -> int:
    """Return a pane whose readings are stored, once all that stood in the topics at the call is admitted, counted, judged, stored.

    `unsent` says what was accepted and is not yet in the topics, "" when that is nothing. `tell` hears what is waited for.
    Raises UnavailableError after `timeout_s`.
    """
    with Positions(bootstrap, prefix) as positions:
        wait = _Wait(positions, time.monotonic() + timeout_s, tell)
        wait.until(unsent)
        wait.reached(GROUP_GATE, positions.ends([HISTORY]))
        sources = positions.ends(SOURCES)
        wait.reached(sink_group("feedback_events"), sources)
        wait.reached(GROUP_TALLY, sources)
        pane = max(int(one.metadata.get("to", 0)) for one in positions.of(GROUP_TALLY))

        def judged() -> int:
            return int(positions.of(GROUP_JUDGE)[0].metadata.get("pane") or 0)

        wait.until(lambda: "" if judged() >= pane else f"{GROUP_JUDGE}: pane {pane}, now at {judged()}")
        stored = judged()  # before the ends are asked: what later panes write is not waited for
        ends = positions.ends([READINGS, ALARMS, IMMEDIATE, REJECTED, TALLIES])
        for table in SINK_TOPICS:
            if table != "feedback_events":
                wait.reached(sink_group(table), ends)
        return stored


def events_stored(
    bootstrap: str, prefix: str, *, timeout_s: float, tell: Tell = lambda _: None
) -> dict[str, dict[int, int]]:
    """Return topic -> partition -> offset of the ends that stood at the call, once all events before them are rows.

    `tell` hears what is waited for. Raises UnavailableError after `timeout_s`.
    """
    with Positions(bootstrap, prefix) as positions:
        wait = _Wait(positions, time.monotonic() + timeout_s, tell)
        passed = positions.ends([HISTORY])
        wait.reached(GROUP_GATE, passed)
        sources = positions.ends(SOURCES)
        wait.reached(sink_group("feedback_events"), sources)
    out: dict[str, dict[int, int]] = {}
    for (topic, partition), end in sorted((passed | sources).items()):
        out.setdefault(topic, {})[partition] = end
    return out


def lags(positions: Positions) -> dict[str, int]:
    """Return group -> records not yet done."""
    return {group: sum(one.lag for one in positions.of(group)) for group in READERS}
