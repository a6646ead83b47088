"""One step in the life of an alarm as the notifier reads it, and what its state means for telling."""

from datetime import UTC, datetime

import msgspec

from schemas.codec import Kind, decode_as
from schemas.errors import UndecodableError

PENDING = "pending"
RESOLVED = "resolved"
CALLING = frozenset({"open", "reopened"})
"""States that may call somebody; every other state but pending is told as information, known here or not."""
ATTENDED = frozenset({"open", "reopened", "acknowledged"})
"""States after which `open` says nothing new: it is a note on an alarm that was told."""
STANDING = ATTENDED | {"flapping"}


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an AlarmTransition that may be told; `state` is any text, so that new states need no new notifier.

    Who acted, notes and evidence are left out on purpose: people write names into them. `silenced_until` (ms) and `episode`
    are the facts of the evidence that decide how a step is told.
    """

    transition_id: str
    alarm_id: str
    sequence: int
    rule: str
    metric: str
    dimension: str
    key: str
    direction: str
    severity: str
    state: str
    pane: int
    first_pane: int
    statistic: float | None = None
    p0: float | None = None
    p1: float | None = None
    n: int = 0
    bad: int = 0
    change_pane: int | None = None
    occurred_first: int | None = None
    occurred_last: int | None = None
    event_id: str | None = None
    silenced_until: int | None = None
    episode: str | None = None
    """The alarm of the parent, which speaks for this one."""

    @property
    def silenced(self) -> bool:
        """Return whether people asked not to be called by this alarm."""
        return self.silenced_until is not None and self.silenced_until > self.pane

    @property
    def calls(self) -> bool:
        """Return whether this step may call somebody, as its severity says."""
        return self.state in CALLING and not self.silenced and self.episode is None

    @property
    def over(self) -> bool:
        """Return whether the alarm has ended with this step."""
        return self.state == RESOLVED


class _Evidence(msgspec.Struct, frozen=True):
    silenced_until: int | None = None
    episode: str | None = None


def decode_transition(value: bytes | None) -> Transition:
    """Return the transition of wire bytes. Raises UndecodableError."""
    record = decode_as(Kind.TRANSITION, value)
    try:
        evidence = msgspec.json.decode(record["evidence"], type=_Evidence)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UndecodableError("bad_evidence", f"the evidence of a transition: {error}") from error
    return msgspec.convert({**record, **msgspec.structs.asdict(evidence)}, Transition)


def instant(ms: int) -> str:
    """Return epoch milliseconds as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
