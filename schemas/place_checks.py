"""What a touchpoint and an exceptional day must be: what a type cannot say about them."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import time
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from schemas.catalogue_checks import twice
from schemas.catalogue_fields import Problem
from schemas.metrics import ALL

if TYPE_CHECKING:
    from schemas.catalogue import ExceptionalDays, Touchpoint


def touchpoint_problems(
    touchpoints: "Mapping[int, Touchpoint]", *, unread: AbstractSet[str] = frozenset()
) -> Iterator[Problem]:
    """Yield what is wrong with touchpoints: names, parents, time zones, hours."""
    yield from twice("touchpoint", {index: one.name for index, one in touchpoints.items()})
    parents = {one.name: one.parent for one in touchpoints.values()}
    zones = available_timezones()
    for index, one in touchpoints.items():
        path = f"$.touchpoint[{index}]"
        if not one.name or one.name == ALL:
            yield Problem(f"{path}.name", f"{one.name!r} is no name", "write the name that stands in events")
        if one.time_zone not in zones:
            yield Problem(
                f"{path}.time_zone", f"unknown time zone {one.time_zone}", 'write an IANA name: "Europe/Paris"'
            )
        if one.parent is not None and one.parent not in parents.keys() | unread:
            yield Problem(
                f"{path}.parent", f"the parent {one.parent} is no touchpoint", "add a [[touchpoint]] of that name"
            )
        elif _circular(one.name, parents):
            yield Problem(f"{path}.parent", f"{one.name} is above itself", "break the circle")
        for name in ("opens", "closes"):
            if getattr(one, name) is not None and not _clock(getattr(one, name)):
                yield Problem(f"{path}.{name}", f"{getattr(one, name)!r} is no time of day", 'write "09:00"')
        if (one.opens is None) != (one.closes is None):
            yield Problem(path, "opens and closes belong together", "state both, or none")


def _circular(name: str, parents: Mapping[str, str | None]) -> bool:
    seen, at = {name}, parents.get(name)
    while at is not None and at not in seen:
        seen.add(at)
        at = parents.get(at)
    return at == name


def _clock(text: str) -> bool:
    try:
        return time.fromisoformat(text).isoformat("minutes") == text
    except ValueError:
        return False


def exception_problems(days: "Mapping[int, ExceptionalDays]", touchpoints: set[str]) -> Iterator[Problem]:
    """Yield what is wrong with exceptional days; `touchpoints`: the names that exist."""
    yield from twice("exception", {index: one.name for index, one in days.items()})
    for index, one in days.items():
        if one.last < one.first:
            yield Problem(
                f"$.exception[{index}].to", f"{one.name} ends before it begins", "write to = the last day of it"
            )
        unknown = sorted(set(one.touchpoints) - touchpoints)
        if unknown:
            yield Problem(f"$.exception[{index}].touchpoints", f"unknown touchpoints: {', '.join(unknown)}",
                          "name touchpoints of this file; none means all")  # fmt: skip
