"""Events, fetched records and naive counts for the tests of the streams."""

import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from schemas.arrival import TICK_KEY
from schemas.blocks import Cells
from schemas.catalogue import Catalogue
from schemas.codec import Kind, encode
from schemas.event import Answer, Channel, Direction, FeedbackEvent, Traits, to_record
from tests.streams.core.naive_cells import naive_cells

Event = dict[str, Any]
START_MS = 1_790_000_000_000
_KINDS = ("rating", "comment", "complaint", "letter", "dispute", "page_view", "order_placed", "probe", "question")
_SCALES = {"csat": (1.0, 5.0), "nps": (0.0, 10.0), "ces": (1.0, 7.0), "colour": (1.0, 3.0)}


def _answer(dice: random.Random) -> Answer:
    question = dice.choice(list(_SCALES))
    low, high = _SCALES[question]
    if dice.random() < 0.1:
        high += 1
    score = dice.choice(
        [dice.uniform(low, high), float(dice.randint(int(low), int(high))), float(int(high) + 1), float("nan")]
    )
    if dice.random() < 0.8:
        score = float(dice.randint(int(low), int(high)))
    return Answer(question=question, score=score, scale_min=low, scale_max=high)


def make_event(dice: random.Random, *, at_ms: int = START_MS, **fields: Any) -> Event:
    """Return one random event as its Avro record; `fields` overwrite what is random."""
    occurred = at_ms - dice.choice((0, 500, 90_000, 7_200_000, 90_000_000))
    event = FeedbackEvent(
        event_id=str(uuid.UUID(int=dice.getrandbits(128))),
        channel=dice.choice(list(Channel)),
        kind=dice.choice(_KINDS),
        source="test/1",
        subject=dice.choice((None, f"s{dice.randrange(50)}")),
        direction=Direction.OUT if dice.random() < 0.1 else Direction.IN,
        touchpoint=dice.choice((None, "paris", "lyon", "genève", "")),
        occurred_at=occurred,
        received_at=at_ms,
        answers=[_answer(dice) for _ in range(dice.choice((0, 0, 1, 1, 2, 3)))],
        text=dice.choice((None, "très bien", "")),
        attributes={"a": "b"} if dice.random() < 0.3 else {},
        traits=Traits(
            second_hand=dice.random() < 0.1, probe=dice.random() < 0.05, non_human=dice.random() < 0.05, backfill=False
        ),
    )
    return {**to_record(event), **fields}


def make_record(
    offset: int, value: Event | bytes | None, append_ms: int, *, sent_ms: int | None = None, topic: str = "t"
) -> ConsumerRecord[bytes, bytes]:
    """Return a fetched record: an event, raw bytes, or a tick (None)."""
    raw = encode(Kind.EVENT, value) if isinstance(value, dict) else value
    headers = () if sent_ms is None else (("sent", str(sent_ms).encode()),)
    key = TICK_KEY if value is None else b"k"
    size = -1 if raw is None else len(raw)
    return ConsumerRecord(topic, 0, offset, append_ms, 1, key, raw, None, len(key), size, headers)


@pytest.fixture(scope="session")
def event_maker() -> Callable[..., Event]:
    return make_event


@pytest.fixture(scope="session")
def record_maker() -> Callable[..., ConsumerRecord[bytes, bytes]]:
    return make_record


@pytest.fixture(scope="session")
def counted_naively() -> Callable[[Sequence[Event], Catalogue, bool], Cells]:
    return naive_cells
