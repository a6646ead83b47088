"""What a person wrote leaves this process sealed under that person's own key; what was refused, under the key of the day.

To destroy the key is to erase every copy: on the topics, in the store, in the spool. Only events that name a person can be asked
for by one, so only they are sealed; a correction that names nobody is sealed under a key of the event that it corrects.
"""

import os
from collections.abc import Callable, Sequence

import msgspec

from schemas.catalogue import Catalogue
from schemas.clock import Clock
from schemas.errors import SettingsError
from schemas.event import FeedbackEvent
from schemas.keyring import Keyring, owner_of_corrections
from schemas.sealing import NONCE_BYTES, Content, seal_content, seal_raw
from schemas.settings import Settings, identifying, keyring_path

_ATTRIBUTE = "attr."


class Sealer:
    """Seal what names or quotes a person; `identifying`: names of attributes, in lower case; `random(n)` gives n bytes."""

    def __init__(
        self, keyring: Keyring, *, identifying: frozenset[str], random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._keyring = keyring
        self._identifying = identifying
        self._random = random

    def events(self, events: Sequence[FeedbackEvent]) -> list[FeedbackEvent]:
        """Return events with text and identifying attributes sealed; new keys are durable, all at once, when this returns.

        Raises UnavailableError while the keyring is held by another process.
        """
        owners = [self._owner(event) for event in events]
        wanted = {owner for owner in owners if owner is not None}
        if not wanted:
            return list(events)
        keys = self._keyring.keys_of_subjects(wanted)
        nonces = self._random(NONCE_BYTES * len(events))
        out = []
        for at, (event, owner) in enumerate(zip(events, owners, strict=True)):
            if owner is None:
                out.append(event)
                continue
            key_id, key = keys[owner]
            hidden = {name: value for name, value in event.attributes.items() if name.lower() in self._identifying}
            shown = event.attributes
            if hidden:
                shown = {name: value for name, value in shown.items() if name not in hidden}
            nonce = nonces[NONCE_BYTES * at : NONCE_BYTES * (at + 1)]
            sealed = seal_content(key, Content(event.text, hidden), event.event_id, nonce)
            out.append(
                msgspec.structs.replace(event, text=None, attributes=shown, text_ciphertext=sealed, data_key_id=key_id)
            )
        return out

    def _owner(self, event: FeedbackEvent) -> str | None:
        """Return whose key seals an event; None: it has nothing to seal, or names nobody."""
        if event.text is None and not any(name.lower() in self._identifying for name in event.attributes):
            return None
        if event.subject is None and event.corrects is not None:
            return owner_of_corrections(event.corrects)
        return event.subject

    def check(self) -> None:
        """Raise ContractError or UnavailableError unless the keyring can be read and written."""
        self._keyring.key_of_today()

    def raw(self, raw: bytes, rejected_id: str) -> bytes:
        """Return the bytes of a refused input sealed under the key of today. Raises UnavailableError."""
        key_id, key = self._keyring.key_of_today()
        return seal_raw(key_id, key, raw, rejected_id, self._random(NONCE_BYTES))


def sealer_of(settings: Settings, catalogue: Catalogue, clock: Clock) -> Sealer:
    """Return the sealer of the settings. Raises SettingsError if metrics count by an attribute that would be sealed."""
    hidden = identifying(settings)
    for metric in catalogue.metric:
        for dimension in metric.dimensions:
            for one in dimension.split("+"):
                if one.startswith(_ATTRIBUTE) and one.removeprefix(_ATTRIBUTE).lower() in hidden:
                    raise SettingsError(
                        "identifying_dimension",
                        f"metric {metric.name} counts by {one}, which identifying_attributes seals as it names a person",
                        "count by another attribute, or take the name out of BAROMETER_IDENTIFYING_ATTRIBUTES",
                    )
    return Sealer(Keyring(keyring_path(settings), clock=clock), identifying=hidden)
