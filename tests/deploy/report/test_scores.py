"""Scores against target and week before, and rankings."""

from math import sqrt

import pytest

from deploy.report.mix import MEANS
from deploy.report.scores import Figure, Score, Verdict, against, difference, rankings, scores
from schemas.catalogue import Catalogue, load, parse
from schemas.outputs import Quality
from sinks.cases import Count
from sinks.migrate import migrations
from streams.core.intervals import wilson
from streams.core.kinds import KINDS

CSAT = load().named("csat").identity


def counted(places: dict[str, tuple[int, int]], metric: str = CSAT) -> list[Count]:
    """Return counts of (satisfied, answers) by touchpoint, and of all."""
    rows = [
        Count(metric, "touchpoint", place, bin_, n)
        for place, (good, of) in places.items()
        for bin_, n in ((5, good), (1, of - good))
    ]
    total_good, total = (sum(one[ix] for one in places.values()) for ix in (0, 1))
    return [*rows, Count(metric, "*", "*", 5, total_good), Count(metric, "*", "*", 2, total - total_good)]


def share(good: int, n: int) -> Figure:
    return Figure(good / n, *wilson(good, n, 0.95), n, Quality.OK)


def test_a_difference_of_shares_has_the_published_interval() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873-890, table II (a): 56/70 and 48/80, method 10."""
    change = difference(share(56, 70), share(48, 80))
    assert change.value == pytest.approx(0.2)
    assert (change.lo, change.hi) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert change.n == 70


def test_touchpoints_are_ranked_by_the_sure_bound_and_small_ones_are_not_ranked(catalogue: Catalogue) -> None:
    found = scores(catalogue, counted({"paris": (95, 100), "lyon": (3, 3), "lille": (35, 36), "nantes": (60, 100)}), [])
    ranking = next(one for one in rankings(found) if one.metric == "csat")
    assert [one.key for one in ranking.ranked] == ["paris", "lille", "nantes"], "35 of 36 is less sure than 95 of 100"
    assert {one.key: one.now.quality for one in ranking.unranked} == {"lyon": Quality.LOW_N, "geneve": Quality.NO_DATA}


def test_target_and_trend_are_judged_by_intervals_not_by_values(catalogue: Catalogue) -> None:
    now = counted({"paris": (70, 100), "lyon": (83, 100), "lille": (97, 100), "nantes": (5, 10)})
    before = counted({"paris": (90, 100), "lyon": (84, 100), "lille": (80, 100), "nantes": (100, 100)})
    found = {
        one.key: one for one in scores(catalogue, now, before) if one.metric == "csat" and one.dimension != "channel"
    }
    assert {key: (one.against_target, one.trend) for key, one in found.items()} == {
        "paris": (Verdict.WORSE, Verdict.WORSE),
        "lyon": (Verdict.UNCLEAR, Verdict.UNCLEAR),
        "lille": (Verdict.BETTER, Verdict.BETTER),
        "nantes": (Verdict.NONE, Verdict.NONE),
        "geneve": (Verdict.NONE, Verdict.NONE),
        "*": (Verdict.UNCLEAR, Verdict.WORSE),
    }


def test_fewer_complaints_are_better_and_more_events_are_neither(catalogue: Catalogue) -> None:
    rate, volume = (catalogue.named(name).identity for name in ("complaint_rate", "volume"))

    def week(bad: int, n: int) -> list[Count]:
        return [Count(rate, "*", "*", 1, bad), Count(rate, "*", "*", 0, n - bad), Count(volume, "*", "*", 1, n)]

    found = {one.metric: one for one in scores(catalogue, week(10, 800), week(50, 500)) if one.dimension == "*"}
    assert found["complaint_rate"].trend is Verdict.BETTER
    assert found["volume"].trend is Verdict.HIGHER


def test_another_definition_of_the_week_before_is_not_compared(catalogue: Catalogue) -> None:
    old = counted({"paris": (90, 100)}, metric="csat@00000000")
    csat = next(one for one in scores(catalogue, counted({"paris": (50, 100)}), old) if one.metric == "csat")
    assert csat.redefined
    assert csat.change.value is None
    assert csat.trend is Verdict.NONE


WITHHELD = """
[[metric]]
name = "csat"
version = 1
owner = "o"
title = "t"
kind = "share"
question = "csat"
scale = [1, 5]
box = [4, 5]
response_metric = "answered"
response_rate_min = 0.2

