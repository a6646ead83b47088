"""What stage 1 believes of a committed offset."""

import pytest
from aiokafka import TopicPartition

from schemas.errors import ContractError
from streams.core.tally import TallyState
from streams.tallying import state_of

PARTITION = TopicPartition("feedback.card.v1", 2)


def test_a_position_says_where_its_partition_was_left():
    metadata = '{"to":20000,"arrived":19999,"topic_id":"id"}'
    assert TallyState(to=20_000, arrived=19_999, next_offset=7) == state_of(PARTITION, 7, metadata, "id")


@pytest.mark.parametrize(
    "metadata", ["", "{", "{}", '{"to":1,"arrived":2}', '{"to":"1","arrived":2,"topic_id":"id"}', "null"]
)
def test_a_position_without_its_meaning_is_refused(metadata):
    with pytest.raises(ContractError, match="bad_position"):
        state_of(PARTITION, 7, metadata, "id")


def test_a_position_in_a_topic_that_was_created_anew_is_refused():
    with pytest.raises(ContractError, match="topic_recreated"):
        state_of(PARTITION, 7, '{"to":20000,"arrived":19999,"topic_id":"old"}', "new")
