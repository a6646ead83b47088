"""The catalogues of a running installation: which one counts from which pane on, as decisions in the log say.

The first is that of the first judge, from pane 0. Each further one names the catalogue that it replaces. Stage 1 counts a
pane with the catalogue that is declared for it; what it counted before it knew is told by the hash in its blocks.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import msgspec

from schemas.catalogue import Catalogue
from schemas.errors import ContractError
from schemas.metrics import Metric
from schemas.outputs import Decision, DecisionKind, digest

SEED = "catalogue.seed"
"""Topic in blocks with the past of new series: topic id = catalogue hash, partition = number of the block, from 0, both panes
those of the change."""
LESSON = "catalogue.lesson"
"""Topic in blocks with the past of series that go on, for rules that now listen to them; nobody else counts these."""
SEEDS = frozenset({SEED, LESSON})


class Declared(NamedTuple):
    """A catalogue and the first pane that it counts (ms; 0: from the begin)."""

    from_pane: int
    catalogue: Catalogue


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a decision `catalogue`; `seed`: whether new series begin with their past, which is then waited for."""

    catalogue_hash: str
    catalogue: dict[str, Any]
    replaces: str = ""
    seed: bool = True


def declaration(
    catalogue: Catalogue, *, from_pane: int, replaces: str, author: str, made_at: int, note: str = "", seed: bool = True
) -> Decision:
    """Return the decision that puts a catalogue into force from a pane on; `replaces`: hash of the one that it follows, "" of the first."""
    plain = msgspec.to_builtins(catalogue)
    body = Body(catalogue_hash=catalogue.hash, catalogue=plain, replaces=replaces, seed=seed)
    return Decision(
        decision_id=digest("catalogue", catalogue.hash, replaces, from_pane), kind=DecisionKind.CATALOGUE,
        from_pane=from_pane, author=author, note=note, made_at=made_at, body=msgspec.to_builtins(body),
    )  # fmt: skip


def declared(decision: Decision) -> Declared:
    """Return what a decision `catalogue` declares. Raises ContractError if its catalogue is not the one that it names."""
    body = msgspec.convert(decision.body, Body)
    try:
        catalogue = msgspec.convert(body.catalogue, Catalogue)
    except msgspec.ValidationError as error:
        raise ContractError(
            "unknown_catalogue", f"catalogue {body.catalogue_hash} of the log cannot be read: {error}",
            "run the version that declared it, or a newer one",
        ) from error  # fmt: skip
    if catalogue.hash != body.catalogue_hash:
        raise ContractError(
            "unknown_catalogue", f"catalogue {body.catalogue_hash} of the log reads as {catalogue.hash} here",
            "run the version that declared it",
        )  # fmt: skip
    return Declared(decision.from_pane or 0, catalogue)


class Catalogues:
    """All catalogues that were declared, in order; empty before the first judge."""

    def __init__(self, known: Iterable[Declared] = ()) -> None:
        self._known = sorted(known, key=lambda one: one.from_pane)

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> Self:
        """Return the catalogues of decisions in any order; one that stands twice counts once."""
        return cls({one.decision_id: declared(one) for one in decisions}.values())

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Declared]:
        return iter(self._known)

    def at(self, pane: int) -> Declared | None:
        """Return what is declared for a pane; None while nothing is."""
        return next((one for one in reversed(self._known) if one.from_pane <= pane), None)

    def after(self, pane: int) -> Declared | None:
        """Return the next change after `pane`, None if there is none yet."""
        return next((one for one in self._known if one.from_pane > pane), None)

    @property
    def first(self) -> Declared | None:
        """Return the one with which the log was begun; None before the first judge."""
        return self._known[0] if self._known else None

    @property
    def newest(self) -> Declared | None:
        """Return the one that was or will be in force last; None before the first judge."""
        return self._known[-1] if self._known else None

    def by_hash(self, name: str) -> Catalogue | None:
        """Return the catalogue of a hash, None if it was never declared."""
        return next((one.catalogue for one in self._known if one.catalogue.hash == name), None)


def new_metrics(before: Catalogue, after: Catalogue) -> list[Metric]:
    """Return the metrics of `after` whose series `before` does not have."""
    known = before.by_identity()
    return [metric for identity, metric in after.by_identity().items() if identity not in known]


def new_listeners(before: Catalogue, after: Catalogue) -> list[tuple[Metric, str]]:
    """Return (metric, dimension) of series that go on and that a new or changed rule of `after` reads."""
    rules, known = {one.name: one.definition_hash for one in before.alarm}, before.by_identity()
    found: dict[tuple[str, str], Metric] = {}
    for rule in after.alarm:
        if rule.metric and rules.get(rule.name) != rule.definition_hash:
            metric = after.named(rule.metric)
            if metric.identity in known:
                found[metric.identity, rule.reads] = metric
    return [(metric, dimension) for (_, dimension), metric in sorted(found.items(), key=lambda one: one[0])]


def refusal(catalogues: Catalogues, wanted: Catalogue, *, from_pane: int, judged: int) -> ContractError | None:
    """Return why a catalogue cannot come into force at a pane, None if it can; `judged`: the last pane judged."""
    newest = catalogues.newest
    if newest is None:
        return ContractError(
            "no_catalogue_yet", "no judge has begun the log, so nothing is to be replaced",
            "start `barometer worker` with this catalogue in the settings",
        )  # fmt: skip
    if newest.catalogue.hash == wanted.hash:
        return ContractError(
            "same_catalogue", f"catalogue {wanted.hash} is the newest one already",
            "titles, owners and targets are read from the file of the settings when a process starts",
        )  # fmt: skip
    earlier = {identity for one in catalogues for identity in one.catalogue.by_identity()}
    again = sorted(one.identity for one in new_metrics(newest.catalogue, wanted) if one.identity in earlier)
    if again:
        return ContractError(
            "series_ended", f"{', '.join(again)} ended with an earlier change and cannot go on after a gap",
            "raise the version of these metrics: they begin anew, with their past",
        )  # fmt: skip
    if from_pane <= max(judged, newest.from_pane):
        return ContractError(
            "pane_too_early", f"pane {from_pane} lies before the last change ({newest.from_pane}) or is judged ({judged})",
            "name a later one (--from)",
        )  # fmt: skip
    return None


def as_settings_say(catalogues: Catalogues, settings: Catalogue) -> Catalogue:
    """Return the newest catalogue, that of the settings where none is declared yet or only what people read differs.

    Raises ContractError where the settings name one that was never declared: a change that nobody has applied.
    """
    newest = catalogues.newest
    if newest is None or newest.catalogue.hash == settings.hash:
        return settings
    if catalogues.by_hash(settings.hash) is None:
        raise ContractError(
            "catalogue_changed", f"the log runs with catalogue {newest.catalogue.hash}, the settings name {settings.hash}",
            "put it into force with `barometer catalogue apply`, or restore the old file",
        )  # fmt: skip
    return newest.catalogue
