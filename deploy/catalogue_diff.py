"""What changes between two catalogues: which series begin anew, which rules start unarmed."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from schemas.catalogue import Catalogue
from schemas.metrics import Metric
from schemas.rules import Rule


class Change(NamedTuple):
    """One change: what it is about, what happens to it, and the fields that differ."""

    what: str
    name: str
    change: str
    fields: str = ""


def changes(old: Catalogue, new: Catalogue) -> Iterator[Change]:
    """Yield the changes in the order of the new catalogue, then what is gone."""
    before, after = {one.name: one for one in old.metric}, {one.name: one for one in new.metric}
    for name, metric in after.items():
        yield from _metric(before.get(name), metric)
    yield from (
        Change("metric", name, "gone: its series end, what is stored stays") for name in before.keys() - after.keys()
    )
    rules, wanted = {one.name: one for one in old.alarm}, {one.name: one for one in new.alarm}
    for name, rule in wanted.items():
        yield from _rule(rules.get(name), rule)
    yield from (
        Change("alarm", name, "gone: its open alarms need a command to end") for name in rules.keys() - wanted.keys()
    )
    for what in ("touchpoint", "exception"):
        had, has = ({one.name: one for one in getattr(side, what)} for side in (old, new))
        for name in sorted(had.keys() | has.keys()):
            if had.get(name) != has.get(name):
                how = "new" if name not in had else "gone" if name not in has else "changed"
                yield Change(what, name, how, _differing(had.get(name), has.get(name)))


def _metric(old: Metric | None, new: Metric) -> Iterator[Change]:
    if old is None:
        yield Change("metric", new.name, f"new: its series begins as {new.identity}")
    elif old.identity != new.identity:
        same = "; raise its version, so that people see it too" if old.version == new.version else ""
        said = f"begins anew as {new.identity}; scores are not pooled with {old.identity}{same}"
        yield Change("metric", new.name, said, _differing(old, new))
    elif old != new:
        yield Change("metric", new.name, "goes on; only what people read differs", _differing(old, new))


def _rule(old: Rule | None, new: Rule) -> Iterator[Change]:
    if old is None:
        yield Change("alarm", new.name, "new: starts unarmed; backtest it, then arm it")
    elif old.definition_hash != new.definition_hash:
        yield Change(
            "alarm",
            new.name,
            "changed: its detectors start cold and unarmed; backtest it, then arm it",
            _differing(old, new),
        )
    elif old != new:
        yield Change("alarm", new.name, "goes on; only what people read differs", _differing(old, new))


def _differing(old: msgspec.Struct | None, new: msgspec.Struct | None) -> str:
    if old is None or new is None:
        return ""
    return ", ".join(name for name in new.__struct_fields__ if getattr(old, name) != getattr(new, name))
