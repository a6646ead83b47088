"""What a report promises of each kind of rule: horizons in order, more found where more comes, and every key of its own."""

import random
from typing import Any

import msgspec
import pytest

from deploy.backtest import Backtest
from deploy.findable import findable
from schemas.blocks import Row, Series, cells_of
from schemas.catalogue import Catalogue, Touchpoint, load
from schemas.metrics import Metric, MetricKind
from schemas.outputs import Decision, DecisionKind
from schemas.rules import BaselineKind, Rule, RuleKind
from schemas.windows import DAY_MS, MINUTE_MS
from streams.core.detectors.found_within import mixed_finder, share_part
from streams.core.detectors.likelihood import Bernoulli
from streams.core.watching.hourly_share import HourlyLevel

START = 20_000 * DAY_MS
DAYS = 4
CSAT = Metric(
    name="csat", version=1, owner="o", title="t", kind=MetricKind.SHARE, question="csat", scale=(1, 5), box=(4, 5)
)
VOLUME = Metric(name="volume", version=1, owner="o", title="t", kind=MetricKind.COUNT)
SHOPS = {"paris": 10 * MINUTE_MS, "lyon": 60 * MINUTE_MS}
"""Shop -> time between two answers."""
HORIZONS = ("1 day", "1 week", "1 month", "90 days")


def rule(kind: RuleKind, name: str = "", **changes: Any) -> Rule:
    plain: dict[str, Any] = {
        "name": name or kind.value, "owner": "o", "severity": "page", "metric": "csat", "kind": kind,
        "baseline": BaselineKind.FIXED, "p0": 0.1,
    }  # fmt: skip
    return Rule(**(plain | changes))


def counts(kind: RuleKind, name: str = "", **changes: Any) -> Rule:
    return rule(kind, name, **({"metric": "volume", "p0": None, "expected_per_day": 80.0} | changes))


CATALOGUE: Catalogue = msgspec.structs.replace(
    load(), metric=[CSAT, VOLUME], exception=[],
    touchpoint=[Touchpoint(name=name, parent="north") for name in SHOPS],
    alarm=[
        rule(RuleKind.DROP), rule(RuleKind.SCORE, p0=0.2, p1=(0.35, 0.5)),
        rule(RuleKind.SCORE, "better", p0=0.2, p1=(0.1,), direction="up"),
        rule(RuleKind.DROP, "parent", dimension="parent", strata="children"),
        counts(RuleKind.COUNT_DROP), counts(RuleKind.COUNT_RISE), counts(RuleKind.SILENCE),
        counts(RuleKind.SILENCE, "silent_parent", dimension="parent", strata="children"),
        rule(RuleKind.BURN, p0=None, objective=0.9),
    ],
)  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], dict[str, float | None]]:
    """Return what is found after four days, renewed at their start and at their end."""
    dice = random.Random(3)
    lines = sorted(
        (
            {"id": f"{shop}{at}", "channel": dice.choice(["card", "web"]), "touchpoint": shop, "occurred_at": START + at,
             "answers": [{"question": "csat", "score": dice.choice([1, 2, 3, 4, 4, 5, 5, 5, 5, 5]), "scale": [1, 5]}]}
            for shop, every in SHOPS.items() for at in range(0, DAYS * DAY_MS, every)
        ),
        key=lambda line: line["occurred_at"],
    )  # fmt: skip
    renewals = [
        Decision(decision_id=str(day), kind=DecisionKind.RENEW, from_pane=START + day * DAY_MS, author="t", made_at=0)
        for day in (0, DAYS)
    ]
    test = Backtest(CATALOGUE, pane_ms=MINUTE_MS, provisional_step_ms=MINUTE_MS, alarms_only=True)
    list(test.run(lines, renewals, until=START + DAYS * DAY_MS + MINUTE_MS))
    return findable(CATALOGUE, test, span_ms=DAYS * DAY_MS)


