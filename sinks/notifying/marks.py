"""What stands beside a committed offset of the notifier: which notice is under way, and which alarms were told late."""

from collections.abc import Sequence

import msgspec

from schemas.errors import ContractError

LATE_DIGITS = 12
LATE_MOST = 200
"""Together well below what a broker takes beside an offset (4,096 bytes)."""


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Metadata of a commit, in every partition of the group at once.

    While a notice is being told, `trying` is the offset that it reaches in this partition (exclusive), and `digest` its kind.
    `late` holds the beginnings of the ids of alarms that stand open and were told late.
    """

    topic_id: str
    trying: int | None = None
    digest: bool = False
    late: tuple[str, ...] = ()


def late_names(alarm_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the beginnings of the newest ids, as many as a mark holds."""
    return tuple(sorted(one[:LATE_DIGITS] for one in alarm_ids[-LATE_MOST:]))


def encode_mark(mark: Mark) -> str:
    """Return the metadata of a commit."""
    return msgspec.json.encode(mark).decode()


def decode_mark(metadata: str) -> Mark:
    """Return the mark of a commit. Raises ContractError if no notifier has written it."""
    try:
        return msgspec.json.decode(metadata, type=Mark)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ContractError(
            "foreign_position",
            f"a committed offset of the notifier carries {metadata[:200]!r}",
            "offsets of these groups are never set by hand: delete the group; it then begins with one digest of everything",
        ) from error
