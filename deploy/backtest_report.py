"""What a backtest says about its rules: alarms a week beside the budget, known incidents caught and how late, false alarms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.table import Table

from deploy.backtest import Watched
from deploy.incidents import Caught, Episode, Incident, episodes, match
from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.outputs import AlarmTransition
from schemas.rules import IMMEDIATE, Rule, RuleKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS
from streams.core.engine import Engine
from streams.core.intervals import poisson_exact
from streams.core.watching.registry import wants_hours

LEVEL = 0.95
LISTED = 20
"""False alarms and unwatched keys that are listed one by one."""

Finds = Literal["share", "badness", "factor"]
"""A bad share, a mean badness (0: best end of the scale, 1: worst), or a factor of the expected events."""
_FINDS: Mapping[Finds, str] = {
    "share": "a bad share of {sizes}",
    "badness": "a mean badness of {sizes} (0%: all at the best end)",
    "factor": "events at {sizes} (100%: as expected)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleReport:
    """One rule: rates are a week over all its keys; `lo` and `hi` bound the rate of the unexplained alarms (exact Poisson)."""

    rule: str
    definition_hash: str
    budget_per_week: float
    keys: tuple[str, ...]
    weeks: float
    alarms: int
    false: tuple[Episode, ...]
    caught: tuple[Caught, ...]
    unwatched: dict[str, str]
    found_within: dict[str, dict[str, float | None]]
    """Key -> span -> the change nearest to normal whose mean delay is within it, of what `finds` says; None: none is."""
    immediate: bool
    finds: Finds = "share"

    @property
    def per_week(self) -> float | None:
        """Return the unexplained alarms a week; None if no key was watched."""
        return len(self.false) / self.weeks if self.weeks else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Return the exact 95 % bounds of that rate."""
        if not self.weeks:
            return None
        lo, hi = poisson_exact(len(self.false), LEVEL)
        return lo / self.weeks, hi / self.weeks

    @property
    def over_budget(self) -> bool:
        """Return whether there were more alarms than the budget explains, beyond the 95 % bound."""
        bounds = self.bounds
        return not self.immediate and bounds is not None and bounds[0] > self.budget_per_week

    def summary(self) -> dict[str, Any]:
        """Return the figures as plain values: what an arming keeps, and what `--json` prints."""
        bounds = self.bounds
        return {
            "rule": self.rule,
            "definition_hash": self.definition_hash,
            "keys": len(self.keys),
            "weeks": self.weeks,
            "alarms": self.alarms,
            "unexplained": len(self.false),
            "per_week": self.per_week,
            "per_week_lo": None if bounds is None else bounds[0],
            "per_week_hi": None if bounds is None else bounds[1],
            "budget_per_week": self.budget_per_week,
            "over_budget": self.over_budget,
            "incidents": len(self.caught),
            "incidents_caught": sum(one.episode is not None for one in self.caught),
            "late_ms": [one.late_ms for one in self.caught],
        }

    def details(self) -> dict[str, Any]:
        """Return the summary with every incident, unexplained alarm and key."""
        return {
            **self.summary(),
            "watched": list(self.keys),
            "unwatched": self.unwatched,
            "finds": self.finds,
            "found_within": self.found_within,
            "known_incidents": [
                {
                    **msgspec.to_builtins(one.incident),
                    "caught": one.episode is not None,
                    "late_ms": one.late_ms,
                    "alarm_id": None if one.episode is None else one.episode.alarm_id,
                }
                for one in self.caught
            ],
            "unexplained_alarms": [msgspec.to_builtins(one) for one in self.false],
        }


