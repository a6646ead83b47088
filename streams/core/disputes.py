"""The immediate alarm: a dispute opens one at once, without statistics."""

from schemas.catalogue import ALL, Catalogue, Rule, RuleKind
from schemas.outputs import (
    AlarmState,
    AlarmTransition,
    Decision,
    DecisionKind,
    digest,
    dispute_alarm_id,
    output_to_record,
    transition_id,
)
from streams.core.tally import Dispute

ACTOR = "tally"
METRIC = "dispute"


def dispute_rule(catalogue: Catalogue) -> Rule | None:
    """Return the rule for disputes, if the catalogue has one."""
    return next((one for one in catalogue.alarm if one.kind is RuleKind.DISPUTE), None)


def opened(dispute: Dispute, rule: Rule) -> AlarmTransition:
    """Return the first transition of a dispute's alarm: named by the event, without its subject."""
    alarm = dispute_alarm_id(dispute.event_id)
    return AlarmTransition(
        transition_id=transition_id(alarm, 1), alarm_id=alarm, sequence=1,
        rule=rule.name, definition_hash=rule.definition_hash,
        metric=METRIC, dimension="touchpoint" if dispute.touchpoint is not None else ALL, key=dispute.touchpoint or ALL,
        direction="up", severity=rule.severity, state=AlarmState.OPEN,
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
