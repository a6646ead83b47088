"""Rows of feedback_events -> events: the way back from the store."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from clickhouse_driver import Client

from schemas.event import Answer, Channel, Direction, FeedbackEvent, Order, Traits

COLUMNS = (
    "event_id", "channel", "kind", "source", "subject", "also_known_as", "conversation_ref", "in_reply_to", "direction",
    "survey_ref", "touchpoint", "product", "order_ref", "order_amount_minor", "order_currency", "order_items",
    "order_promised_at", "order_delivered_at", "agent_ref", "occurred_at", "received_at", "answer_question",
    "answer_question_version", "answer_score", "answer_scale_min", "answer_scale_max", "answer_derived_by", "text", "lang",
    "text_ciphertext", "data_key_id", "attributes", "consent", "corrects", "retract", "backfill", "second_hand", "probe",
    "non_human", "trait_reason",
)  # fmt: skip
_TIMES = ("occurred_at", "received_at", "order_promised_at", "order_delivered_at")
_WORDS = ("text", "text_ciphertext")


def selected(*, texts: bool = True) -> str:
    """Return what a query selects so that `event_of` can read its rows: times as epoch ms; without texts they are empty."""
    return ", ".join(_selected(name, texts=texts) for name in COLUMNS)


def _selected(name: str, *, texts: bool) -> str:
    if name in _TIMES:
        return f"toUnixTimestamp64Milli({name}) AS {name}__ms"
    return name if texts or name not in _WORDS else f"'' AS {name}__none"


def event_of(row: Sequence[Any]) -> FeedbackEvent:
    """Return the event of a row that a query of `selected` gave."""
    at = dict(zip(COLUMNS, row, strict=True))
    return FeedbackEvent(
        event_id=at["event_id"],
        channel=Channel(at["channel"]),
        kind=at["kind"],
        source=at["source"],
        subject=at["subject"] or None,
        also_known_as=list(at["also_known_as"]),
        conversation_ref=at["conversation_ref"] or None,
        in_reply_to=at["in_reply_to"] or None,
        direction=Direction(at["direction"]),
        survey_ref=at["survey_ref"] or None,
        touchpoint=at["touchpoint"] or None,
        product=at["product"] or None,
        order=_order(at),
        agent_ref=at["agent_ref"] or None,
        occurred_at=at["occurred_at"],
        received_at=at["received_at"],
        answers=_answers(at),
        text=at["text"] or None,
        lang=at["lang"] or None,
        text_ciphertext=_bytes(at["text_ciphertext"]),
        data_key_id=at["data_key_id"] or None,
        attributes=dict(at["attributes"]),
        consent=at["consent"] or None,
        corrects=at["corrects"] or None,
        retract=bool(at["retract"]),
        traits=Traits(
            backfill=bool(at["backfill"]),
            second_hand=bool(at["second_hand"]),
            probe=bool(at["probe"]),
            non_human=bool(at["non_human"]),
            reason=at["trait_reason"] or None,
        ),
    )


def _order(at: Mapping[str, Any]) -> Order | None:
    if not at["order_ref"]:
        return None
    return Order(
        ref=at["order_ref"],
        amount_minor=at["order_amount_minor"],
        currency=at["order_currency"] or None,
        items=at["order_items"],
        promised_at=at["order_promised_at"],
        delivered_at=at["order_delivered_at"],
    )


def _answers(at: Mapping[str, Any]) -> list[Answer]:
    return [
        Answer(
            question=question,
            question_version=version,
            score=score,
            scale_min=low,
            scale_max=high,
            derived_by=derived_by or None,
        )
        for question, version, score, low, high, derived_by in zip(
            at["answer_question"], at["answer_question_version"], at["answer_score"], at["answer_scale_min"],
            at["answer_scale_max"], at["answer_derived_by"], strict=True,
        )
    ]  # fmt: skip


def _bytes(given: str | bytes) -> bytes | None:
    if not given:
        return None
    return given if isinstance(given, bytes) else given.encode("latin-1")


def _without(event: FeedbackEvent, hidden: frozenset[str]) -> FeedbackEvent:
    if not any(name.lower() in hidden for name in event.attributes):
        return event
    kept = {name: value for name, value in event.attributes.items() if name.lower() not in hidden}
    return msgspec.structs.replace(event, attributes=kept)


def versions(
    client: Client, targets: Sequence[str], *, hidden: frozenset[str] = frozenset()
) -> dict[str, list[FeedbackEvent]]:
    """Return target id -> the event of that id and all that corrects it, in the order in which they were admitted.

    They come without texts, and without the attributes whose names in lower case are `hidden`.
    """
    out: dict[str, list[FeedbackEvent]] = {one: [] for one in targets}
    rows = client.execute(
        f"SELECT {selected(texts=False)} FROM feedback_events WHERE event_id IN %(ids)s OR corrects IN %(ids)s"
        " ORDER BY corrects != '', arrived_at, offset",
        {"ids": tuple(targets)},
        settings={"max_query_size": 1 << 26},
    )
    for row in rows:
        event = _without(event_of(row), hidden)
        if event.corrects is None:
            out[event.event_id].append(event)
        elif event.corrects in out:
            out[event.corrects].append(event)
    return out