def reports(
    catalogue: Catalogue,
    engine: Engine,
    watched: Watched,
    transitions: Iterable[AlarmTransition],
    incidents: Sequence[Incident],
    *,
    span_weeks: float,
    found_within: dict[tuple[str, str], dict[str, float | None]] | None = None,
) -> list[RuleReport]:
    """Return the report of each rule after a run; `span_weeks`: how long the run was, for rules without statistics."""
    all_episodes = episodes(transitions)
    unwatched: dict[str, dict[str, str]] = {}
    for one in engine.unarmed:
        unwatched.setdefault(one.rule, {})[one.key] = one.reason
    spans = found_within or {}
    out = []
    for rule in catalogue.alarm:
        own = [episode for episode in all_episodes if episode.rule == rule.name]
        immediate = rule.kind in IMMEDIATE
        # an incident without a rule is no promise that somebody files a dispute
        concerned = [one for one in incidents if one.rule == rule.name or not (one.rule or immediate)]
        caught, false = match(concerned, own)
        out.append(
            RuleReport(
                rule=rule.name,
                definition_hash=rule.definition_hash,
                budget_per_week=rule.budget_per_week,
                keys=tuple(sorted(watched.keys.get(rule.name, ()))),
                weeks=span_weeks if immediate else float(watched.weeks[rule.name]),
                alarms=len(own),
                false=tuple(false),
                caught=tuple(caught),
                unwatched=dict(sorted(unwatched.get(rule.name, {}).items())),
                found_within={key: spans[name, key] for name, key in sorted(spans) if name == rule.name},
                immediate=immediate,
                finds="share" if immediate else finds(rule, catalogue.named(rule.metric)),
            )
        )
    return out


def finds(rule: Rule, metric: Metric) -> Finds:
    """Return what the size of a change is measured in."""
    if wants_hours(rule, metric):
        return "factor"
    return "badness" if rule.kind is RuleKind.SCORE else "share"


def show(found: Sequence[RuleReport], console: Console) -> None:
    """Print reports for people."""
    table = Table(title="Backtest", title_justify="left")
    for title in ("rule", "keys", "weeks watched", "alarms", "unexplained a week", "95 %", "budget a week", "verdict"):
        table.add_column(title, justify="left" if title in {"rule", "verdict"} else "right")
    for one in found:
        bounds = one.bounds
        table.add_row(
            one.rule,
            "" if one.immediate else str(len(one.keys)),
            f"{one.weeks:.2f}",
            str(one.alarms),
            "" if one.per_week is None else f"{one.per_week:.2f}",
            "" if bounds is None else f"{bounds[0]:.2f} to {bounds[1]:.2f}",
            "none: each one alarms" if one.immediate else f"{one.budget_per_week:g}",
            verdict(one),
        )
    console.print(table)
    for one in found:
        for each in one.caught:
            console.print(f"  {one.rule}: {_caught(each)}", markup=False, highlight=False)
        if not one.immediate:
            _list(one, console)


def verdict(one: RuleReport) -> str:
    """Return in words how the unexplained alarms stand to the budget."""
    if one.immediate:
        return ""
    if not one.weeks:
        return "nothing was watched"
    return "MORE than the budget" if one.over_budget else "the budget explains them"


def _caught(one: Caught) -> str:
    where = f"{one.incident.note or 'incident'} at {one.incident.key} from {_time(one.incident.from_)}"
    if one.late_ms is None:
        return f"MISSED {where}"
    return f"caught {where}: " + ("an alarm was open already" if one.late_ms == 0 else f"{span(one.late_ms)} late")


def _list(one: RuleReport, console: Console) -> None:
    lines = [f"unexplained: {each.key}, {_time(each.opened)}, alarm {each.alarm_id[:8]}" for each in one.false[:LISTED]]
    lines += [f"not watched: {key}: {reason}" for key, reason in list(one.unwatched.items())[:LISTED]]
    for key, spans in one.found_within.items():
        lines.append(f"at {key} it finds {_found(spans, one.finds)}")
    for line in lines:
        console.print(f"  {one.rule}: {line}", markup=False, highlight=False)


def _found(spans: dict[str, float | None], kind: Finds) -> str:
    found = [f"{size:.1%} within {name}" for name, size in spans.items() if size is not None]
    if not found:
        return f"nothing within {list(spans)[-1]}: use the parent"
    if len(found) > 1:  # the last horizon is only worth a word where the others find nothing
        found.pop()
    return _FINDS[kind].format(sizes=", ".join(found))


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def span(ms: int) -> str:
    """Return a length of time for people."""
    if ms < HOUR_MS:
        return f"{ms / MINUTE_MS:.0f} min"
    return f"{ms / HOUR_MS:.1f} h" if ms < 2 * DAY_MS else f"{ms / DAY_MS:.1f} d"
