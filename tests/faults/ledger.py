"""What was sent and what was answered: a line in a file before each send and one after each answer, both on the disk first.

A send without an answer is `unknown`: its events may stand in the store once, or not at all.
"""

import json
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from schemas.clock import Clock, system_clock

ACCEPTED, ALL_REJECTED = 202, 422
UNKNOWN = 0


def fingerprint(event: dict[str, Any]) -> tuple[str, str, int, tuple[float, ...]]:
    """Return what of an event must stand in its row: channel, place, time (ms), scores."""
    return (
        event["channel"], event["touchpoint"], event["occurred_at"],
        tuple(float(one["score"]) for one in event.get("answers", ())),
    )  # fmt: skip


@dataclass
class Sent:
    """What the ledger says of all events. `accepted`: one answer of several was 2xx, which binds for ever."""

    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    prints: dict[str, tuple[str, str, int, tuple[float, ...]]] = field(default_factory=dict)


class Ledger:
    """An append-only file of sends and answers; safe from several threads."""

    def __init__(self, file: Path, clock: Clock = system_clock) -> None:
        self.file = file
        self._clock = clock
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._stream = file.open("ab")
        self._number = 0
        self.sends = self.unanswered = self.unknowns = self.refusals = 0
        self.acked: set[str] = set()

    def sending(self, body: bytes) -> int:
        """Write down that these events are about to be sent; return the number of the send."""
        events = json.loads(body)
        with self._lock:
            self._number += 1
            self.sends += 1
            self.unanswered += 1
            self._write({"send": self._number, "events": events if isinstance(events, list) else [events]})
            return self._number

    def answered(self, number: int, code: int, ids: Iterable[str] = (), refused: Sequence[str] = ()) -> None:
        """Write down the answer to a send (0: none came); `refused`: ids that a 2xx refused."""
        with self._lock:
            self._write({"answer": number, "code": code, "refused": list(refused)})
            self.unanswered -= 1
            self.unknowns += code == UNKNOWN
            self.refusals += 400 <= code < 500
            if code == ACCEPTED:
                self.acked.update(set(ids) - set(refused))

    def later(self, ids: Collection[str]) -> None:
        """Write down events that were refused once and taken later, by another door."""
        with self.file.open("rb") as stream:
            sends = [msgspec.json.decode(line).get("events", []) for line in stream]
        found = {one["id"]: one for events in sends for one in events if one["id"] in ids}
        self.taken(found, found.values())

    def taken(self, ids: Iterable[str], events: Iterable[dict[str, Any]]) -> None:
        """Write down events that went in by another door (a file, the topic) and were taken."""
        with self._lock:
            self._number += 1
            self._write({"send": self._number, "events": list(events)})
            self._write({"answer": self._number, "code": ACCEPTED, "refused": []})
            self.acked.update(ids)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._stream.write(msgspec.json.encode({"t": self._clock(), **line}) + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())


def read(file: Path) -> Sent:
    """Return what a ledger says; a last line cut in two was not yet sent."""
    out, open_sends = Sent(), {}
    doubtful: set[str] = set()
    with file.open("rb") as stream:
        for raw in stream:
            if not raw.endswith(b"\n"):
                break
            line = msgspec.json.decode(raw)
            if "send" in line:
                open_sends[line["send"]] = [one["id"] for one in line["events"]]
                out.prints.update({one["id"]: fingerprint(one) for one in line["events"]})
                continue
            ids, refused = open_sends.pop(line["answer"]), set(line["refused"])
            if line["code"] == ACCEPTED:
                out.accepted.update(set(ids) - refused)
                out.refused |= refused
            elif 400 <= line["code"] < 500 and line["code"] != 429:
                out.refused.update(ids)
            elif line["code"] != 429:  # a 503 says "not sure to be durable", not "nowhere"
                doubtful.update(ids)
    doubtful.update(one for ids in open_sends.values() for one in ids)
    out.unknown = doubtful - out.accepted
    out.refused -= out.accepted | out.unknown
    return out