def test_every_watched_key_of_every_statistical_rule_has_its_promise(found: Any) -> None:
    own = {
        (name, shop) for name in ("drop", "score", "better", "count_drop", "count_rise", "silence") for shop in SHOPS
    }
    assert set(found) == own | {("parent", "north"), ("silent_parent", "north")}
    assert all(tuple(each) == HORIZONS for each in found.values())


@pytest.mark.parametrize(
    ("name", "key", "normal", "most"),
    [("drop", "paris", 0.1, 1.0), ("score", "paris", 0.2, 1.0), ("better", "paris", 0.2, 0.0), ("parent", "north", 0.1, 1.0),
     ("count_drop", "paris", 1.0, 0.0), ("count_rise", "paris", 1.0, 100.0), ("silence", "paris", 1.0, 0.0),
     ("silent_parent", "north", 1.0, 0.0)],
)  # fmt: skip
def test_the_longer_the_horizon_the_smaller_the_change(
    found: Any, name: str, key: str, normal: float, most: float
) -> None:
    sizes = [abs(size - normal) for size in found[name, key].values() if size is not None]
    assert len(sizes) == 4 if name != "better" else len(sizes) >= 2
    assert sizes == sorted(sizes, reverse=True)
    assert all(0 < size <= abs(most - normal) for size in sizes)


def test_more_answers_find_smaller_changes(found: Any) -> None:
    """Within a day: later the rarer false alarms of a key with half of the budget allow it more time."""
    day = {at: horizons["1 day"] for at, horizons in found.items()}
    assert day["drop", "paris"] < day["drop", "lyon"]
    assert day["score", "paris"] < day["score", "lyon"]
    assert day["parent", "north"] < day["drop", "paris"]
    assert day["silent_parent", "north"] > day["silence", "paris"]


def test_a_run_without_a_span_promises_nothing() -> None:
    test = Backtest(CATALOGUE, pane_ms=MINUTE_MS, provisional_step_ms=MINUTE_MS, alarms_only=True)
    assert findable(CATALOGUE, test, span_ms=0) == {}


def test_hours_with_levels_of_their_own_count_as_strata() -> None:
    """Forty answers at noon, 1 in 10 bad, and as many in the evening, 4 in 10 bad, of 36 days."""
    one = rule(RuleKind.DROP, baseline=BaselineKind.LEARNED, p0=None, profile="weekday_hour", day_effect=0.0)
    catalogue = msgspec.structs.replace(CATALOGUE, metric=[CSAT], alarm=[one])
    test = Backtest(catalogue, pane_ms=MINUTE_MS, provisional_step_ms=MINUTE_MS, alarms_only=True)
    series = Series(CSAT.identity, "touchpoint", "paris", "card")
    test.engine.advance(START, cells_of([
        Row(series, START // MINUTE_MS - 1440 * day + 60 * hour, score, 0, count, count * score)
        for day in range(1, 37) for hour, bad in ((12, 4), (20, 16)) for score, count in ((5, 40 - bad), (1, bad))
    ]))  # fmt: skip
    test.engine.decide(Decision(decision_id="d", kind=DecisionKind.RENEW, author="t", made_at=0))
    test.fresh[CSAT.identity, "touchpoint", "paris"] = 80 * 28
    ((_, (plain, *_)),) = test.engine.freeze()["rules"]["drop"]["watches"]
    levels = msgspec.convert(plain["card"], HourlyLevel).levels
    parts = [share_part(0.5, [Bernoulli(levels[hour], max(0.25, levels[hour] + 0.03))]) for hour in (12, 20)]
    wanted = mixed_finder(parts, (1.0,), 80.0, 1 / 7, MINUTE_MS).findable()
    found = findable(catalogue, test, span_ms=28 * DAY_MS)["drop", "paris"]
    assert list(found.values()) == pytest.approx([*wanted.by_days.values(), wanted.within_last], rel=1e-9)
    assert found["1 week"] is not None
