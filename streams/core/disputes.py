"""The immediate alarms: a dispute or a legal threat opens one at once, without statistics."""

from collections.abc import Iterable, Iterator, Mapping

from schemas.catalogue import Catalogue
from schemas.event import FeedbackEvent
from schemas.metrics import ALL
from schemas.outputs import (
    AlarmState,
    AlarmTransition,
    Decision,
    DecisionKind,
    digest,
    immediate_alarm_id,
    output_to_record,
    transition_id,
)
from schemas.rules import IMMEDIATE, Rule, RuleKind
from streams.core.tally import DISPUTE, LEGAL_THREAT, MARKED, Dispute, LegalThreat

ACTOR = "tally"


def immediate_rules(catalogue: Catalogue) -> dict[RuleKind, Rule]:
    """Return the first rule of each immediate kind that the catalogue has."""
    return {rule.kind: rule for rule in reversed(catalogue.alarm) if rule.kind in IMMEDIATE}


def found_in(event: FeedbackEvent, pane: int) -> list[Dispute]:
    """Return what an event raises at once, as `disputes_of` finds it in a run; for whoever has no runs."""
    if event.traits.probe or event.retract:
        return []
    facts = (event.event_id, event.touchpoint, event.occurred_at, pane)
    out = [Dispute(*facts)] if event.kind == DISPUTE else []
    return [*out, LegalThreat(*facts)] if event.attributes.get(LEGAL_THREAT) == MARKED else out


def raised_by(found: Iterable[Dispute], rules: Mapping[RuleKind, Rule]) -> Iterator[AlarmTransition]:
    """Yield the alarms of what was found, where there is a rule for it."""
    for one in found:
        rule = rules.get(RuleKind.LEGAL_THREAT if isinstance(one, LegalThreat) else RuleKind.DISPUTE)
        if rule is not None:
            yield opened(one, rule)


def opened(dispute: Dispute, rule: Rule) -> AlarmTransition:
    """Return the first transition of an immediate alarm: named by rule kind and event, without its subject."""
    alarm = immediate_alarm_id(rule.kind, dispute.event_id)
    return AlarmTransition(
        transition_id=transition_id(alarm, 1), alarm_id=alarm, sequence=1,
        rule=rule.name, definition_hash=rule.definition_hash,
        metric=rule.kind, dimension="touchpoint" if dispute.touchpoint is not None else ALL, key=dispute.touchpoint or ALL,
        direction=rule.way, severity=rule.severity, state=AlarmState.OPEN,
        pane=dispute.pane, first_pane=dispute.pane, n=1, bad=1,
        occurred_first=dispute.occurred_at, occurred_last=dispute.occurred_at,
        event_id=dispute.event_id, actor=ACTOR,
    )  # fmt: skip


def adoption(alarm: AlarmTransition) -> Decision:
    """Return the decision by which the judge takes the alarm over; the same alarm, the same decision."""
    return Decision(
        decision_id=digest(DecisionKind.ADOPT, alarm.alarm_id), kind=DecisionKind.ADOPT, author=ACTOR,
        made_at=alarm.pane, body=output_to_record(alarm),
    )  # fmt: skip