[[metric]]
name = "answered"
version = 1
owner = "o"
title = "t"
kind = "event_share"
events = ["survey_answered"]
among = ["survey_sent", "survey_answered"]
"""


@pytest.mark.parametrize(("answered", "shown"), [(100, Quality.OK), (10, Quality.WITHHELD)])
def test_a_score_below_the_declared_response_rate_is_withheld(answered: int, shown: Quality) -> None:
    catalogue = parse(WITHHELD)
    csat, rate = (one.identity for one in catalogue.metric)
    now = [Count(csat, "*", "*", 5, 80), Count(rate, "*", "*", 1, answered), Count(rate, "*", "*", 0, 300 - answered)]
    found = scores(catalogue, now, [])[0].now
    assert found.quality is shown
    assert (found.value is None) == (shown is Quality.WITHHELD)
    assert found.n == 80


def test_amounts_are_summed_not_counted(catalogue: Catalogue) -> None:
    revenue = catalogue.named("revenue_eur").identity
    now = [Count(revenue, "*", "*", bin_, n, total) for bin_, n, total in ((1, 2, 3000), (2, 40, 99_000))]
    found = next(one for one in scores(catalogue, now, []) if one.metric == "revenue_eur")
    assert found.now.value == 102_000


def by_channel(catalogue: Catalogue, name: str, channels: dict[str, dict[int, int]]) -> list[Count]:
    """Return counts by bin of each channel, and of all."""
    metric = catalogue.named(name).identity
    rows = [
        Count(metric, "channel", channel, bin_, n) for channel, bins in channels.items() for bin_, n in bins.items()
    ]
    return [*rows, *(one._replace(dimension="*", key="*") for one in rows)]


def whole(catalogue: Catalogue, name: str, now: list[Count], earlier: list[Count]) -> Score:
    found = scores(catalogue, now, [], earlier)
    assert all(one.at_mix is None for one in found if one.dimension != "*")
    return next(one for one in found if (one.metric, one.dimension) == (name, "*"))


def test_a_change_of_mix_alone_moves_the_score_and_not_the_score_at_the_earlier_mix(catalogue: Catalogue) -> None:
    earlier = by_channel(catalogue, "csat", {"card": {5: 3240, 1: 360}, "email": {4: 200, 2: 200}})
    now = by_channel(catalogue, "csat", {"card": {5: 90, 1: 10}, "email": {4: 450, 2: 450}})
    one = whole(catalogue, "csat", now, earlier)
    assert one.now.value == pytest.approx(0.54)
    assert one.at_mix is not None
    assert (one.at_mix.value, one.at_mix.covered) == (pytest.approx(0.86), 1.0)
    card, email = wilson(90, 100, 0.95), wilson(450, 900, 0.95)
    assert one.at_mix.lo == pytest.approx(0.86 - sqrt((0.9 * (0.9 - card[0])) ** 2 + (0.1 * (0.5 - email[0])) ** 2))
    assert one.at_mix.hi == pytest.approx(0.86 + sqrt((0.9 * (card[1] - 0.9)) ** 2 + (0.1 * (email[1] - 0.5)) ** 2))


def test_channels_that_are_silent_now_are_left_out_and_said_to_be(catalogue: Catalogue) -> None:
    earlier = by_channel(catalogue, "nps", {"card": {10: 30}, "email": {0: 30}, "call": {9: 40}})
    now = by_channel(catalogue, "nps", {"card": {10: 80, 0: 20}, "email": {10: 50, 0: 50}, "web": {10: 500}})
    held = whole(catalogue, "nps", now, earlier).at_mix
    assert held is not None
    assert (held.value, held.covered) == (pytest.approx(30.0), pytest.approx(0.6))
    assert whole(catalogue, "nps", now, by_channel(catalogue, "nps", {"call": {9: 40}})).at_mix is None
    assert whole(catalogue, "nps", now, []).at_mix is None
    volume = by_channel(catalogue, "volume", {"card": {1: 90}})
    assert whole(catalogue, "volume", volume, volume).at_mix is None, "a count of all is no mean of counts"


def test_the_report_and_the_view_know_the_same_kinds_as_means(catalogue: Catalogue) -> None:
    text = next(one.text for one in migrations() if "v_readings_mix" in one.text)
    listed = text.split("method IN (")[1].split(")")[0]
    metric = catalogue.metric[0]
    assert {kind for kind, own in KINDS.items() if f"'{own.method(metric)}'" in listed} == MEANS


def test_nothing_is_said_of_a_figure_with_too_few_answers() -> None:
    few = Figure(0.1, 0.05, 0.2, 10, Quality.LOW_N)
    assert against(few, 0.9, "high") is Verdict.NONE
    assert difference(few, Figure(None, None, None, 0, Quality.NO_DATA)).quality is Quality.NO_DATA
