"""Parents and children: which rules speak of the same thing at two heights, and what they tell of each other.

A parent rule (strata = "children") watches the touchpoints below each parent. While its alarm is open, the alarms of the
children are parts of one episode: they name it, and it lists them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from schemas.metrics import ALL
from schemas.rules import Rule
from streams.core.baseline import Span, joined

CHILD = "touchpoint"
MOST_LISTED = 10


class Relative(Protocol):
    """A rule as its family sees it."""

    @property
    def rule(self) -> Rule:
        """Return its definition."""

    def alarm(self, key: str) -> str | None:
        """Return the id of the alarm of a key that is not over."""

    def spans(self, key: str) -> Sequence[Span]:
        """Return when alarms of a key were open."""


class Families:
    """All rules of an engine and the parents of touchpoints."""

    def __init__(self, parents: Mapping[str, str]) -> None:
        self._parents = parents
        self._rules: list[Relative] = []

    def add(self, one: Relative) -> None:
        """Take a rule into its family."""
        self._rules.append(one)

    def owner(self, rule: Rule, key: str) -> str | None:
        """Return the key under which a rule watches a series of `key`; None if it does not."""
        if rule.strata != "children":
            return key
        return ALL if rule.dimension == ALL else self._parents.get(key)

    def _children(self, rule: Rule) -> list[Relative]:
        if rule.strata != "children":
            return []
        return [
            one for one in self._rules
            if one.rule.strata != "children" and one.rule.dimension == CHILD and one.rule.metric == rule.metric
            and one.rule.way == rule.way
        ]  # fmt: skip

    def noisy(self, rule: Rule, child: str) -> tuple[Span, ...]:
        """Return when alarms of a parent's child were open: a parent learns nothing from those days either."""
        return joined(one.spans(child) for one in self._children(rule))

    def contributors(self, rule: Rule, said: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the children with something to say (`said`: child -> facts, the strongest first), each with its open alarm."""
        children = self._children(rule)
        out = []
        for child, facts in list(said.items())[:MOST_LISTED]:
            alarms = [alarm for one in children if (alarm := one.alarm(child)) is not None]
            out.append({"key": child, **facts, "alarm_id": alarms[0] if alarms else None})
        return out

    def episode(self, rule: Rule, key: str) -> str | None:
        """Return the id of the open alarm of the parent to which an alarm of this rule belongs."""
        if rule.strata == "children" or rule.dimension != CHILD:
            return None
        for one in self._rules:
            same = one.rule.metric == rule.metric and one.rule.way == rule.way
            if one.rule.strata == "children" and same and (owner := self.owner(one.rule, key)) is not None:
                alarm = one.alarm(owner)
                if alarm is not None:
                    return alarm
        return None
