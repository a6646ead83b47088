"""Codes of words, and rows by number, against dictionaries and lists."""

import random

import numpy as np
import pytest

from streams.core.recall import index
from streams.core.recall.index import Index
from streams.core.recall.rows import Rows


@pytest.mark.parametrize("bits", [1, 14])
def test_codes_are_those_of_a_dictionary_whatever_the_batches(monkeypatch, bits):
    monkeypatch.setattr(index, "_LEAST_BITS", bits)
    dice = random.Random(bits)
    table, known = Index(3_000), {}
    for _ in range(200):
        # few values on either side: many words share one, and many are equal
        batch = [(dice.randrange(60), dice.randrange(60)) for _ in range(dice.choice((0, 1, 2, 60)))]
        codes = table.codes_of(np.array(batch, dtype=np.uint64).reshape(-1, 2)).tolist()
        for word, code in zip(batch, codes, strict=True):
            assert code == known.setdefault(word, code)
    assert sorted(known.values()) == list(range(len(table)))
    assert [known[tuple(word)] for word in table.words.tolist()] == list(range(len(table)))


def test_there_is_room_for_the_words_promised():
    for words in (0, 1, 2, 5_000):
        table = Index(words)
        assert table.room >= 2 * words
        rows = np.arange(2 * table.room, dtype=np.uint64).reshape(-1, 2)
        assert np.arange(len(rows)).tolist() == sorted(table.codes_of(rows).tolist())
        assert table.room == 0


def test_rows_keep_their_numbers_and_what_is_old_needs_no_memory():
    dice = random.Random(1)
    rows, every, now = Rows(arrived=np.int64, name=np.object_), [], 0
    for _ in range(400):
        batch = [(now := now + dice.randrange(3), f"row {dice.random()}") for _ in range(dice.randrange(20))]
        numbers = rows.coming(len(batch)).tolist()
        assert numbers == list(range(len(every), len(every) + len(batch)))
        every += batch
        arrived, names = np.array([one for one, _ in batch], np.int64), np.array([one for _, one in batch], np.object_)
        rows.add(now - 100, arrived=arrived, name=names)
        assert every[rows.first :] == list(zip(rows["arrived"].tolist(), rows["name"].tolist(), strict=True))
        assert rows.first == 0 or every[rows.first - 1][0] < now - 100
        assert len(rows) < 400
    assert len(every) > 3_000
