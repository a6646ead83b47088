"""Catalogues, answers and engines for the tests of alarm rules."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from schemas.blocks import Cells, Row, Series, cells_of
from schemas.catalogue import Catalogue, Touchpoint, load
from schemas.metrics import Metric, MetricKind
from schemas.outputs import AlarmTransition, Decision, DecisionKind, Output
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, MINUTE_MS
from streams.core.engine import Engine

PANE = 10_000
START = 20_003 * DAY_MS
"""A pane that ends with a day; the next one begins an hour."""
CSAT = Metric(
    name="csat", version=1, owner="o", title="t", kind=MetricKind.SHARE, question="csat", scale=(1, 5), box=(4, 5),
    target=0.85, max_keys=50,
)  # fmt: skip
NPS = Metric(name="nps", version=1, owner="o", title="t", kind=MetricKind.NPS, question="nps", scale=(0, 10))
COMPLAINTS = Metric(
    name="complaint_rate",
    version=1,
    owner="o",
    title="t",
    kind=MetricKind.EVENT_SHARE,
    events=("complaint",),
    good="low",
)
VOLUME = Metric(name="volume", version=1, owner="o", title="t", kind=MetricKind.COUNT)
RATE = Metric(
    name="per_order", version=1, owner="o", title="t", kind=MetricKind.RATE, events=("complaint",),
    among=("order_placed",), good="low",
)  # fmt: skip
METRICS = [CSAT, NPS, COMPLAINTS, VOLUME, RATE]
SHOPS = [Touchpoint(name="paris", parent="north"), Touchpoint(name="lille", parent="north"), Touchpoint(name="nice")]


def rule(kind: RuleKind, metric: str = "csat", **changes: Any) -> Rule:
    """Return a rule of this kind, with a fixed baseline unless told otherwise."""
    plain: dict[str, Any] = {"name": f"{kind}", "owner": "o", "severity": "page", "metric": metric, "kind": kind}
    if kind in {RuleKind.COUNT_DROP, RuleKind.COUNT_RISE, RuleKind.SILENCE}:
        plain |= {"baseline": BaselineKind.FIXED, "expected_per_day": 1440.0}
    elif kind is RuleKind.BURN:
        plain |= {"objective": 0.9}
    else:
        plain |= {"baseline": BaselineKind.FIXED, "p0": 0.1}
    return Rule(**(plain | changes))


def catalogue(*rules: Rule) -> Catalogue:
    """Return the test metrics with these rules."""
    return msgspec.structs.replace(load(), metric=METRICS, alarm=list(rules), touchpoint=SHOPS, exception=[])


def engine_of(*rules: Rule, pane_ms: int = PANE, armed: bool = True) -> Engine:
    """Return an engine without readings."""
    return Engine(catalogue(*rules), pane_ms=pane_ms, provisional_step_ms=60_000, alarms_only=True, armed=armed)


def rows(
    metric: Metric, key: str, bins: Mapping[int, int], at: int, *, fresh: int = 1, stratum: str = "card",
    dimension: str = "touchpoint",
) -> list[Row]:  # fmt: skip
    """Return counts by bin that occurred just before `at`."""
    series = Series(metric.identity, dimension, key, stratum)
    return [Row(series, (at - 1) // MINUTE_MS, bin_, fresh, n, n * bin_) for bin_, n in bins.items() if n]


def answers(key: str, good: int, bad: int, at: int, **where: Any) -> list[Row]:
    """Return CSAT answers."""
    return rows(CSAT, key, {5: good, 1: bad}, at, **where)


def told(engine: Engine, pane: int, said: Iterable[Row] | Cells = ()) -> list[AlarmTransition]:
    """Judge up to `pane` and return the transitions."""
    cells = said if isinstance(said, Cells) else cells_of(said)
    return transitions(engine.advance(pane, cells))


def transitions(outputs: Iterable[Output]) -> list[AlarmTransition]:
    """Return the transitions among outputs."""
    return [one for one in outputs if isinstance(one, AlarmTransition)]


def decision(kind: DecisionKind, note: str = "", **body: Any) -> Decision:
    """Return a decision by Ann."""
    return Decision(decision_id="d", kind=kind, author="ann", note=note, made_at=0, body=body)


RENEW = decision(DecisionKind.RENEW)


def quiet_days(metric: Metric, keys: Iterable[str], bins: Mapping[int, int], days: int = 20, **where: Any) -> list[Row]:
    """Return the same counts at noon of each of the days before START."""
    return [
        row for day in range(1, days + 1) for key in keys
        for row in rows(metric, key, bins, START - day * DAY_MS + DAY_MS // 2, fresh=0, **where)
    ]  # fmt: skip


def begun(engine: Engine, past: Iterable[Row]) -> Engine:
    """Return the engine with a past, renewed so that START is the last pane before the watch."""
    engine.advance(START, cells_of(past))
    engine.decide(RENEW)
    return engine


def evidence(one: AlarmTransition) -> dict[str, Any]:
    """Return the decoded evidence."""
    found: dict[str, Any] = msgspec.json.decode(one.evidence)
    return found
