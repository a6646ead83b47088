"""Chances of the next rung, and figures from the rows of the views."""

import pytest

from deploy.report.cases import next_rungs, share
from deploy.report.quoting import LONGEST, shown_text
from schemas.outputs import Quality


def test_chances_of_the_next_rung_count_a_cause_only_where_no_other_came_first() -> None:
    """By hand, Aalen-Johansen: of 4 at risk one complains on day 1, of 3 one disputes on day 2, one is censored on day 3."""
    steps = [
        {"from_rung": "remark", "days": 1.0, "cause": "complaint"},
        {"from_rung": "remark", "days": 2.0, "cause": "dispute"},
        {"from_rung": "remark", "days": 3.0, "cause": "censored"},
        {"from_rung": "remark", "days": 8.0, "cause": "complaint"},
    ]
    found = {(one.from_rung, one.cause, one.days): one.probability for one in next_rungs(steps)}
    assert found["remark", "complaint", 7].value == pytest.approx(1 / 4)
    assert found["remark", "dispute", 7].value == pytest.approx(3 / 4 * 1 / 3)
    assert found["remark", "complaint", 30].value == pytest.approx(1 / 4 + 1 / 2)
    assert found["remark", "complaint", 30].n == 4
    assert found["remark", "complaint", 30].quality is Quality.LOW_N
    assert found["complaint", "dispute", 30].quality is Quality.NO_DATA


def test_no_messages_are_no_data_not_zero() -> None:
    assert share(0, 0).value is None
    assert share(0, 40).value == 0.0
    assert share(0, 40).hi > 0.05


def test_quoted_texts_hide_addresses_and_numbers_and_stay_short() -> None:
    assert (
        shown_text("write to jean.d+x@mail.example.org or 06 12 34 56 78, +33612345678") == "write to [@] or […], […]"
    )
    assert shown_text("order of 2026, 3 items for 12.50") == "order of 2026, 3 items for 12.50"
    assert shown_text("a\u202eb\x00\n\tc") == "ab c"
    assert len(shown_text("x" * 10_000)) == LONGEST
