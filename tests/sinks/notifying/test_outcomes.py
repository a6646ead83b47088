"""When to try again: longer each time, never in step, and as a receiver asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.notifying.outcomes import LONGEST_RETRY_AFTER_S, LONGEST_RETRY_S, retry_after_s, retry_delay_s


def test_delays_double_up_to_a_minute_and_half_of_each_is_chance() -> None:
    assert [retry_delay_s(n, None, 1.0) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert [retry_delay_s(n, None, 0.0) for n in (1, 2, 7)] == [0.5, 1, 30]


@given(st.integers(1, 100_000), st.one_of(st.none(), st.floats(0, 1e9)), st.floats(0, 1))
def test_a_delay_is_never_shorter_than_asked_for_nor_longer_than_an_hour(
    failures: int, after_s: float | None, chance: float
) -> None:
    delay = retry_delay_s(failures, after_s, chance)
    assert min(after_s or 0.0, LONGEST_RETRY_AFTER_S) <= delay
    assert 0.5 <= delay <= max(LONGEST_RETRY_S, min(after_s or 0.0, LONGEST_RETRY_AFTER_S))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 7.0),  # the date of RFC 9110, 5.6.7
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(text: str | None, expected: float | None) -> None:
    assert retry_after_s(text, 784_111_770_000) == expected
