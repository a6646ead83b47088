"""Run the real engine over events in memory: cells pane by pane, so that a test can spoil them on the way."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from deploy.demo.generate import RealTime
from schemas.blocks import EMPTY, Cells
from schemas.catalogue import Catalogue
from schemas.outputs import AlarmTransition, Decision, Output, Reading
from streams.core.counting import count_panes, frame_of
from streams.core.engine import Engine
from streams.core.merging import merged

PROVISIONAL_STEP_MS = 60_000
NO_TRAITS = {"backfill": False, "second_hand": False, "probe": False, "non_human": False, "reason": None}


def envelopes(native: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return events of the generator with the fields of the envelope that decide what they count for."""
    return [
        {
            "event_id": one["id"],
            "channel": one["channel"],
            "kind": one["kind"],
            "direction": "in",
            "touchpoint": one.get("touchpoint"),
            "occurred_at": one["occurred_at"],
            "received_at": one["arrived_at"],
            "arrived_at": one["arrived_at"],
            "lane": one["lane"],
            "traits": NO_TRAITS,
            "answers": [
                {
                    "question": answer["question"],
                    "question_version": "1",
                    "score": float(answer["score"]),
                    "scale_min": float(answer["scale"][0]),
                    "scale_max": float(answer["scale"][1]),
                    "derived_by": None,
                }
                for answer in one.get("answers", ())
            ],
        }
        for one in native
    ]


def thinned(month: RealTime, keep_one_in: int) -> list[dict[str, Any]]:
    """Return every n-th event of a month: all days and windows, at a size that a naive recount can take."""
    return envelopes(month.events[::keep_one_in])


def cells_by_pane(
    events: Sequence[Mapping[str, Any]], catalogue: Catalogue, *, pane_ms: int, alarms_only: bool = False
) -> dict[int, Cells]:
    """Return what stage 1 counts in each pane; `events` hold each id once."""
    parts: dict[int, list[Cells]] = defaultdict(list)
    for live in (False, True):
        held = [event for event in events if (event["lane"] == "live") is live]
        panes = np.array([(event["arrived_at"] // pane_ms + 1) * pane_ms for event in held], dtype=np.int64)
        chosen = {"metrics": {"csat"}, "dimensions": {"touchpoint"}} if alarms_only else {}
        for pane, cells in count_panes(frame_of(held), panes, catalogue, live=live, **chosen).items():
            parts[pane].append(cells)
    return {pane: merged(several) for pane, several in sorted(parts.items())}


def judged(
    cells: Mapping[int, Cells],
    catalogue: Catalogue,
    *,
    pane_ms: int,
    until: int,
    decisions: Sequence[Decision] = (),
    alarms_only: bool = False,
) -> tuple[list[dict[str, Any]], list[AlarmTransition]]:
    """Return readings, as rows, and transitions of the engine up to pane `until`."""
    engine = Engine(
        catalogue, pane_ms=pane_ms, provisional_step_ms=PROVISIONAL_STEP_MS, alarms_only=alarms_only, armed=True
    )
    out: list[Output] = []
    waiting = sorted(decisions, key=lambda one: one.from_pane or 0)
    for pane in sorted(cells):
        while waiting and (waiting[0].from_pane or 0) <= pane:
            decision = waiting.pop(0)
            before = (decision.from_pane or pane) - pane_ms
            if engine.pane is None or engine.pane < before:
                out += engine.advance(before, EMPTY)
            out += engine.decide(decision)
        out += engine.advance(pane, cells[pane])
    if engine.pane is None or engine.pane < until:
        out += engine.advance(until, EMPTY)
    readings: list[dict[str, Any]] = [msgspec.to_builtins(one) for one in out if isinstance(one, Reading)]
    return readings, [one for one in out if isinstance(one, AlarmTransition)]
