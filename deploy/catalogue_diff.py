"""What changes between two catalogues: which series begin anew, which rules start unarmed."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.rules import IMMEDIATE, Rule

PLACES = {
    "touchpoint": {"new": "new", "gone": "gone: what is stored of it stays", "changed": "changed; a new parent counts from the change on"},
    "exception": {"new": "new", "gone": "gone", "changed": "changed"},
}  # fmt: skip


class Change(NamedTuple):
    """One change: what it is about, what happens to it, the fields that differ; `unarmed`: a rule that has to be armed."""

    what: str
    name: str
    change: str
    fields: str = ""
    unarmed: bool = False


def changes(old: Catalogue, new: Catalogue) -> Iterator[Change]:
    """Yield the changes in the order of the new catalogue, then what is gone."""
    before, after = {one.name: one for one in old.metric}, {one.name: one for one in new.metric}
    for name, metric in after.items():
        yield from _metric(before.get(name), metric)
    for name in sorted(before.keys() - after.keys()):
        yield Change("metric", name, "gone: its series end, what is stored stays")
    anew = {name for name, one in after.items() if name in before and before[name].identity != one.identity}
    rules, wanted = {one.name: one for one in old.alarm}, {one.name: one for one in new.alarm}
    for name, rule in wanted.items():
        yield from _rule(rules.get(name), rule, anew=rule.metric in anew)
    for name in sorted(rules.keys() - wanted.keys()):
        stay = rules[name].kind in IMMEDIATE
        yield Change("alarm", name, f"gone: its open alarms {'stay open' if stay else 'are resolved by this change'}")
    for what, words in PLACES.items():
        had, has = ({one.name: one for one in getattr(side, what)} for side in (old, new))
        for name in sorted(had.keys() | has.keys()):
            if had.get(name) != has.get(name):
                how = "new" if name not in had else "gone" if name not in has else "changed"
                yield Change(what, name, words[how], _differing(had.get(name), has.get(name)))


def _metric(old: Metric | None, new: Metric) -> Iterator[Change]:
    if old is None:
        yield Change("metric", new.name, f"new: its series begin as {new.identity}")
    elif old.identity != new.identity:
        same = "; raise its version, so that people see it too" if old.version == new.version else ""
        said = f"begins anew as {new.identity}; scores are not pooled with {old.identity}{same}"
        yield Change("metric", new.name, said, _differing(old, new))
    elif old != new:
        yield Change("metric", new.name, "goes on; only what people read differs", _differing(old, new))


def _rule(old: Rule | None, new: Rule, *, anew: bool) -> Iterator[Change]:
    """Say what becomes of a rule; `anew`: the series of its metric begin anew."""
    cold = new.kind not in IMMEDIATE
    if old is None:
        said = "new: starts unarmed; backtest it, then arm it" if cold else "new: alarms at once for each event"
        yield Change("alarm", new.name, said, unarmed=cold)
    elif anew or old.definition_hash != new.definition_hash:
        why = "changed" if old.definition_hash != new.definition_hash else "its metric begins anew"
        ends = "" if old.kind in IMMEDIATE else ": its open alarms are resolved"
        starts = "; its detectors start cold and unarmed: backtest it, then arm it" if cold else ""
        yield Change("alarm", new.name, f"{why}{ends}{starts}", _differing(old, new), unarmed=cold)
    elif old != new:
        yield Change("alarm", new.name, "goes on; only what people read differs", _differing(old, new))


def _differing(old: msgspec.Struct | None, new: msgspec.Struct | None) -> str:
    if old is None or new is None:
        return ""
    return ", ".join(name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name))
