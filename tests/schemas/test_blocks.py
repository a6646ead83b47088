"""Cells add, and equal content is equal bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.blocks import (
    EMPTY,
    Block,
    Row,
    Series,
    cells_of,
    from_record,
    to_record,
    unpack,
)
from schemas.codec import Kind, decode_as, encode
from schemas.errors import UndecodableError

series = st.builds(
    Series,
    metric=st.sampled_from(["csat@1", "nps@2"]),
    dimension=st.sampled_from(["*", "touchpoint"]),
    key=st.sampled_from(["*", "lyon", "genève"]),
    stratum=st.sampled_from(["card", "web"]),
)
rows = st.lists(
    st.builds(
        Row,
        series=series,
        minute=st.integers(0, 5),
        bin=st.integers(0, 10),
        fresh=st.integers(0, 1),
        count=st.integers(1, 9),
        sum=st.integers(-5, 5),
    ),
    max_size=30,
)


@given(rows, st.randoms())
def test_order_and_grouping_of_rows_make_no_difference(given_rows: list[Row], random: object) -> None:
    shuffled = list(given_rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    half = len(shuffled) // 2
    regrouped = [*cells_of(shuffled[:half]).rows(), *cells_of(shuffled[half:]).rows()]
    assert cells_of(given_rows) == cells_of(regrouped)
    assert cells_of(given_rows).pack() == cells_of(shuffled).pack()


@given(rows)
def test_a_block_survives_the_wire(given_rows: list[Row]) -> None:
    block = Block(
        topic="feedback.card.v1", topic_id="id", partition=1, from_pane=0, to_pane=10, pane_ms=10, arrived_ms=9,
        next_offset=4, catalogue_hash="h", cells=cells_of(given_rows), events=3,
    )  # fmt: skip
    assert from_record(decode_as(Kind.BLOCK, encode(Kind.BLOCK, to_record(block)))) == block


def test_counts_that_cancel_vanish() -> None:
    one = Row(Series("csat@1", "*", "*", "card"), 1, 5, 1, 2, 10)
    assert cells_of([one, one._replace(count=-2, sum=-10)]) == EMPTY


def test_a_block_of_another_length_or_format_is_refused() -> None:
    with pytest.raises(UndecodableError):
        unpack([], 2, b"\x00")
    record = to_record(
        Block(topic="t", topic_id="i", partition=0, from_pane=0, to_pane=1, pane_ms=1, arrived_ms=0, next_offset=0,
              catalogue_hash="h", cells=EMPTY)
    )  # fmt: skip
    with pytest.raises(UndecodableError, match="block format 2"):
        from_record({**record, "format": 2})


def test_columns_are_little_endian_integers() -> None:
    cells = cells_of([Row(Series("m", "*", "*", "c"), 1, 2, 1, 3, 4)])
    assert cells.pack() == b"".join(
        np.array([value], dtype=kind).tobytes()
        for value, kind in (
            (0, "<i4"),
            (1, "<i4"),
            (2, "<i4"),
            (1, "<i1"),
            (3, "<i8"),
            (4, "<i8"),
        )
    )
