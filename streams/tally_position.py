"""The meaning of an offset that stage 1 commits: where its last block ended, in which topic."""

import msgspec
from aiokafka import TopicPartition

from schemas.errors import ContractError
from streams.core.tally import TallyState


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The meaning of a committed offset: the last pane closed and the arrived time so far, of which topic."""

    to: int
    arrived: int
    topic_id: str


def state_of(tp: TopicPartition, offset: int, metadata: str, topic_id: str) -> TallyState:
    """Return where a committed offset says that a partition was left. Raises ContractError if it belongs to something else."""
    where = f"{tp.topic}-{tp.partition}"
    try:
        position = msgspec.json.decode(metadata, type=Position)
    except msgspec.DecodeError as error:
        raise ContractError(
            "bad_position", f"{where}: the committed offset says {metadata!r}", "nobody else may commit for this group"
        ) from error
    if position.topic_id != topic_id:
        raise ContractError(
            "topic_recreated",
            f"{where} was topic {position.topic_id}, now it is {topic_id}",
            "its events are gone: start a new installation with another topic_prefix",
        )
    return TallyState(to=position.to, arrived=position.arrived, next_offset=offset)


def committed_of(state: TallyState, topic_id: str) -> tuple[int, str]:
    """Return the offset and metadata to commit for what `state_of` is to return."""
    position = Position(to=state.to, arrived=state.arrived, topic_id=topic_id)
    return state.next_offset, msgspec.json.encode(position).decode()
