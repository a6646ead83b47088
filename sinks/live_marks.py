"""How far the sink of events has come in each live partition, and whom the gate waits for."""

import asyncio
from collections.abc import Container, Mapping, Sequence
from typing import NamedTuple

from aiokafka import TopicPartition

from schemas.readiness import Readiness
from schemas.telemetry import Telemetry
from sinks.admissions import EVENTS_GROUP
from sinks.positions import Committed, Positions
from sinks.ranges import Mark, decode_mark

WAIT_S = 0.1
PATIENCE_S = 30.0
"""How long a live partition may hold the gate back before readiness says so; one without any position says so at once."""


class Waiting(NamedTuple):
    """The live partition that holds the gate back; `reached` is None where the sink has no position yet."""

    partition: TopicPartition
    reached: int | None


def holding_back(
    wanted_ms: int, marks: Mapping[TopicPartition, Mark | None], short: Container[TopicPartition] = ()
) -> Waiting | None:
    """Return the live partition that is furthest from having passed `wanted_ms`, or None if all have and none is in `short`.

    A record that arrives in the same millisecond may still come, so the sink must be beyond it.
    """
    behind = [
        Waiting(tp, None if mark is None else mark.arrived)
        for tp, mark in marks.items()
        if mark is None or mark.arrived <= wanted_ms or tp in short
    ]
    return min(behind, key=lambda one: (-1 if one.reached is None else one.reached, one.partition), default=None)


class LiveMarks:
    """The marks of the live partitions; who is waited for stands in telemetry and, under `check`, in readiness.

    `until`: partition -> offset up to which the sink must have stored, whatever its time.
    """

    def __init__(
        self, live: Sequence[TopicPartition], prefix: str, check: str, telemetry: Telemetry, readiness: Readiness
    ) -> None:
        self._live, self._prefix, self._check = live, prefix, check
        self._telemetry, self._readiness = telemetry, readiness
        self._waits_for: TopicPartition | None = None
        self.until: dict[TopicPartition, int] = {}

    async def passed(self, wanted_ms: int, positions: Positions, stop: asyncio.Event) -> int | None:
        """Return the arrived time that the sink has reached everywhere, once it has passed `wanted_ms` and stored what stands in
        `until`; None if asked to stop before.
        """
        waited_s = 0.0
        while not stop.is_set():
            stored = await positions.of(self._prefix + EVENTS_GROUP, self._live)
            marks = {tp: decode_mark(stored[tp].metadata) if tp in stored else None for tp in self._live}
            waiting = holding_back(wanted_ms, marks, self._short(stored))
            self._say(waiting, wanted_ms, waited_s)
            if waiting is None:
                self.until.clear()
                return min(mark.arrived for mark in marks.values() if mark is not None)
            await asyncio.sleep(WAIT_S)
            waited_s += WAIT_S
        return None

    async def all_stored(self, positions: Positions) -> bool:
        """Return whether the sink has stored what stands in `until`."""
        return not self.until or not self._short(await positions.of(self._prefix + EVENTS_GROUP, self._live))

    def _short(self, stored: Mapping[TopicPartition, Committed]) -> set[TopicPartition]:
        return {tp for tp, end in self.until.items() if tp not in stored or stored[tp].offset < end}

    def _say(self, waiting: Waiting | None, wanted_ms: int, waited_s: float) -> None:
        held = None if waiting is None else waiting.partition
        if self._waits_for is not None and self._waits_for != held:
            self._telemetry.forget("gate_waiting_for_partition", **self._label(self._waits_for))
        if held is not None:
            self._telemetry.set("gate_waiting_for_partition", 1, **self._label(held))
        self._waits_for = held
        if waiting is None:
            self._readiness.ok(self._check)
        elif waiting.reached is None:
            self._readiness.fail(self._check, f"waits: the sink has no position in {_name(waiting.partition)} yet")
        elif waited_s >= PATIENCE_S:
            self._readiness.fail(
                self._check,
                f"waits: the sink has reached {waiting.reached} in {_name(waiting.partition)}, needs {wanted_ms}",
            )

    def _label(self, tp: TopicPartition) -> dict[str, str]:
        return {"topic": tp.topic.removeprefix(self._prefix), "partition": str(tp.partition)}


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"
