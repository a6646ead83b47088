"""The recount itself, on events that can be counted by hand."""

from typing import Any

import pytest

from tests.oracle.comparison import differences
from tests.oracle.recount import DAY, HOUR, MINUTE, Bins, expected, first_only, recount

START = 1_772_323_200_000


def card(at: int, score: int, arrived: int | None = None, **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"{at}-{score}",
        "channel": "card",
        "kind": "rating",
        "touchpoint": "paris",
        "occurred_at": at,
        "arrived_at": at if arrived is None else arrived,
        "answers": [{"question": "csat", "score": score, "scale_min": 1, "scale_max": 5}],
        **more,
    }


def row(metric: str, window: str, end: int, bins: Bins, **more: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "dimension": "touchpoint",
        "key": "paris",
        "window": window,
        "window_end": end,
        "status": "final",
        "revision": 0,
        "bins": {str(bin_): count for bin_, count in bins.items()},
        **expected(metric, bins),
        **more,
    }


def test_an_event_lies_in_a_window_from_its_start_inclusive_to_its_end_exclusive() -> None:
    truth = recount([card(START, 5)], pane_ms=1000)
    counts = truth[("csat", "touchpoint", "paris"), "1h"]
    ends = [end for end in range(START - MINUTE, START + 2 * HOUR, MINUTE) if counts.at(end)]
    assert ends == list(range(START + MINUTE, START + HOUR + MINUTE, MINUTE))


def test_a_repeated_id_counts_once_and_the_first_arrival_decides() -> None:
    events = [card(START, 5, START + 9), card(START, 5, START + 3)]
    assert [event["arrived_at"] for event in first_only(events)] == [START + 3]


def test_what_comes_too_late_for_the_kept_state_marks_the_ends_before_it_dirty() -> None:
    truth = recount([card(START, 5, START + 2 * HOUR + 30 * MINUTE)], pane_ms=1000)
    counts = truth[("csat", "touchpoint", "paris"), "1h"]
    assert counts.is_dirty(START + MINUTE) and not counts.is_dirty(START + 2 * HOUR)


@pytest.mark.parametrize(
    ("metric", "bins", "value", "lo", "hi"),
    [
        ("csat", {5: 8, 1: 2}, 0.8, 0.490162, 0.943318),
        ("csat", {5: 10}, 1.0, 0.722467, 1.0),
        ("complaint_rate", {1: 15, 0: 133}, 15 / 148, 0.062386, 0.160487),
        ("ces", {6: 1}, 6.0, 2.546488, 6.684281),
        ("volume", {1: 3}, 3.0, 0.618672, 8.767273),
    ],
)
def test_intervals_equal_published_values(metric: str, bins: Bins, value: float, lo: float, hi: float) -> None:
    got = expected(metric, bins)
    assert (got["value"], got["lo"], got["hi"]) == pytest.approx((value, lo, hi), abs=1e-6)


def test_the_comparison_accepts_the_truth_and_names_each_kind_of_difference() -> None:
    truth = recount([card(START, 5)], pane_ms=1000)
    until = START + 40 * DAY
    rows = [
        row(metric, window, end, bins, dimension=dimension, key=key)
        for ((metric, dimension, key), window), counts in truth.items()
        for end, bins in counts.steps.items()
    ]
    assert differences(rows, truth, until=until) == []
    assert differences(rows[1:], truth, until=until)
    assert differences([{**rows[0], "bins": {"5": 2}}, *rows[1:]], truth, until=until)
    assert differences([{**rows[0], "lo": 0.0}, *rows[1:]], truth, until=until)
    assert differences(rows, truth, until=START)
    assert differences([*rows, row("nps", "1h", START, {9: 1})], truth, until=until)
