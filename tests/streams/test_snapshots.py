"""Snapshots as records: whole or not at all."""

import random

from hypothesis import given
from hypothesis import strategies as st

from streams.snapshots import CHUNK_BYTES, Shelf, Snapshot, to_records


def snapshot(next_offset: int, size_bytes: int = 10) -> Snapshot:
    state = random.Random(next_offset).randbytes(size_bytes)
    return Snapshot(
        next_offset=next_offset, pane=1000, seq=3, tallies_topic_id="log", catalogue_hash="hash", state=state
    )  # fmt: skip


def shelf_of(records: list[tuple[bytes, bytes]]) -> Shelf:
    shelf = Shelf()
    for key, value in records:
        shelf.put(key, value)
    return shelf


def test_a_state_of_several_chunks_comes_back_as_it_was() -> None:
    for size in (0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES - 1):
        one = snapshot(5, size)
        records = to_records(one, 1)
        assert max(len(value) for _, value in records) < CHUNK_BYTES + 1000
        assert shelf_of(records).newest() == (one, 1)


def test_an_empty_topic_holds_no_snapshot() -> None:
    assert Shelf().newest() is None


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    kept=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_after_any_cut_and_compaction_the_newest_whole_snapshot_is_found(
    sizes: list[int], kept: int, seed: int
) -> None:
    """The log is cut anywhere, and compaction has removed any of the records that a later one replaces."""
    log: list[tuple[bytes, bytes]] = []
    whole: list[tuple[int, Snapshot, int]] = []
    for number, chunks in enumerate(sizes):
        one = snapshot(number + 1, chunks * CHUNK_BYTES // 64)
        log += to_records(one, number % 2)
        whole.append((len(log), one, number % 2))
    log = log[: max(0, len(log) - kept % (len(log) + 1))]
    expected = max(((end, one, slot) for end, one, slot in whole if end <= len(log)), default=None, key=lambda w: w[0])
    last = {key: at for at, (key, _) in enumerate(log)}
    dice = random.Random(seed)
    compacted = [record for at, record in enumerate(log) if last[record[0]] == at or dice.random() < 0.5]
    assert shelf_of(compacted).newest() == (expected and expected[1:])
