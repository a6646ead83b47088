"""Known incidents: read from both forms, refused by number, matched with the alarms that told of them."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from scipy.stats import chi2

from deploy.backtest import Watched
from deploy.backtest_report import RuleReport, show, verdict
from deploy.incidents import Caught, Episode, Incident, episodes, match, read_incidents
from schemas.catalogue import load
from schemas.errors import UsageError
from schemas.outputs import AlarmState, AlarmTransition
from schemas.windows import HOUR_MS
from streams.core.engine import Engine

AT = 1_774_677_600_000
TOML = """
[[incident]]
key = "lyon"
from = 2026-03-28T06:00:00Z
note = "till broken"

[[incident]]
key = "paris"
from = "2026-03-28T07:00:00+01:00"
to = 1774681200000
rule = "drop"
"""
CSV = "key,from,to,rule,note\nlyon,2026-03-28T06:00:00Z,,,till broken\nparis,2026-03-28T07:00:00+01:00,1774681200000,drop,\n"


def step(alarm: str, state: AlarmState, pane: int, *, rule: str = "drop", key: str = "lyon") -> AlarmTransition:
    return AlarmTransition(
        transition_id=f"{alarm}{pane}", alarm_id=alarm, sequence=1, rule=rule, definition_hash="", metric="csat",
        dimension="touchpoint", key=key, direction="down", severity="page", state=state, pane=pane, first_pane=pane,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "text"), [("known.toml", TOML), ("known.csv", CSV)])
def test_both_forms_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_incidents(tmp_path / name) == [
        Incident(key="lyon", from_=AT, note="till broken"),
        Incident(key="paris", from_=AT, to=AT + HOUR_MS, rule="drop"),
    ]


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ('[[incident]]\nkey = "lyon"\n', "incident 1"),
        ('[[incident]]\nkey = "lyon"\nfrom = 2026-03-28T06:00:00\n', "offset"),
        ('[[incident]]\nkey = "lyon"\nfrom = 5\nto = 4\n', "before it begins"),
        ('[[incident]]\nkey = "lyon"\nfrom = 5\nwhen = 4\n', "when"),
        ("[[accident]]\nkey = 1\n", "accident"),
        ("[[incident", "bad_incidents"),
        ("incident = 3", "bad_incidents"),
    ],
)
def test_what_is_no_incident_is_refused_by_name(tmp_path: Path, text: str, culprit: str) -> None:
    (tmp_path / "known.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        read_incidents(tmp_path / "known.toml")
    assert culprit in str(refused.value)
    assert refused.value.remedy


def test_an_alarm_that_comes_back_is_an_episode_of_its_own() -> None:
    opened, ack, resolved = AlarmState.OPEN, AlarmState.ACKNOWLEDGED, AlarmState.RESOLVED
    found = episodes([
        step("a", AlarmState.PENDING, 1), step("a", opened, 2), step("a", ack, 3), step("b", opened, 4), step("a", resolved, 5),
        step("a", opened, 6),
    ])  # fmt: skip
    assert [(one.alarm_id, one.opened, one.to) for one in found] == [("a", 2, 5), ("b", 4, None), ("a", 6, None)]


def test_an_incident_is_caught_by_the_first_alarm_within_it_and_the_others_stay_unexplained() -> None:
    incidents = [
        Incident(key="lyon", from_=100, to=200),
        Incident(key="paris", from_=100),
        Incident(key="lille", from_=100, rule="x"),
    ]
    found = [
        Episode(alarm_id="before", rule="drop", key="lyon", opened=50, to=60),
        Episode(alarm_id="late", rule="drop", key="lyon", opened=180),
        Episode(alarm_id="first", rule="drop", key="lyon", opened=130),
        Episode(alarm_id="over", rule="drop", key="lyon", opened=201),
        Episode(alarm_id="standing", rule="drop", key="paris", opened=90, to=110),
        Episode(alarm_id="other rule", rule="drop", key="lille", opened=110),
    ]
    caught, unexplained = match(incidents, found)
    assert [(one.episode and one.episode.alarm_id, one.late_ms) for one in caught] == [
        ("first", 30), ("standing", 0), (None, None),
    ]  # fmt: skip
    assert {one.alarm_id for one in unexplained} == {"before", "over", "standing", "other rule"}


def report(*, false: int, weeks: float, budget: float = 1.0, caught: tuple[Caught, ...] = ()) -> RuleReport:
    some = tuple(Episode(alarm_id=f"{i}", rule="drop", key="lyon", opened=i) for i in range(false))
    return RuleReport(
        rule="drop", definition_hash="", budget_per_week=budget, keys=("lyon",), weeks=weeks, alarms=false, false=some,
        caught=caught, unwatched={}, found_within={}, immediate=False,
    )  # fmt: skip


@pytest.mark.parametrize(("false", "weeks"), [(0, 4.0), (1, 4.0), (7, 2.5), (40, 4.0)])
def test_the_interval_is_that_of_garwood(false: int, weeks: float) -> None:
    bounds = report(false=false, weeks=weeks).bounds
    lo = chi2.ppf(0.025, 2 * false) / 2 if false else 0.0
    assert bounds == pytest.approx((lo / weeks, chi2.ppf(0.975, 2 * false + 2) / 2 / weeks))


def test_only_more_than_chance_explains_is_beyond_the_budget() -> None:
    verdicts = {false: report(false=false, weeks=4.0).over_budget for false in (0, 4, 8, 9, 40)}
    assert verdicts == {0: False, 4: False, 8: False, 9: True, 40: True}  # chi2: 9 in 4 weeks is at least 1.03 a week
    assert "MORE" in verdict(report(false=40, weeks=4.0))
    assert "nothing was watched" in verdict(report(false=0, weeks=0.0))


def test_time_without_a_watched_key_is_no_watched_time() -> None:
    watched = Watched()
    watched.changed(Engine(load(), pane_ms=10, provisional_step_ms=10), 10)
    watched.until(1_000_000)
    assert sum(watched.weeks.values()) == 0


@pytest.mark.parametrize(
    ("kind", "said"),
    [("share", "a bad share of 50.0% within 1 week, 40.0% within 1 month"),
     ("badness", "a mean badness of 50.0% within 1 week, 40.0% within 1 month (0%: all at the best end)"),
     ("factor", "events at 50.0% within 1 week, 40.0% within 1 month (100%: as expected)")],
)  # fmt: skip
def test_a_report_says_in_what_a_change_is_measured(kind: Any, said: str) -> None:
    spans: dict[str, float | None] = {"1 day": None, "1 week": 0.5, "1 month": 0.4, "90 days": 0.3}
    one = replace(report(false=0, weeks=4.0), found_within={"lyon": spans, "lille": dict.fromkeys(spans)}, finds=kind)
    text = io.StringIO()
    show([one], Console(file=text, width=200))
    assert f"at lyon it finds {said}" in text.getvalue()
    assert "at lille it finds nothing within 90 days" in text.getvalue()
