"""What stands out in a week, and in which order."""

from itertools import product

from deploy.report.scores import scores
from deploy.report.week import MOST_FINDINGS, findings
from schemas.catalogue import Catalogue
from sinks.cases import Count

WEEK_MS = (0, 604_800_000)


def week(catalogue: Catalogue, shares: dict[str, int]) -> list[Count]:
    """Return 100 answers to each touchpoint's question of satisfaction, in all metrics that read it."""
    readers = [one.identity for one in catalogue.metric if one.question == "csat" and one.overall_question is None]
    assert len(readers) > 1
    return [
        Count(metric, "touchpoint", place, bin_, n)
        for metric, (place, good) in product(readers, shares.items())
        for bin_, n in ((5, good), (1, 100 - good))
    ]


def test_bad_news_comes_before_good_and_one_question_is_told_once_a_place(catalogue: Catalogue) -> None:
    now = week(catalogue, {"paris": 99, "lyon": 60, "lille": 85, "nantes": 70})
    before = week(catalogue, {"paris": 98, "lyon": 85, "lille": 85, "nantes": 70})
    found = findings(catalogue, scores(catalogue, now, before), [], WEEK_MS)
    assert [(one.score.metric, one.score.key) for one in found if one.score] == [
        ("csat", "lyon"), ("csat", "nantes"), ("csat", "paris"),
    ]  # fmt: skip
    assert [one.wanted.happy_first for one in found] == [False, False, True]
    assert {(one.wanted.start_ms, one.wanted.end_ms, one.wanted.question) for one in found} == {(*WEEK_MS, "csat")}


def test_nothing_stands_out_of_equal_weeks_near_the_target_and_there_is_an_end_to_findings(
    catalogue: Catalogue,
) -> None:
    same = week(catalogue, {"paris": 85, "lyon": 84, "lille": 86})
    assert findings(catalogue, scores(catalogue, same, same), [], WEEK_MS) == []
    bad = week(catalogue, {f"shop{number}": 20 for number in range(40)})
    assert len(findings(catalogue, scores(catalogue, bad, []), [], WEEK_MS)) == MOST_FINDINGS
