"""What an alarm rule must be: every rule of the catalogue about alarms that a type cannot say."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from schemas.catalogue_checks import NAME, twice
from schemas.catalogue_fields import Problem
from schemas.metrics import Metric, MetricKind
from schemas.rules import COUNTS, IMMEDIATE, BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, WEEK_MS, WINDOWS

_SHARES = frozenset({
    MetricKind.SHARE, MetricKind.GAP_SHARE, MetricKind.EVENT_SHARE, MetricKind.PART, MetricKind.RESPONSE, MetricKind.REPEAT,
})  # fmt: skip
WATCHES: Mapping[RuleKind, frozenset[MetricKind]] = {
    RuleKind.DROP: _SHARES,
    RuleKind.RECOVERY: _SHARES,
    RuleKind.RISE: _SHARES | {MetricKind.RATE},
    RuleKind.SCORE: frozenset({MetricKind.SHARE, MetricKind.NPS, MetricKind.MEAN}),
    RuleKind.COUNT_DROP: frozenset({MetricKind.COUNT}),
    RuleKind.COUNT_RISE: frozenset({MetricKind.COUNT, MetricKind.PART, MetricKind.RATE}),
    RuleKind.SILENCE: frozenset({MetricKind.COUNT}),
    RuleKind.BURN: _SHARES,
}
"""Kinds of metrics that a kind of rule can watch; immediate ones watch events."""
OF_DAYS = frozenset({RuleKind.DROP, RuleKind.RECOVERY, RuleKind.RISE})
"""Kinds that know good and bad days."""
_PROFILELESS = frozenset({RuleKind.SCORE, RuleKind.BURN})
_EXPOSED = frozenset({MetricKind.PART, MetricKind.RATE})
"""Metrics whose exposure comes by other events than the counted ones: what they count are no answers."""
MOST_DAY_EFFECT = 0.5
BUDGETED = frozenset(RuleKind) - IMMEDIATE - {RuleKind.BURN}
LEAST_BUDGET = 1 / 5_200
"""One false alarm in a hundred years: below it the wanted evidence delays every alarm and nobody can check the promise."""
REACH_MS = WINDOWS["28d"].span_ms
PROFILE_WEEKS = 4
"""A cell of weekday and hour wants so many full weeks."""


def rule_problems(
    rules: Mapping[int, Rule],
    metrics: Mapping[int, Metric],
    *,
    parents: bool,
    unread: AbstractSet[str] = frozenset(),
    pane_ms: int | None = None,
) -> Iterator[Problem]:
    """Yield what is wrong with rules (index in the file -> rule).

    `parents`: whether any touchpoint has a parent; `unread`: names of further metrics, whose tables could not be read.
    """
    names = {metric.name: metric for metric in metrics.values()}
    yield from twice("alarm", {index: one.name for index, one in rules.items()})
    for index, rule in rules.items():
        path = f"$.alarm[{index}]"
        if not NAME.fullmatch(rule.name):
            yield Problem(f"{path}.name", f"{rule.name!r} is no name",
                          "write small letters, digits and _, a letter first, at most 63")  # fmt: skip
        for name in ("owner", "severity"):
            if not getattr(rule, name).strip():
                yield Problem(f"{path}.{name}", f"{name} is empty", "say who answers, or how urgent it is")
        if rule.kind in IMMEDIATE:
            if rule.metric:
                yield Problem(f"{path}.metric", f"kind {rule.kind} watches events, no metric", "take metric out")
            continue
        if rule.metric not in unread:
            yield from _watched(rule, path, names, parents=parents)
        yield from _baseline(rule, path, names.get(rule.metric))
        yield from _profile(rule, path)
        yield from _day_effect(rule, path, names.get(rule.metric))
        yield from _changes(rule, path)
        yield from _budget(rule, path, pane_ms)
        yield from _life(rule, path)


def _watched(rule: Rule, path: str, names: Mapping[str, Metric], *, parents: bool) -> Iterator[Problem]:
    metric = names.get(rule.metric)
    if metric is None:
        yield Problem(f"{path}.metric", f"no metric {rule.metric!r} in the catalogue" if rule.metric else "wants a metric",
                      f"known are {', '.join(sorted(names))}")  # fmt: skip
        return
    if metric.kind not in WATCHES[rule.kind]:
        yield Problem(f"{path}.metric", f"kind {rule.kind} cannot watch {metric.name}, a metric of kind {metric.kind}",
                      f"name a metric of kind {', '.join(sorted(WATCHES[rule.kind]))}")  # fmt: skip
    if rule.dimension not in metric.dimensions:
        yield Problem(f"{path}.dimension", f"{metric.name} does not count {rule.dimension}",
                      f"name one of {', '.join(metric.dimensions)}, or add it to {metric.name}")  # fmt: skip
    wants_parents = rule.strata == "children" or rule.dimension == "parent"
    if wants_parents and not parents:
        yield Problem(f"{path}.{'strata' if rule.strata == 'children' else 'dimension'}",
                      "watches parents, and no touchpoint has one", "give touchpoints a parent")  # fmt: skip
    if rule.strata == "children" and (rule.dimension != "parent" or "touchpoint" not in metric.dimensions):
        yield Problem(f"{path}.strata", "children are the touchpoints below a parent",
                      f'write dimension = "parent", and count touchpoint in {metric.name}')  # fmt: skip


def _baseline(rule: Rule, path: str, metric: Metric | None) -> Iterator[Problem]:
    if rule.baseline is BaselineKind.FIXED and rule.kind is not RuleKind.BURN:
        counts = rule.kind in COUNTS and (metric is None or metric.kind is MetricKind.COUNT)
        name = "expected_per_day" if counts else "p0"
        if getattr(rule, name) is None:
            yield Problem(path, f"a fixed baseline states {name}", f'state {name}, or write baseline = "learned"')
    elif rule.p0 is not None or rule.expected_per_day is not None:
        yield Problem(f"{path}.{'p0' if rule.p0 is not None else 'expected_per_day'}",
                      f"a {'learned baseline' if rule.kind is not RuleKind.BURN else 'burn rule'} states none",
                      'take it out, or write baseline = "fixed"')  # fmt: skip
    if rule.expected_per_day is not None and not 0 < rule.expected_per_day < float("inf"):
        yield Problem(
            f"{path}.expected_per_day", f"{rule.expected_per_day} a day is impossible", "write a figure above 0"
        )
    if rule.learn_min < 1:
        yield Problem(f"{path}.learn_min", "nothing can be learned from no answers", "write 200")
    if not 0.5 < rule.learn_confidence < 1:
        yield Problem(f"{path}.learn_confidence", f"{rule.learn_confidence} bounds nothing", "write 0.999")
    learns = DAY_MS * (7 * PROFILE_WEEKS if rule.profile == "weekday_hour" else 1)
    if not 0 <= rule.learn_lag_ms <= REACH_MS - learns:
        yield Problem(f"{path}.learn_lag_ms", f"a lag of {rule.learn_lag_ms} ms leaves no {learns // DAY_MS} days to learn "
                      f"from within the {REACH_MS // DAY_MS} days that the state holds", f"write 0..{REACH_MS - learns}")  # fmt: skip


def _profile(rule: Rule, path: str) -> Iterator[Problem]:
    if rule.profile == "none":
        return
    if rule.kind in _PROFILELESS:
        yield Problem(f"{path}.profile", f"kind {rule.kind} knows no profile",
                      "take it out, or watch a share of answers or a number of events")  # fmt: skip
    elif rule.baseline is BaselineKind.FIXED:
        yield Problem(f"{path}.profile", "a fixed baseline is the same at all hours",
                      'take profile out, or write baseline = "learned"')  # fmt: skip


def _day_effect(rule: Rule, path: str, metric: Metric | None) -> Iterator[Problem]:
    stated = rule.day_effect
    if stated is None:
        return
    watches = f"kind {rule.kind}" if rule.kind not in OF_DAYS else ""
    if not watches and metric is not None and metric.kind in _EXPOSED:
        watches = f"a metric of kind {metric.kind}"
    if watches:
        yield Problem(
            f"{path}.day_effect", f"{watches} knows no day effect", "take it out, or watch a share of answers"
        )
    elif stated == "learned":
        if rule.baseline is BaselineKind.FIXED:
            yield Problem(f"{path}.day_effect", "a fixed baseline learns nothing from days",
                          'write a figure such as 0.02, or baseline = "learned"')  # fmt: skip
    elif not 0 <= stated <= MOST_DAY_EFFECT:
        yield Problem(f"{path}.day_effect", f"{stated} is no correlation of two answers of a day",
                      f'write "learned", or 0..{MOST_DAY_EFFECT}')  # fmt: skip


def _changes(rule: Rule, path: str) -> Iterator[Problem]:
    if rule.kind is RuleKind.BURN:
        if rule.objective is None or not 0.5 < rule.objective < 1:
            yield Problem(f"{path}.objective", "a burn rule states its objective, above 0.5 and below 1: at half of what can "
                          "burn its threshold must exceed the allowance", "write objective = 0.9")  # fmt: skip
        return
    if rule.objective is not None:
        yield Problem(f"{path}.objective", f"kind {rule.kind} has no objective", "take it out, or take kind burn")
    if rule.kind in COUNTS:
        yield from _factors(rule, path)
        return
    if rule.factors:
        yield Problem(f"{path}.factors", f"kind {rule.kind} watches shares, not counts", "state p1 instead")
    if not rule.p1 or not all(0 < p1 < 1 for p1 in rule.p1):
        yield Problem(f"{path}.p1", f"p1 {list(rule.p1)} lies not in 0..1", "write p1 = [0.25]")
    if not 0 < rule.p1_margin < 1:
        yield Problem(f"{path}.p1_margin", f"p1_margin {rule.p1_margin} lies not in 0..1", "write 0.03")
    if rule.p0 is None:
        return
    better = rule.kind is RuleKind.RECOVERY or (rule.kind is RuleKind.SCORE and rule.direction == "up")
    if not 0 < rule.p0 < 1:
        yield Problem(f"{path}.p0", f"p0 {rule.p0} lies not in 0..1", "write the bad share of quiet times")
    elif better and not all(p1 < rule.p0 for p1 in rule.p1):
        yield Problem(f"{path}.p1", f"what looks for better looks below p0 {rule.p0}", "write smaller figures for p1")
    elif not better and not all(p1 > rule.p0 for p1 in rule.p1):
        yield Problem(f"{path}.p1", f"p1 {list(rule.p1)} is not above p0 {rule.p0}", "write larger figures for p1")


def _factors(rule: Rule, path: str) -> Iterator[Problem]:
    falls = rule.way == "down"
    if not all(0 < one < 1 if falls else 1 < one < float("inf") for one in rule.sought):
        yield Problem(
            f"{path}.factors",
            f"factors {list(rule.factors)} are no {'fall' if falls else 'rise'}",
            f"write figures {'between 0 and 1' if falls else 'above 1'}",
        )


def _budget(rule: Rule, path: str, pane_ms: int | None) -> Iterator[Problem]:
    if rule.kind not in BUDGETED:
        return
    if not rule.budget_per_week > 0:
        yield Problem(f"{path}.budget_per_week", "no evidence reaches a budget of no false alarms", "write 1.0")
    elif rule.budget_per_week < LEAST_BUDGET:
        yield Problem(f"{path}.budget_per_week", f"{rule.budget_per_week} false alarms a week are less than one in a hundred years:"
                      " the evidence that they want is unreachable", "write 1.0, or 0.1 for a quieter one")  # fmt: skip
    elif pane_ms and rule.budget_per_week * pane_ms >= WEEK_MS:
        yield Problem(f"{path}.budget_per_week", f"{rule.budget_per_week} false alarms a week are one or more in every pane of "
                      f"{pane_ms} ms: the statistic would fire without evidence", "write 1.0")  # fmt: skip


def _life(rule: Rule, path: str) -> Iterator[Problem]:
    if rule.direction not in {"down", "up"}:
        yield Problem(f"{path}.direction", f"{rule.direction!r} is no direction", 'write "down" or "up"')
    for name, most in (("hold_ms", DAY_MS), ("cooldown_ms", REACH_MS), ("flap_window_ms", REACH_MS)):
        if not 0 <= getattr(rule, name) <= most:
            yield Problem(f"{path}.{name}", f"{name} {getattr(rule, name)} is out of range", f"write 0..{most}")
    if rule.resolve_min_answers < 1:
        yield Problem(f"{path}.resolve_min_answers", "an alarm cannot resolve on no answers", "write 30")
    if rule.flap_transitions < 2:
        yield Problem(f"{path}.flap_transitions", "one transition is no flapping", "write 4")
