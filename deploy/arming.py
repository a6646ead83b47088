"""Arm a rule as an operator does: its backtest first, then the decision, which keeps the summary of that backtest."""

from collections.abc import Sequence

from deploy.backtest_report import RuleReport
from deploy.backtesting import Run, Source
from deploy.incidents import Incident
from schemas.catalogue import Catalogue
from schemas.errors import UsageError
from schemas.outputs import Decision
from schemas.rules import IMMEDIATE, Rule
from schemas.settings import Settings


def armable(catalogue: Catalogue, name: str) -> Rule:
    """Return the rule of this name. Raises UsageError for one that is not there or needs no arming."""
    known = {rule.name: rule for rule in catalogue.alarm}
    if name not in known:
        raise UsageError("unknown_rule", f"no rule {name!r} in the catalogue", f"it has {', '.join(sorted(known))}")
    if known[name].kind in IMMEDIATE:
        raise UsageError("needs_no_arming", f"{name} alarms at once for each event: it has no baseline and no budget")
    return known[name]


def known_rule(catalogue: Catalogue, name: str) -> Rule:
    """Return the rule of this name. Raises UsageError."""
    for rule in catalogue.alarm:
        if rule.name == name:
            return rule
    names = ", ".join(sorted(rule.name for rule in catalogue.alarm))
    raise UsageError("unknown_rule", f"no rule {name!r} in the catalogue", f"it has {names}")


def tried(
    rule: Rule,
    source: Source,
    catalogue: Catalogue,
    settings: Settings,
    *,
    commands: Sequence[Decision] = (),
    incidents: Sequence[Incident] = (),
) -> RuleReport:
    """Return what the rule would have done over past events. Raises UsageError, UnavailableError."""
    run = Run(source, catalogue, settings, commands=commands, alarms_only=True, renewals=True)
    run.finish()
    (report,) = run.reports(incidents, rules=[rule.name])
    return report


def refusal(report: RuleReport, *, force: bool, note: str) -> str:
    """Return why the rule must not be armed after this backtest; "" if it may be."""
    if not report.over_budget:
        return ""
    assert report.bounds is not None
    why = (
        f"{report.rule} would have raised {len(report.false)} unexplained alarms in {report.weeks:.2f} weeks: at least"
        f" {report.bounds[0]:.2f} a week (95 %), its budget is {report.budget_per_week:g}"
    )
    if not force:
        return (
            f"{why}. Name the incidents that explain them (--incidents), mend the rule, or insist: --force --note '...'"
        )
    return "" if note.strip() else f"{why}. --force wants a --note that says why"
