"""What a change of the catalogue asks of a seed, and the blocks that the store gives for it."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
from clickhouse_driver import Client

from schemas.arrival import pane_of
from schemas.blocks import Block, Cells
from schemas.catalogue import Catalogue
from schemas.declared import LESSON, SEED, Body, Catalogues, declared, new_listeners, new_metrics
from schemas.errors import ContractError
from schemas.outputs import Decision, DecisionKind, digest
from sinks.seed_cells import Cut, lesson_cells, oldest, past_cells, stored_events


class Change(NamedTuple):
    """A change of the catalogue that waits for its seed; `pane`: the first that it counts."""

    pane: int
    before: Catalogue
    after: Catalogue


class Made(NamedTuple):
    """The past of a change: blocks in order, and how many stored events were looked at."""

    blocks: list[Block]
    events: int


def change_of(decision: Decision, catalogues: Catalogues, pane_ms: int) -> Change | None:
    """Return the change that a decision makes, None if nothing waits for its seed. Raises ContractError for an unknown predecessor."""
    body = msgspec.convert(decision.body, Body)
    from_pane, after = declared(decision)
    if from_pane <= 0 or not body.seed:
        return None
    before = catalogues.by_hash(body.replaces)
    if before is None:
        raise ContractError(
            "unknown_catalogue", f"catalogue {after.hash} replaces {body.replaces}, which was never declared",
            "the topic of catalogues is incomplete: restore it",
        )  # fmt: skip
    return Change(pane_of(from_pane - 1, pane_ms), before, after)


def counted_past(client: Client, change: Change, cuts: Sequence[Cut], pane_ms: int) -> Made:
    """Return the past of a change as the store has it; all before the cuts must be stored."""
    since = oldest(change.pane)
    past = chain.from_iterable(
        past_cells(client, metric, change.after, cuts, since) for metric in new_metrics(change.before, change.after)
    )
    blocks = [_block(SEED, number, change, cells, pane_ms) for number, cells in enumerate(past)]
    lessons = lesson_cells(client, new_listeners(change.before, change.after), change.pane, since)
    blocks += [_block(LESSON, number, change, cells, pane_ms) for number, cells in enumerate(lessons)]
    return Made(blocks, stored_events(client, cuts, since))


def _block(topic: str, number: int, change: Change, cells: Cells, pane_ms: int) -> Block:
    return Block(
        topic=topic, topic_id=change.after.hash, partition=number, from_pane=change.pane, to_pane=change.pane,
        pane_ms=pane_ms, arrived_ms=change.pane, next_offset=0, catalogue_hash=change.after.hash, cells=cells,
    )  # fmt: skip


def seeded(change: Change, events: int, made_at: int) -> Decision:
    """Return the decision that the past of a change is complete."""
    return Decision(
        decision_id=digest("seeded", change.after.hash, change.pane), kind=DecisionKind.SEEDED, author="seed",
        made_at=made_at, body={"catalogue_hash": change.after.hash, "events": events},
    )  # fmt: skip
