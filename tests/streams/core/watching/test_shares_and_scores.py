"""Bad shares and scores: which answers speak for what, and that no ratio has a mean above 1 at its baseline."""

from itertools import combinations, product
from math import exp
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.metrics import Metric, MetricKind
from schemas.outputs import AlarmState
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import WEEK_MS
from streams.core.bins import Bins
from streams.core.detectors.evidence import Evidence
from streams.core.intervals import wilson_upper
from streams.core.watching.bad_share import BadShare
from streams.core.watching.score import Score, badness_of
from tests.streams.core.watching.worlds import (
    COMPLAINTS,
    CSAT,
    NPS,
    PANE,
    START,
    begun,
    engine_of,
    evidence,
    quiet_days,
    rows,
    rule,
    told,
)  # fmt: skip

TWO = Metric(name="two", version=1, owner="o", title="t", kind=MetricKind.SHARE, question="q", scale=(0, 1), box=(1,))


def learned(kind: RuleKind, **changes: Any) -> Rule:
    return rule(kind, baseline=BaselineKind.LEARNED, **{"p0": None, **changes})


@pytest.mark.parametrize(
    ("of", "metric", "quiet", "alarming", "direction"),
    [
        (learned(RuleKind.DROP), CSAT, {5: 90, 1: 10}, {1: 40}, "down"),
        (learned(RuleKind.RECOVERY, p1=(0.1,)), CSAT, {5: 60, 1: 40}, {5: 80}, "up"),
        (learned(RuleKind.RISE, p1=(0.9,)), CSAT, {5: 60, 1: 40}, {4: 60}, "up"),
        (learned(RuleKind.DROP), COMPLAINTS, {0: 90, 1: 10}, {1: 40}, "down"),
        (learned(RuleKind.RISE), COMPLAINTS, {0: 90, 1: 10}, {1: 40}, "up"),
        (learned(RuleKind.RECOVERY, p1=(0.1,)), COMPLAINTS, {0: 60, 1: 40}, {0: 80}, "up"),
        (learned(RuleKind.SCORE, p1=(0.4,)), CSAT, {5: 50, 4: 40, 1: 10}, {2: 60}, "down"),
        (learned(RuleKind.SCORE, p1=(0.1,), direction="up"), CSAT, {5: 20, 3: 60, 1: 20}, {5: 90}, "up"),
        (learned(RuleKind.SCORE, p1=(0.5,)), NPS, {10: 60, 8: 30, 2: 10}, {3: 60}, "down"),
    ],
)  # fmt: skip
def test_each_kind_looks_where_it_says(
    of: Rule, metric: Metric, quiet: dict[int, int], alarming: dict[int, int], direction: str
) -> None:
    named = msgspec.structs.replace(of, metric=metric.name)
    past = quiet_days(metric, ["paris"], quiet)
    calm = begun(engine_of(named), past)
    assert told(calm, START + PANE, rows(metric, "paris", quiet, START + PANE)) == []
    engine = begun(engine_of(named), past)
    (opened,) = told(engine, START + PANE, rows(metric, "paris", alarming, START + PANE))
    assert (opened.state, opened.direction, opened.n) == (AlarmState.OPEN, direction, sum(alarming.values()))
    assert evidence(opened)["learned_from"] == 1300
    opposite = begun(engine_of(named), past)
    other = (
        {min(metric.scale or (0, 1)): 60}
        if max(alarming) > 3 or alarming == {0: 80}
        else {max(metric.scale or (0, 0)): 60}
    )
    if alarming == {0: 80}:
        other = {1: 60}
    assert told(opposite, START + PANE, rows(metric, "paris", other, START + PANE)) == []


def test_the_score_of_a_scale_of_two_points_is_the_drop_of_a_share() -> None:
    bins = Bins(TWO)
    drop, score = (
        BadShare(learned(RuleKind.DROP, metric="two"), TWO, bins),
        Score(learned(RuleKind.SCORE, metric="two"), TWO, bins),
    )
    share, scores = drop.teach({0: 120, 1: 880}, 1000), score.teach({0: 120, 1: 880}, 1000)
    assert not isinstance(share, str)
    assert not isinstance(scores, str)
    assert scores.p0 == pytest.approx(share.p0, rel=1e-12)
    for good, bad in product(range(5), repeat=2):
        counts = {0: bad, 1: good}
        assert score.log_ratio(scores, 0, score.pair(counts)) == pytest.approx(
            drop.log_ratio(share, 0, drop.pair(counts)), abs=1e-9
        )


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(0, 400), min_size=5, max_size=5), up=st.booleans())
def test_no_ratio_of_scores_has_a_mean_above_1_at_the_learned_shares_or_better_ones(
    counts: list[int], up: bool
) -> None:
    """Better: some answers of each score moved to the next better one (worse for a rule that looks for better)."""
    n = sum(counts)
    score = Score(
        learned(RuleKind.SCORE, p1=(0.02,) if up else (0.3, 0.8), direction="up" if up else "down"), CSAT, Bins(CSAT)
    )
    held = dict(zip(range(1, 6), counts, strict=True))
    taught = score.teach(held, n) if n >= 200 else "few"
    if isinstance(taught, str):
        return
    for change, moved in product(range(len(taught.p1)), (0.0, 0.3)):
        shares = {bin_: count / n for bin_, count in held.items()}
        for bin_ in (5, 4, 3, 2) if up else (1, 2, 3, 4):
            gone = moved * shares[bin_]
            shares[bin_] -= gone
            shares[bin_ - 1 if up else bin_ + 1] += gone
        mean = sum(
            share * exp(score.log_ratio(taught, change, score.pair({bin_: 1}))) for bin_, share in shares.items()
        )
        assert mean <= 1 + 1e-9


