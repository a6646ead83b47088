"""The demonstration fails loudly: each thing that must hold can be seen not to hold."""

from typing import Any

import pytest

from deploy.demo.outcome import Given, missing_readings, problems_of, wrong_readings
from deploy.demo.scenario import Month

MONTH = Month(seed=1, anchor_ms=0, injected_shop="lyon", dispute_shop="paris", history=[], live=[])
DROP = {"metric": "csat", "rule": "satisfaction_drop", "key": "lyon", "opened_at": 2_000}
DISPUTE = {"metric": "dispute", "rule": "dispute", "key": "paris", "opened_at": 3_000}
GOOD: dict[str, Any] = {
    "sent": 10,
    "rows": 7,
    "repeats": 2,
    "rejected": 1,
    "alarms": [DROP, DISPUTE],
    "injected_at": 1_000,
}


def test_a_good_outcome_has_no_problems() -> None:
    assert problems_of(MONTH, **GOOD) == []


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"rows": 6}, "is not rows"),
        ({"repeats": 3}, "is not rows"),
        ({"alarms": [DISPUTE]}, "no alarm on lyon"),
        ({"alarms": [{**DROP, "opened_at": 500}, DISPUTE]}, "no alarm on lyon"),
        ({"alarms": [DROP, {**DROP, "key": "lille"}, DISPUTE]}, "alarm on lille"),
        ({"alarms": [DROP]}, "disputes raised at"),
        ({"alarms": [DROP, DISPUTE, DISPUTE]}, "disputes raised at"),
    ],
)
def test_every_broken_promise_is_named(spoilt: dict[str, Any], words: str) -> None:
    (problem,) = problems_of(MONTH, **{**GOOD, **spoilt})
    assert words in problem


def test_a_reading_that_counts_other_answers_than_were_given_is_named() -> None:
    reading = {"metric": "csat", "window": "1h", "window_end": 3_600_000, "key": "lyon", "n": 1}
    given = [Given(event_id="a", shop="lyon", occurred_at=5), Given(event_id="b", shop="paris", occurred_at=5)]
    assert wrong_readings([reading, {**reading, "key": "*", "n": 2}], given) == []
    assert len(wrong_readings([{**reading, "n": 2}, {**reading, "key": "*"}], given)) == 2


def test_a_reading_that_is_missing_is_named() -> None:
    given = [Given(event_id="a", shop="lyon", occurred_at=5)]
    readings = [{"metric": "csat", "window": window, "key": key} for window in ("1h", "28d") for key in ("lyon", "*")]
    assert missing_readings(readings, given) == []
    assert missing_readings(readings[1:], given) == ["no csat reading over 1h at lyon"]
