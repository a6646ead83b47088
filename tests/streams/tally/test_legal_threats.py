"""A legal threat on its way: posted to the real gateway, marked there, an alarm out of stage 1 at once."""

from contextlib import contextmanager

import httpx
import msgspec

from schemas.catalogue import load
from schemas.clock import system_clock
from schemas.codec import Kind, decode_as
from schemas.outputs import immediate_alarm_id
from schemas.rules import RuleKind
from schemas.topics import IMMEDIATE, SOURCES
from tests.producers.conftest import KEY, PSEUDONYM_KEY, serve

CARDS = [
    {"id": "11111111-1111-4111-8111-111111111111", "text": "Je vais porter plainte contre vous."},
    {"id": "22222222-2222-4222-8222-222222222222", "text": "Je ne vais pas porter plainte contre vous."},
]


def test_a_card_that_threatens_with_the_law_raises_its_alarm_at_once_and_one_that_denies_it_none(installation):
    process = installation.start()
    installation.wait(lambda: installation.assigned(process), "assigned")
    settings = msgspec.structs.replace(installation.settings, write_keys=f"shop:{KEY}", pseudonym_key=PSEUDONYM_KEY)
    with contextmanager(serve)(settings, load()) as gateway:
        given = [{"channel": "card", "touchpoint": "lyon", **card} for card in CARDS]
        headers = {"Authorization": f"Bearer {KEY}"}
        httpx.post(f"{gateway.url}/v1/feedback", json=given, headers=headers).raise_for_status()
    sent = system_clock()

    def counted() -> bool:
        reached = [meaning["to"] for _, meaning in installation.positions().values()]
        return len(reached) == sum(topic.partitions for topic in SOURCES) and min(reached) > sent

    installation.wait(counted, "both cards counted")
    (record,) = installation.records(IMMEDIATE.name)
    alarm = decode_as(Kind.TRANSITION, record.value)
    assert record.key == immediate_alarm_id(RuleKind.LEGAL_THREAT, CARDS[0]["id"]).encode()
    assert [alarm[name] for name in ("rule", "severity", "state", "key", "event_id")] == [
        "legal_threat", "page", "open", "lyon", CARDS[0]["id"],
    ]  # fmt: skip
    assert b"plainte" not in record.value
