"""Words stand for texts: the same for the same text, whatever stands beside it in its batch, and for no other."""

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.recall.words import hashed_words, joined_words, words_of

HEX = "0123456789abcdef" * 2
UUID = f"{HEX[:8]}-{HEX[8:12]}-{HEX[12:16]}-{HEX[16:20]}-{HEX[20:]}"
TEXTS = (
    HEX, HEX[::-1], "0" * 32, UUID, UUID.replace("0", "9"), UUID.upper(), HEX.upper(), "g" * 32, "g" + UUID[1:], "ann",
    "é", "é" * 16, "-" * 32, "-" * 36, UUID[:8] + "0" + UUID[9:], UUID[:35] + "-", " " + HEX[1:], HEX[:-1] + "\n", "\x00", HEX + " ",
)  # fmt: skip


def pairs_of(column):
    known, words = words_of(column)
    assert not words[~known].any()
    return [tuple(pair) if held else None for held, pair in zip(known.tolist(), words.tolist(), strict=True)]


ALONE = {text: pairs_of(pl.Series([text]))[0] for text in TEXTS}


def test_different_texts_have_different_words():
    assert len({*ALONE.values()}) == len(TEXTS)
    assert None not in ALONE.values()


@given(st.lists(st.sampled_from([None, "", *TEXTS])), st.integers(0, 5))
@settings(deadline=None)
def test_words_do_not_depend_on_the_rest_of_the_column(texts, start):
    column = pl.Series(texts, dtype=pl.String)[start:]
    assert [ALONE[text] if text else None for text in texts[start:]] == pairs_of(column)


def test_pseudonyms_and_uuids_of_a_batch_stand_for_themselves():
    names = [f"{number:032x}" for number in range(300)]
    assert [bytes.fromhex(name) for name in names] == [row.tobytes() for row in words_of(pl.Series(names))[1]]
    uuids = [f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}" for name in names]
    assert len({*pairs_of(pl.Series(uuids)), *pairs_of(pl.Series(names))}) == 600


def test_pairs_of_words_are_told_apart_also_where_both_sides_are_equal():
    words = hashed_words(TEXTS)
    pairs = [tuple(joined_words(left, right).tolist()) for left in words for right in words]
    assert len({*pairs}) == len(TEXTS) ** 2
