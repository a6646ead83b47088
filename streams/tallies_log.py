"""The tallies log as the judge reads it: blocks and decisions, and what may stand in its first decision."""

from collections.abc import Mapping
from typing import Any

import msgspec

from schemas import blocks, declared, exclusion
from schemas.blocks import Block
from schemas.codec import Kind, decode, kind_of
from schemas.errors import ContractError, UndecodableError
from schemas.outputs import AlarmTransition, Decision, DecisionKind, decision_from_record, digest
from schemas.settings import Settings
from schemas.topics import SOURCES
from streams.topic_ids import Found

ANOTHER = "start a new installation with another topic_prefix"


class _SourcesBody(msgspec.Struct, frozen=True):
    sources: list[tuple[str, str, int]]
    pane_ms: int
    provisional_step_ms: int
    catalogue_hash: str


class _AlarmBody(msgspec.Struct, frozen=True):
    alarm_id: str


class _SilenceBody(msgspec.Struct, frozen=True):
    rule: str
    key: str
    until: int


class _ArmBody(msgspec.Struct, frozen=True):
    rule: str
    definition_hash: str
    backtest: dict[str, Any]


class _RuleBody(msgspec.Struct, frozen=True):
    rule: str


class _KeyBody(msgspec.Struct, frozen=True):
    rule: str
    key: str


class _SeededBody(msgspec.Struct, frozen=True):
    catalogue_hash: str
    events: int


_BODIES: Mapping[DecisionKind, Any] = {
    DecisionKind.SOURCES: _SourcesBody,
    DecisionKind.ADOPT: AlarmTransition,
    DecisionKind.RENEW: dict,
    DecisionKind.RESOLVE: _AlarmBody,
    DecisionKind.ACK: _AlarmBody,
    DecisionKind.NOTE: _AlarmBody,
    DecisionKind.SILENCE: _SilenceBody,
    DecisionKind.ARM: _ArmBody,
    DecisionKind.DISARM: _RuleBody,
    DecisionKind.REBASE: _KeyBody,
    DecisionKind.CATALOGUE: declared.Body,
    DecisionKind.SEEDED: _SeededBody,
    DecisionKind.EXCLUDE: exclusion.Body,
    DecisionKind.INCLUDE: exclusion.Body,
}


def entry_of(value: bytes | None) -> Block | Decision:
    """Return the block or decision of wire bytes. Raises UndecodableError for anything else, a body that does not fit included."""
    kind, record = decode(value)
    if kind is Kind.BLOCK:
        return blocks.from_record(record)
    if kind is not Kind.DECISION:
        raise UndecodableError("unexpected_schema", f"{kind.name} in the tallies log")
    try:
        decision = decision_from_record(record)
        msgspec.convert(decision.body, _BODIES[decision.kind])
        return decision
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise UndecodableError("bad_decision", str(error)) from error


def is_sources(value: bytes | None) -> bool:
    """Return whether a record is a decision `sources`."""
    try:
        if kind_of(value) is not Kind.DECISION:
            return False
        entry = entry_of(value)
    except UndecodableError:
        return False
    return isinstance(entry, Decision) and entry.kind is DecisionKind.SOURCES


def sources_body(found: Mapping[str, Found], settings: Settings, catalogue_hash: str) -> dict[str, Any]:
    """Return what the decision `sources` says of this installation: source partitions, and all that decides what is judged.

    Raises ContractError where the broker's partition count is not that of the topic table.
    """
    sources = []
    for topic in SOURCES:
        here = found[settings.topic_prefix + topic.name]
        if here.partitions != topic.partitions:
            raise ContractError(
                "partition_count",
                f"{topic.name} has {here.partitions} partitions, the topic table says {topic.partitions}",
                f"partition counts never change: {ANOTHER}",
            )
        sources += [[topic.name, here.topic_id, number] for number in range(topic.partitions)]
    return {
        "sources": sources,
        "pane_ms": settings.pane_ms,
        "provisional_step_ms": settings.provisional_step_ms,
        "catalogue_hash": catalogue_hash,
    }


def sources_decision(body: dict[str, Any], now_ms: int) -> Decision:
    """Return the first decision of a log."""
    name = digest("sources", msgspec.json.encode(body, order="sorted").decode())
    return Decision(decision_id=name, kind=DecisionKind.SOURCES, author="judge", made_at=now_ms, body=body)


def check_sources(stored: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Compare the decision `sources` of the log with what runs. Raises ContractError that names the difference and the remedy."""
    if stored["catalogue_hash"] != ours["catalogue_hash"]:
        raise ContractError(
            "catalogue_changed",
            f"the log was begun with catalogue {stored['catalogue_hash']}, the settings name {ours['catalogue_hash']}",
            "start with the old catalogue, then put the new one into force with `barometer catalogue apply`",
        )
    for name in ("pane_ms", "provisional_step_ms"):
        if stored[name] != ours[name]:
            raise ContractError(
                "step_changed",
                f"the log is judged with {name} {stored[name]}, the settings say {ours[name]}",
                f"set BAROMETER_{name.upper()}={stored[name]}, or {ANOTHER}",
            )
    stored_set = {tuple(one) for one in stored["sources"]}
    differing = stored_set ^ {tuple(one) for one in ours["sources"]}
    if differing:
        names = sorted({f"{topic}-{partition}" for topic, _, partition in differing})
        raise ContractError(
            "sources_changed",
            f"not the source partitions that the log names: {', '.join(names)}",
            f"a topic that was created anew has lost its events: {ANOTHER}",
        )
