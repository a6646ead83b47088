"""Fetched records -> runs: headers and keys read, ticks told apart, all values of a batch decoded at once."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from aiokafka import ConsumerRecord

from schemas.arrival import is_tick, sent_of
from streams.core.tally import DISPUTE, NO_SENT, RecordKind, Run
from streams.decoding import decode_events

Records = Sequence[ConsumerRecord[bytes, bytes]]
Key = TypeVar("Key")


def runs_of(batch: Mapping[Key, Records]) -> dict[Key, Run]:
    """Return the run of each partition's records; one decoding call serves all of them."""
    ticks = {key: [is_tick(one.key, one.value) for one in records] for key, records in batch.items()}
    values = [
        one.value for key, records in batch.items() for one, tick in zip(records, ticks[key], strict=True) if not tick
    ]
    decoded = decode_events(values)
    disputed = (decoded.frame["kind"] == DISPUTE).to_numpy()
    runs, at, row = {}, 0, 0
    for key, records in batch.items():
        tick = np.array(ticks[key], dtype=np.bool_)
        good = decoded.good[at : at + len(records) - int(tick.sum())]
        at += len(good)
        kinds = np.full(len(records), RecordKind.TICK, dtype=np.int8)
        kinds[~tick] = np.where(good, RecordKind.EVENT, RecordKind.UNDECODABLE)
        rows = int(good.sum())
        sent = [sent_of(one.headers) for one in records]
        runs[key] = Run(
            offsets=np.array([one.offset for one in records], dtype=np.int64),
            append_ms=np.array([one.timestamp for one in records], dtype=np.int64),
            sent_ms=np.array([NO_SENT if one is None else one for one in sent], dtype=np.int64),
            kinds=kinds,
            frame=decoded.frame.slice(row, rows),
            disputes=disputed[row : row + rows],
        )
        row += rows
    return runs
