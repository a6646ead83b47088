"""The partition of a key is the one that every Kafka client computes."""

from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as reference

from producers.partitioning import murmur2, partition_of


@given(st.binary(max_size=80))
def test_the_hash_equals_the_clients(key: bytes) -> None:
    assert reference(key) == murmur2(key)


@given(st.binary(max_size=80), st.integers(1, 64))
def test_a_partition_is_one_of_the_topic(key: bytes, partitions: int) -> None:
    assert (reference(key) & 0x7FFFFFFF) % partitions == partition_of(key, partitions)
