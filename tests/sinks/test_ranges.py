"""Vectors, tokens and what stands beside a committed offset."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import ContractError
from sinks.ranges import (
    METADATA_BYTES,
    VECTOR_DIGITS,
    Mark,
    Range,
    decode_mark,
    encode_mark,
    pending_vector,
    token,
    vector_hash,
)

ids = st.uuids().map(str)
ranges = st.lists(
    st.builds(Range, ids, st.integers(0, 99), st.integers(0, 2**62), st.integers(0, 2**62)),
    unique_by=lambda one: one[:2], min_size=1, max_size=24,
)  # fmt: skip


@given(ranges, st.randoms())
def test_token_does_not_depend_on_the_order_but_on_everything_else(vector: list[Range], chance) -> None:
    shuffled = chance.sample(vector, len(vector))
    assert token("t", vector) == token("t", shuffled)
    other = [vector[0]._replace(last=vector[0].last + 1), *vector[1:]]
    assert len({token("t", vector), token("u", vector), token("t", other)}) == 3


@given(ranges)
def test_a_journalled_vector_is_found_again_whole(vector: list[Range]) -> None:
    name = vector_hash(vector)[:VECTOR_DIGITS]
    marks = {
        (one.topic_id, one.partition): decode_mark(
            encode_mark(Mark(arrived=5, topic_id=one.topic_id, pending=(one.first, one.last), vector=name))
        )
        for one in vector
    }
    assert pending_vector(marks) == sorted(vector)
    if len(vector) > 1:
        del marks[vector[0].topic_id, vector[0].partition]
        with pytest.raises(ContractError):
            pending_vector(marks)


def test_longest_mark_fits_beside_an_offset() -> None:
    mark = Mark(arrived=2**62, topic_id="f" * 36, pending=(2**62, 2**62), vector="f" * VECTOR_DIGITS)
    assert len(encode_mark(mark)) < METADATA_BYTES / 10


def test_metadata_that_no_sink_wrote_is_refused() -> None:
    for text in ("", "{}", "[]", '{"arrived": "x"}'):
        with pytest.raises(ContractError):
            decode_mark(text)
