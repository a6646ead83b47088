"""Seeded feedback of every channel and kind, well formed and not: what a stream of a week may hold."""

import random
import uuid

import msgspec

from schemas.event import KINDS, Answer, Channel, Direction, FeedbackEvent, Order, Traits

START_MS = 1_774_562_400_000
"""2026-03-26 22:00 UTC: the week in which the clocks of Paris change."""
HOUR_MS = 3_600_000
PLACES = ("paris", "l'île \"d'or\" / nord", "unheard of", None)
SCALES = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "perceived": (-2, 2), "expected": (-2, 2)}


def feedback(seed: int, size: int) -> list[FeedbackEvent]:
    """Return events, some of which take back or replace earlier ones."""
    chance = random.Random(seed)
    out: list[FeedbackEvent] = []
    for number in range(size):
        if out and chance.random() < 0.12:
            out += _corrected(chance, chance.choice(out))
        out.append(_event(chance, seed, number))
    return out


def conversations(seed: int, size: int, *, since_ms: int, every_ms: int) -> list[FeedbackEvent]:
    """Return questions, answers and ratings of a few customers, one `every_ms` from `since_ms` on, told early and late."""
    chance = random.Random(seed)
    return [_said(chance, f"{seed} said {number}", since_ms + number * every_ms) for number in range(size)]


def _said(chance: random.Random, name: str, at_ms: int) -> FeedbackEvent:
    out = chance.random() < 0.4
    occurred = at_ms - chance.choice((0, 0, 600_000, HOUR_MS, 3 * HOUR_MS, 50 * HOUR_MS)) + chance.randrange(600_000)
    return FeedbackEvent(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        channel=chance.choice((Channel.EMAIL, Channel.CALL)),
        kind=chance.choice(("reply", "reply", "auto_reply") if out else ("question", "complaint", "rating")),
        source="test/1",
        subject=chance.choice((None, "ann", "ann", "bob")),
        conversation_ref=chance.choice((None, "x", "x", "y")),
        direction=Direction.OUT if out else Direction.IN,
        touchpoint=chance.choice(PLACES),
        occurred_at=occurred,
        received_at=at_ms,
        answers=[Answer(question="csat", score=float(chance.randint(1, 5)), scale_min=1, scale_max=5)]
        if not out
        else [],
        attributes={"topic": "size"} if chance.random() < 0.3 else {},
        corrects="e" if chance.random() < 0.1 else None,
        traits=Traits(non_human=chance.random() < 0.05),
    )


def _event(chance: random.Random, seed: int, number: int) -> FeedbackEvent:
    kind = chance.choice(("rating", "survey_answered", "survey_sent", "order_placed", "complaint", *sorted(KINDS)))
    occurred = START_MS + chance.randrange(5 * 24) * HOUR_MS + chance.randrange(HOUR_MS)
    flag = lambda share: chance.random() < share  # noqa: E731 - one word for four uses
    amount = chance.choice((None, -100, 0, 1, 99, 1_999, 123_456_789, 10**12, 10**12 + 1))
    return FeedbackEvent(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{seed} {number}")),
        channel=chance.choice(list(Channel)),
        kind=kind,
        source="test/1",
        direction=chance.choice((Direction.IN, Direction.IN, Direction.OUT)),
        touchpoint=chance.choice(PLACES),
        product=chance.choice((None, "shoe", 'b"a\\g')),
        order=Order(ref="r", amount_minor=amount, currency=chance.choice(("EUR", "USD"))) if flag(0.7) else None,
        occurred_at=occurred,
        received_at=occurred + chance.choice((0, 30 * HOUR_MS)),
        answers=[_answer(chance) for _ in range(chance.randrange(7))],
        attributes={"segment": chance.choice(("gold", "a/b"))} if flag(0.6) else {"other": "x"},
        traits=Traits(second_hand=flag(0.1), probe=flag(0.25), non_human=flag(0.1)),
    )


def _answer(chance: random.Random) -> Answer:
    question = chance.choice(list(SCALES))
    low, high = SCALES[question] if chance.random() < 0.9 else (0, 100)
    score = (
        float(chance.randint(low, high)) if chance.random() < 0.9 else chance.choice((low - 1.0, high + 1.0, low + 0.5))
    )
    return Answer(
        question=question, question_version=chance.choice(("1", "2", "2")), score=score, scale_min=low, scale_max=high
    )


def _corrected(chance: random.Random, old: FeedbackEvent) -> list[FeedbackEvent]:
    """Return what takes an event back and, every other time, what replaces it; an event is corrected once here."""
    if old.corrects is not None or old.retract:
        return []
    target = old.event_id
    minus = msgspec.structs.replace(
        old, event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"minus {target} {chance.random()}")), corrects=target, retract=True,
        received_at=old.received_at + HOUR_MS,
    )  # fmt: skip
    if chance.random() < 0.5:
        return [minus]
    plus = msgspec.structs.replace(
        old, event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, f"plus {target} {chance.random()}")), corrects=target,
        answers=[_answer(chance) for _ in range(3)], received_at=old.received_at + HOUR_MS,
    )  # fmt: skip
    return [minus, plus]
