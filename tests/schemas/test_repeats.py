"""The repeat filter against its rule, written as a plain dictionary."""

import uuid

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.repeats import RepeatFilter, id_words

POOL = [str(uuid.UUID(int=n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)) for n in range(40)] + ["x", "y-1", "é"]
batches = st.lists(
    st.lists(st.tuples(st.sampled_from(POOL), st.integers(0, 30)), max_size=60),
    max_size=12,
)


def naive(rows: list[tuple[str, int]], window_ms: int) -> list[bool]:
    """Say which ids are first, by the rule: no earlier offset with the same id at most W before."""
    return [
        not any(other == one and at - before <= window_ms for other, before in rows[:offset])
        for offset, (one, at) in enumerate(rows)
    ]


@settings(max_examples=200)
@given(batches, st.sampled_from([0, 1, 10, 100, 10_000]))
def test_the_filter_obeys_the_rule_for_any_batches(given_batches: list[list[tuple[str, int]]], window_ms: int) -> None:
    repeat_filter = RepeatFilter(window_ms, capacity=16)
    rows: list[tuple[str, int]] = []
    found: list[bool] = []
    at = 0
    for batch in given_batches:
        here = []
        for one, step in batch:
            at += step
            here.append((one, at))
        words = id_words([one for one, _ in here])
        found += repeat_filter.first(words, np.array([t for _, t in here], dtype=np.int64)).tolist()
        rows += here
    assert found == naive(rows, window_ms)


@given(
    st.lists(st.tuples(st.sampled_from(POOL), st.integers(0, 30)), max_size=80),
    st.integers(0, 80),
)
def test_where_the_batches_are_cut_makes_no_difference(steps: list[tuple[str, int]], cut: int) -> None:
    ids = [one for one, _ in steps]
    arrived = np.cumsum([step for _, step in steps], dtype=np.int64)
    whole, parts = RepeatFilter(50, 16), RepeatFilter(50, 16)
    expected = whole.first(id_words(ids), arrived).tolist()
    found = (
        parts.first(id_words(ids[:cut]), arrived[:cut]).tolist()
        + parts.first(id_words(ids[cut:]), arrived[cut:]).tolist()
    )
    assert found == expected


def test_ids_that_count_upwards_are_spread_over_the_table() -> None:
    """A hash of few bits would make each look-up as long as the table."""
    for shift in (0, 16, 64, 80, 112):
        repeat_filter = RepeatFilter(1 << 40)
        ids = [str(uuid.UUID(int=number << shift)) for number in range(1, 20_001)]
        assert repeat_filter.first(id_words(ids), np.zeros(len(ids), dtype=np.int64)).all()
        assert repeat_filter.longest_probe < 100


def test_memory_is_given_back_when_ids_fall_out_of_the_window() -> None:
    repeat_filter = RepeatFilter(1_000)
    for start in range(0, 200_000, 1_000):
        ids = [str(uuid.UUID(int=start + i)) for i in range(1_000)]
        repeat_filter.first(id_words(ids), np.full(1_000, start * 10, dtype=np.int64))
    assert repeat_filter.bytes < 1 << 20


@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=20))
def test_an_id_has_the_same_words_in_any_company(ids: list[str]) -> None:
    alone = np.concatenate([id_words([one]) for one in ids])
    assert (id_words(ids) == alone).all()


def test_different_ids_have_different_words() -> None:
    assert len({tuple(row) for row in id_words(POOL).tolist()}) == len(POOL)
