"""What a rule may say of good and bad days."""

from collections.abc import Iterable

import pytest

from schemas.metrics import Metric, MetricKind
from schemas.rule_checks import rule_problems
from schemas.rules import BaselineKind, Rule, RuleKind

SHARE = Metric(
    name="csat", version=1, owner="o", title="t", kind=MetricKind.SHARE, question="q", scale=(1, 5), box=(4, 5)
)
RATE = Metric(
    name="rate", version=1, owner="o", title="t", kind=MetricKind.RATE, events=("complaint",), among=("order_placed",),
    good="low",
)  # fmt: skip


def rule(kind: RuleKind = RuleKind.DROP, metric: str = "csat", **changes: object) -> Rule:
    return Rule(name="r", owner="o", severity="page", kind=kind, metric=metric, dimension="*", **changes)  # type: ignore[arg-type]


def said(one: Rule) -> Iterable[str]:
    metrics = dict(enumerate((SHARE, RATE)))
    return [
        f"{one.reason} -> {one.remedy}" for one in rule_problems({0: one}, metrics, parents=False)
        if one.path == "$.alarm[0].day_effect"
    ]  # fmt: skip


@pytest.mark.parametrize("effect", [None, "learned", 0.0, 0.02, 0.5])
def test_a_learned_share_takes_any_day_effect(effect: object) -> None:
    assert said(rule(day_effect=effect)) == []


def test_a_day_effect_is_learned_with_a_learned_baseline_and_none_with_a_fixed_one() -> None:
    assert rule().days == "learned"
    assert rule(baseline=BaselineKind.FIXED, p0=0.1).days == 0
    assert rule(baseline=BaselineKind.FIXED, p0=0.1, day_effect=0.02).days == 0.02
    assert rule(day_effect=0.0).days == 0
    assert rule().definition_hash != rule(day_effect=0.0).definition_hash


@pytest.mark.parametrize(
    ("one", "detail"),
    [
        (rule(day_effect=-0.01), "-0.01 is no correlation"),
        (rule(day_effect=0.6), "0.6 is no correlation"),
        (rule(day_effect=float("nan")), "nan is no correlation"),
        (rule(baseline=BaselineKind.FIXED, p0=0.1, day_effect="learned"), "a fixed baseline learns nothing from days"),
        (rule(RuleKind.SCORE, day_effect="learned"), "kind score knows no day effect"),
        (rule(RuleKind.BURN, objective=0.9, day_effect=0.02), "kind burn knows no day effect"),
        (rule(RuleKind.RISE, "rate", day_effect=0.02), "a metric of kind rate knows no day effect"),
    ],
)
def test_an_impossible_day_effect_is_refused_with_what_to_do(one: Rule, detail: str) -> None:
    (found,) = said(one)
    assert detail in found
    assert len(found.partition(" -> ")[2]) > 5
