"""A rung against a plain dictionary: sums stay right however they are reached."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.windows import WINDOWS
from streams.core.ladder import Rung

HOUR = WINDOWS["1h"]
START = 1_000 * HOUR.bucket_ms

SPREAD = 6  # buckets between the places of a test: near ends are rolled to, far ones summed anew
counts = st.tuples(st.just("add"), st.integers(0, 24), st.integers(1, 9))
totals = st.tuples(st.just("total"), st.integers(0, 36), st.just(0))
prunings = st.tuples(st.just("prune"), st.integers(0, 12), st.just(0))
steps = st.tuples(st.lists(counts, min_size=8), st.lists(st.one_of(totals, totals, counts, prunings), min_size=8)).map(
    lambda two: two[0] + two[1]
)


@given(steps)
def test_totals_equal_a_plain_sum_after_any_steps(taken: list[tuple[str, int, int]]) -> None:
    """Ends forward and back, near and far, with counts coming in between and old buckets forgotten."""
    rung = Rung(HOUR)
    plain: dict[int, int] = {}
    for what, number, count in taken:
        at = START + number * SPREAD * HOUR.bucket_ms
        if what == "add":
            assert rung.add(at, count) == (at not in plain)
            plain[at] = plain.get(at, 0) + count
        elif what == "prune":
            rung.prune(at)
            plain = {bucket: held for bucket, held in plain.items() if bucket >= at}
        else:
            expected = sum(held for bucket, held in plain.items() if at - HOUR.length_ms <= bucket < at)
            assert rung.total(at) == expected


@given(st.dictionaries(st.integers(0, 60), st.integers(1, 9), min_size=1))
def test_rolling_forward_and_back_equals_a_plain_sum(held: dict[int, int]) -> None:
    rung = Rung(HOUR)
    for number, count in held.items():
        rung.add(START + number * HOUR.bucket_ms, count)
    for end in (*range(0, 140, 3), *range(140, 0, -4)):
        expected = sum(count for number, count in held.items() if end - 60 <= number < end)
        assert rung.total(START + end * HOUR.bucket_ms) == expected
