"""Erase a person: destroy the keys, wait until what was under way is stored, empty what can be read, and write a signed receipt.

Each step may be done again, so an erasure that was cut short is begun anew and ends the same. What a second run could not see any
more (how much could be read) is noted in a file beside the receipts before it is cleared.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from clickhouse_driver import Client

from deploy.settle import events_stored
from deploy.subject_receipt import KEPT, ErasedKey, Receipt, signed
from schemas.clock import Clock
from schemas.errors import ContractError, UnavailableError
from schemas.keyring import Keyring, owner_of_corrections
from schemas.killpoint import KillPoints
from schemas.settings import Settings, identifying
from schemas.topics import EVENT_TOPICS, REJECTED
from schemas.windows import DAY_MS
from sinks import erasing

FOLDER = "erasures"
POLL_S = 0.5
PASSES = 5
Tell = Callable[[str], None]


class Noted(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure found before it cleared it."""

    readable: int = 0
    newest_unsealed_ms: int = 0


class Erasure:
    """One erasure of the person behind `pseudonyms`; begun again, it goes on. `tell` hears what it does."""

    def __init__(
        self,
        settings: Settings,
        pseudonyms: Sequence[str],
        *,
        client: Client,
        keyring: Keyring,
        clock: Clock,
        exactly: bool = False,
        timeout_s: float = 1_200.0,
        tell: Tell = lambda _: None,
    ) -> None:
        self._settings = settings
        self._pseudonyms = sorted(set(pseudonyms))
        self._client = client
        self._keyring = keyring
        self._clock = clock
        self._exactly = exactly
        self._timeout_s = timeout_s
        self._tell = tell
        self._kill = KillPoints(settings.kill_point)
        self._hidden = sorted(identifying(settings))
        self._name = hashlib.sha256(repr((self._pseudonyms, exactly)).encode()).hexdigest()[:16]
        self._folder = Path(settings.data_dir) / FOLDER

    def run(self) -> Path:
        """Return the file of the signed receipt. Raises UnavailableError where Kafka, ClickHouse or a sink does not answer."""
        person, owners, offsets = self._destroyed()
        spared = self._keyring.living(owners)  # of events that came after: the person writes again
        noted = self._noted(erasing.held(self._client, person, self._hidden, spared))
        self._kill.reached("erase.before_clear")
        self._clear(person, spared)
        self._kill.reached("erase.after_clear")
        left = erasing.held(self._client, person, self._hidden, spared)
        if left.readable:
            raise ContractError(
                "still_readable", f"{left.readable} of {left.rows} rows can still be read",
                "is another program writing into feedback_events? erase again",
            )  # fmt: skip
        now = self._clock()
        until = noted.newest_unsealed_ms and noted.newest_unsealed_ms + max(one.retention_ms for one in EVENT_TOPICS)
        receipt = Receipt(
            made_at=_said(now),
            pseudonyms=person,
            keys_destroyed=[
                ErasedKey(id=one.id, made_ms=one.made_ms, destroyed_ms=one.destroyed_ms)
                for one in sorted(self._keyring.tombstones(owners), key=lambda one: (one.destroyed_ms, one.id))
            ],
            rows=left.rows,
            rows_cleared=noted.readable,
            rows_readable=left.readable,
            offsets={topic: {str(at): end for at, end in ends.items()} for topic, ends in offsets.items()},
            unsealed_in_kafka_until=_said(until) if until > now else None,
            rejected_until=_said(now + REJECTED.retention_ms + DAY_MS),
            kept=list(KEPT),
        )
        self._kill.reached("erase.before_receipt")
        path = self._folder / f"{_said(now).replace(':', '')}-{self._name}.json"
        _write(path, signed(receipt, self._keyring.signing_key()))
        self._note().unlink(missing_ok=True)
        return path

    def _destroyed(self) -> tuple[list[str], list[str], dict[str, dict[int, int]]]:
        """Return the person's pseudonyms, the owners of the keys, and the ends before which everything is stored.

        What is stored meanwhile may name more pseudonyms, and corrections of events that were not known: then once more.
        """
        destroyed: set[str] = set()
        offsets: dict[str, dict[int, int]] = {}
        for _ in range(PASSES):
            person = erasing.person_of(self._client, self._pseudonyms, exactly=self._exactly)
            ids = erasing.event_ids(self._client, person)
            owners = [*person, *(owner_of_corrections(one) for one in ids)]
            new = [one for one in owners if one not in destroyed]
            if destroyed and not new:
                return person, owners, offsets
            stones = self._keyring.destroy_subjects(new)  # what is made after this is of events that come later
            destroyed.update(new)
            self._tell(f"{len(person)} pseudonyms, {len(ids)} events; {len(stones)} keys are destroyed")
            self._kill.reached("erase.after_destroy")
            offsets = events_stored(
                self._settings.kafka_bootstrap, self._settings.topic_prefix, timeout_s=self._timeout_s, tell=self._tell
            )
        raise UnavailableError(
            "person_grows",
            f"after {PASSES} passes events still name new pseudonyms",
            "erase again when fewer events come",
        )

    def _clear(self, person: Sequence[str], spared: Sequence[str]) -> None:
        """Empty the rows of a person, and wait until the parts that held them have left the disk."""
        deadline = time.monotonic() + self._timeout_s
        if erasing.held(self._client, person, self._hidden, spared).readable:
            erasing.clear(self._client, person, self._hidden, spared)
        while parts := erasing.pending(self._client):
            self._wait(deadline, f"{parts} parts of feedback_events to be rewritten")
        replaced = erasing.replaced_parts(self._client)
        while left := replaced & erasing.replaced_parts(self._client):
            erasing.wake_cleanup(self._client)
            self._wait(deadline, f"{len(left)} replaced parts to leave the disk")

    def _wait(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise UnavailableError("not_cleared", f"still waiting for {what}", "see ClickHouse's log, and erase again")
        self._tell(f"waiting for {what}")
        time.sleep(POLL_S)

    def _note(self) -> Path:
        return self._folder / f"{self._name}.open"

    def _noted(self, found: erasing.Held) -> Noted:
        """Return what was found, now or by a run that was cut short, and keep it until the receipt stands."""
        path = self._note()
        before = msgspec.json.decode(path.read_bytes(), type=Noted) if path.exists() else Noted()
        noted = Noted(
            readable=max(before.readable, found.readable),
            newest_unsealed_ms=max(before.newest_unsealed_ms, found.newest_unsealed_ms or 0),
        )
        _write(path, msgspec.json.encode(noted))
        return noted


def _said(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads: a crash leaves the old one or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(0o600)
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