@given(p0=st.floats(0.05, 0.6), worst=st.integers(0, 4), spread=st.floats(0, 1))
def test_a_declared_mean_bounds_every_shape(p0: float, worst: int, spread: float) -> None:
    """A mixture of the two ends and one point between them, with mean badness p0."""
    score = Score(rule(RuleKind.SCORE, p0=p0, p1=(0.8,)), CSAT, Bins(CSAT))
    taught = score.declared(p0, {}, 0)
    assert not isinstance(taught, str)
    badness = badness_of(CSAT)
    cell = 5 - worst
    inside = spread * min(
        1.0, p0 / badness[cell] if badness[cell] else 1.0, (1 - p0) / (1 - badness[cell]) if badness[cell] < 1 else 1.0
    )
    left = (p0 - inside * badness[cell]) / (1 - inside) if inside < 1 else 0.0
    if not 0 <= left <= 1:
        return
    shares = {5: (1 - inside) * (1 - left), 1: (1 - inside) * left}
    shares[cell] = shares.get(cell, 0.0) + inside
    mean = sum(share * exp(score.log_ratio(taught, 0, score.pair({bin_: 1}))) for bin_, share in shares.items())
    assert mean <= 1 + 1e-9


def test_a_fall_is_learned_as_its_lower_bound() -> None:
    of = learned(RuleKind.RECOVERY, p1=(0.1,))
    (held,) = begun(engine_of(of), quiet_days(CSAT, ["paris"], {5: 60, 1: 40})).armed
    assert held.strata["card"].p0 == 1 - wilson_upper(780, 1300, 0.999)
    assert held.strata["card"].p1 == 0.1


def test_several_changes_share_the_budget_and_the_strongest_is_told() -> None:
    of = rule(RuleKind.DROP, p1=(0.15, 0.8))
    engine = begun(engine_of(of), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    (opened,) = told(engine, START + PANE, rows(CSAT, "paris", {1: 9}, START + PANE))
    w = PANE / WEEK_MS
    assert opened.statistic == pytest.approx(w / 2 * (1.5**9 + 8**9))
    assert opened.p1 == pytest.approx(0.8)


def test_the_order_average_adds_the_budget_between_the_answers() -> None:
    """Five bad answers and four good ones in a pane: the mean over their orders of what single answers would give."""
    of = rule(RuleKind.DROP, grouping="averaged", budget_per_week=30_000.0)
    engine = begun(engine_of(of), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))
    (opened,) = told(engine, START + 3 * PANE, rows(CSAT, "paris", {1: 5, 5: 4}, START + 3 * PANE))
    w, found = 30_000.0 * PANE / WEEK_MS, []
    for bad in combinations(range(9), 5):
        r = 2 * w
        for at in range(9):
            r = (r + w / 9) * (2.5 if at in bad else 0.75 / 0.9)
        found.append(r)
    assert opened.statistic == pytest.approx(sum(found) / len(found))


def test_false_alarms_of_each_kind_stay_within_the_budget() -> None:
    """Answers as the declared baseline has them, one a pane, against a large budget; between a tenth and the whole."""
    dice = Random(8)
    budget = 3000.0
    rules = [
        rule(RuleKind.DROP, name="several", budget_per_week=budget, p1=(0.15, 0.25, 0.5), resolve_min_answers=1),
        rule(RuleKind.DROP, name="averaged", budget_per_week=budget, grouping="averaged", resolve_min_answers=1),
        rule(RuleKind.RECOVERY, budget_per_week=budget, p1=(0.02,), resolve_min_answers=1),
        rule(RuleKind.SCORE, budget_per_week=budget, p1=(0.25,), resolve_min_answers=1),
    ]
    engine = begun(engine_of(*[
        _quiet_life(one) for one in rules
    ]), quiet_days(CSAT, ["paris"], {5: 90, 1: 10}))  # fmt: skip
    alarms = dict.fromkeys([one.name for one in rules], 0)
    panes, keys = 4000, 1
    for at in range(1, panes + 1):
        pane = START + at * PANE
        bad = sum(dice.random() < 0.1 for _ in range(3))
        for said in told(engine, pane, rows(CSAT, "paris", {5: 3 - bad, 1: bad}, pane)):
            alarms[said.rule] += said.state is AlarmState.OPEN
    given = budget * panes * PANE / WEEK_MS * keys
    assert all(0.05 <= count / given <= 1.15 for count in alarms.values()), (alarms, given)


def _quiet_life(one: Rule) -> Rule:
    return msgspec.structs.replace(one, flap_transitions=10**6, cooldown_ms=0)


def test_evidence_of_a_stratum_that_is_no_longer_watched_is_left_out() -> None:
    drop = BadShare(rule(RuleKind.DROP), CSAT, Bins(CSAT))
    taught = drop.declared(0.1, {}, 0)
    seen = Evidence(strata={"card": (10, 3), "call": (5, 5)})
    facts = drop.facts({"card": taught}, seen, 0)  # type: ignore[dict-item]
    assert (facts.n, facts.bad, list(facts.strata)) == (10, 3, ["card"])
