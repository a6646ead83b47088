"""The sink's hand on the keyring: it opens what the edge sealed, so that readers who may see texts see them, and seals raw bytes.

A text whose key was destroyed becomes an empty one: its row stands and counts. A text that its key does not open stays sealed in its
row, and is said. A key that was never known here stops the process: it looks into another keyring than the gateway.
"""

import logging
import os
from collections.abc import Callable

from schemas.clock import Clock
from schemas.errors import UndecodableError
from schemas.keyring import Keyring, day_of
from schemas.sealing import NONCE_BYTES, open_content, seal_raw
from schemas.settings import Settings, keyring_path
from schemas.windows import DAY_MS
from sinks.rows import Record, Rows

KEPT_DAYS = 7
"""How many whole days behind its own the key of a day lives, and with it the raw bytes of what was rejected then."""
log = logging.getLogger(__name__)


class Seals:
    """Open rows and seal rejections with one keyring; `random(n)` gives n bytes fit for nonces."""

    def __init__(self, keyring: Keyring, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._keyring = keyring
        self._random = random

    def open(self, rows: Rows) -> None:
        """Put texts and attributes into rows of events in place of what was sealed. Raises ContractError `unknown_data_key`."""
        columns = rows.columns
        sealed = columns.pop("text_ciphertext", None)
        if sealed is None:
            return
        key_ids, event_ids = columns["data_key_id"], columns["event_id"]
        keys = self._keyring.keys(key_id for key_id, one in zip(key_ids, sealed, strict=True) if one)
        texts = columns.get("text") or [""] * len(sealed)
        attributes = columns.get("attributes") or [{} for _ in sealed]
        broken = []
        for at, one in enumerate(sealed):
            if not one:
                continue
            key = keys[key_ids[at]]
            if key is None:
                continue
            try:
                content = open_content(key, one, event_ids[at])
            except UndecodableError as error:
                log.error("event %s: %s", event_ids[at], error)
                broken.append(at)
                continue
            if content.text:
                texts[at] = content.text
            if content.attributes:
                attributes[at] = attributes[at] | content.attributes
        if any(texts):
            columns["text"] = texts
        if any(attributes):
            columns["attributes"] = attributes
        if broken:
            kept = set(broken)
            columns["text_ciphertext"] = [one if at in kept else b"" for at, one in enumerate(sealed)]

    def rejected(self, record: Record) -> Record:
        """Return a rejection with its bytes sealed under the key of today."""
        key_id, key = self._keyring.key_of_today()
        nonce = self._random(NONCE_BYTES)
        return record | {"raw": seal_raw(key_id, key, record["raw"], record["rejected_id"], nonce)}

    def destroy_old_days(self, now_ms: int) -> list[str]:
        """Destroy the keys of days that ended KEPT_DAYS or more before; return their ids."""
        return self._keyring.destroy_days_before(day_of(now_ms - KEPT_DAYS * DAY_MS))


def seals_of(settings: Settings, clock: Clock) -> Seals:
    """Return the seals of the settings; the keyring is opened when the first is needed."""
    return Seals(Keyring(keyring_path(settings), clock=clock))
