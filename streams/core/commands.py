"""What decisions do to alarms and rules; what names nothing that is there is ignored and counted."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from schemas.errors import ContractError
from schemas.outputs import AlarmState, AlarmTransition, Decision, DecisionKind
from streams.core.lifecycle import AlarmBook, Silence
from streams.core.watching.watcher import By, Watcher

Said = list[AlarmTransition] | None
"""The transitions of a decision; None: it was ignored."""


class Commands:
    """The decisions on one engine's rules and alarms; `ignored` counts by kind those that changed nothing."""

    def __init__(self, book: AlarmBook, rules: Mapping[str, Watcher], immediate: Collection[str]) -> None:
        self.ignored: Counter[str] = Counter()
        self._book, self._rules = book, rules
        self._named = set(rules) | set(immediate)
        self._by_kind: Mapping[DecisionKind, Callable[[Decision, int], Said]] = {
            DecisionKind.RENEW: self._renew,
            DecisionKind.ADOPT: self._adopt,
            DecisionKind.RESOLVE: self._resolve,
            DecisionKind.ACK: self._annotate,
            DecisionKind.NOTE: self._annotate,
            DecisionKind.SILENCE: self._silence,
            DecisionKind.ARM: self._arm,
            DecisionKind.DISARM: self._disarm,
            DecisionKind.REBASE: self._rebase,
        }

    def apply(self, decision: Decision, pane: int) -> list[AlarmTransition]:
        """Apply a decision before `pane` is judged; return the transitions that it causes. Raises ContractError."""
        found = self._by_kind.get(decision.kind)
        if found is None:
            raise ContractError("not_for_the_engine", f"a record of kind {decision.kind} concerns the judge alone")
        said = found(decision, pane)
        if said is None:
            self.ignored[decision.kind] += 1
        return said or []

    def _rule(self, decision: Decision) -> Watcher | None:
        return self._rules.get(str(decision.body.get("rule", "")))

    def _alarm(self, decision: Decision) -> AlarmTransition | None:
        return self._book.last(str(decision.body.get("alarm_id", "")))

    def _renew(self, decision: Decision, pane: int) -> Said:
        """Renew all rules; a renewal for a pane that the newest one came after (written twice, or late) changes nothing."""
        wanted, newest = decision.from_pane, self._book.renewed
        if wanted is not None and newest is not None and wanted <= newest:
            return None
        self._book.renewed = pane
        for rule in self._rules.values():
            rule.renew(pane)
        return []

    def _adopt(self, decision: Decision, _: int) -> Said:
        self._book.adopt(decision.body)
        return []

    def _resolve(self, decision: Decision, pane: int) -> Said:
        found = self._alarm(decision)
        if found is None:
            return None
        rule = self._rules.get(found.rule)
        if rule is not None and rule.alarm(found.key) == found.alarm_id:
            return rule.resolve(found.key, pane, By(decision.author, decision.note))
        facts = {"actor": decision.author, "note": decision.note}
        return [self._book.follow(found, AlarmState.RESOLVED, pane, {}, **facts)]

    def _annotate(self, decision: Decision, pane: int) -> Said:
        """Acknowledge or note: a further step with the evidence as it stands."""
        found = self._alarm(decision)
        if found is None:
            return None
        state = found.state
        if decision.kind is DecisionKind.ACK:
            state = AlarmState.ACKNOWLEDGED if state is AlarmState.OPEN else state
            rule = self._rules.get(found.rule)
            if rule is not None and rule.alarm(found.key) == found.alarm_id:
                rule.episodes.acknowledged(found.key)
        return [self._book.repeat(found, state, pane, actor=decision.author, note=decision.note)]

    def _silence(self, decision: Decision, pane: int) -> Said:
        rule, until = str(decision.body.get("rule", "")), decision.body.get("until")
        if rule not in self._named or not isinstance(until, int):
            return None
        self._book.silence(Silence(rule, str(decision.body.get("key", "")), until), pane)
        return []

    def _arm(self, decision: Decision, pane: int) -> Said:
        rule = self._rule(decision)
        if rule is None or decision.body.get("definition_hash") != rule.rule.definition_hash:
            return None
        rule.arm()
        rule.renew(pane)
        return []

    def _disarm(self, decision: Decision, pane: int) -> Said:
        rule = self._rule(decision)
        if rule is None or not rule.is_armed:
            return None
        return rule.disarm(pane, By(decision.author, decision.note))

    def _rebase(self, decision: Decision, pane: int) -> Said:
        rule = self._rule(decision)
        if rule is None:
            return None
        return rule.rebase(str(decision.body.get("key", "")), pane, By(decision.author, decision.note))
