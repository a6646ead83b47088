"""The checkers find what they are there for: each kind of planted damage, and nothing where there is none."""

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from tests.faults.checkers import Verdict, rows_against_ledger, said_so
from tests.faults.ledger import Ledger, Sent, fingerprint, read
from tests.faults.load import event


def events(count: int) -> list[dict[str, Any]]:
    rng = Random(1)
    return [event(rng, "paris", 0.1, old=False) for _ in range(count)]


def row(one: dict[str, Any]) -> tuple[Any, ...]:
    channel, place, occurred, scores = fingerprint(one)
    return (one["id"], channel, place, occurred, scores)


@pytest.fixture
def sent(tmp_path: Path) -> tuple[list[dict[str, Any]], Sent]:
    """Events 0 to 3 answered 202, 4 and 5 never answered, 6 refused, 7 first without an answer, then 202, 8 answered 503."""
    some, ledger = events(9), Ledger(tmp_path / "ledger.jsonl")
    for part, codes in (([0, 1, 2, 3], [202]), ([4, 5], [0]), ([6], [422]), ([7], [0, 202]), ([8], [503])):
        for code in codes:
            number = ledger.sending(msgspec.json.encode([some[at] for at in part]))
            ledger.answered(number, code, [some[at]["id"] for at in part])
    ledger.close()
    return some, read(ledger.file)


def test_the_ledger_tells_accepted_refused_and_unknown_apart(sent: tuple[list[dict[str, Any]], Sent]) -> None:
    some, found = sent
    names = [one["id"] for one in some]
    assert found.accepted == {*names[:4], names[7]}
    assert found.unknown == {*names[4:6], names[8]}
    assert found.refused == {names[6]}


def test_a_send_that_was_cut_off_before_its_answer_is_unknown(tmp_path: Path) -> None:
    one, ledger = events(1)[0], Ledger(tmp_path / "ledger.jsonl")
    ledger.sending(msgspec.json.encode([one]))
    ledger.close()
    with ledger.file.open("ab") as stream:
        stream.write(b'{"t": 1, "answ')
    assert read(ledger.file).unknown == {one["id"]}


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("none", ""), ("an acknowledged row is gone", "I1"), ("a row stands twice", "I2"),
        ("an unknown row stands twice", "I3"), ("a stranger", "I4"), ("a changed score", "I5"), ("a refused row", "I7"),
        ("an unknown row stands once", ""),
    ],
)  # fmt: skip
def test_planted_damage_is_found(sent: tuple[list[dict[str, Any]], Sent], damage: str, rule: str) -> None:
    some, found = sent
    rows = [row(some[at]) for at in (0, 1, 2, 3, 7)]
    match damage:
        case "an acknowledged row is gone":
            rows.pop(1)
        case "a row stands twice":
            rows.append(rows[0])
        case "an unknown row stands twice":
            rows += [row(some[4])] * 2
        case "an unknown row stands once":
            rows.append(row(some[5]))
        case "a stranger":
            rows.append(row({**some[0], "id": "another"}))
        case "a changed score":
            rows[2] = (*rows[2][:4], (9.0,))
        case "a refused row":
            rows.append(row(some[6]))
    verdict = Verdict()
    rows_against_ledger(found, rows, {}, verdict)
    assert {one.partition(" ")[0] for one in verdict.problems} >= ({rule} if rule else set())
    assert bool(verdict.problems) is bool(rule)


def test_who_had_to_complain_and_did_not_is_named_and_so_is_who_still_does() -> None:
    verdict = Verdict()
    said_so(("sink",), {"judge": "waits"}, {"gate": "starts"}, verdict)
    assert [one[:8] for one in verdict.problems] == ["I10 sink", "I10 gate"]
