"""Corrections in a file: the readings are those of a file that had it right at once, and no detector hears of them."""

import json
import random
from typing import Any

import msgspec
import pytest

from deploy.backtest import Backtest, alarms_of, backtest
from schemas.catalogue import load
from schemas.outputs import Decision, DecisionKind
from schemas.rules import BaselineKind
from schemas.windows import DAY_MS, HOUR_MS, MINUTE_MS

CATALOGUE = load()
FIXED = msgspec.structs.replace(
    CATALOGUE, alarm=[msgspec.structs.replace(CATALOGUE.alarm[0], baseline=BaselineKind.FIXED, p0=0.1)]
)
START = 20_000 * DAY_MS
PANE = 10_000
SHOPS = ("paris", "lyon")
Event = dict[str, Any]


def event(name: str, at: int, score: int = 5, **more: Any) -> Event:
    return {
        "id": name, "channel": "card", "touchpoint": "paris", "occurred_at": at,
        "answers": [{"question": "csat", "score": score}], **more,
    }  # fmt: skip


def correction(name: str, of: str, at: int, **more: Any) -> Event:
    """Return what an edge would send for a correction: only what is new."""
    return {"id": name, "channel": "card", "occurred_at": at, "corrects": of, **more}


def withdrawal(name: str, of: str, at: int) -> Event:
    return correction(name, of, at, retract=True)


def spoken(score: int) -> dict[str, Any]:
    return {"answers": [{"question": "csat", "score": score}]}


def finals(events: list[Event], until: int) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return the last settled row of each reading with answers."""
    rows = backtest(
        [json.dumps(one) for one in events], CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000, until=until
    )
    settled = {
        (one["metric"], one["dimension"], one["key"], one["window"], one["window_end"]): (one["n"], one["value"], one["bins"])
        for one in rows
        if one["type"] == "reading" and one["status"] != "provisional"
    }  # fmt: skip
    return {at: said for at, said in settled.items() if said[0]}


def world(seed: int) -> tuple[list[Event], list[Event]]:
    """Return a file with corrections, and one with the same events as they are in the end."""
    dice = random.Random(seed)
    file: list[Event] = []
    right: list[Event] = []
    for number in range(60):
        at = START + dice.randrange(2 * HOUR_MS)
        score = dice.randrange(1, 6)
        where = {"touchpoint": dice.choice(SHOPS)}
        file.append(event(f"e{number}", at, score, **where))
        stands: Event | None = event(f"e{number}", at, score, **where)
        then = at
        for step in range(dice.choice((0, 0, 1, 1, 2))):
            then += dice.randrange(1, 30 * MINUTE_MS)
            name = f"c{number}.{step}"
            if dice.random() < 0.3:
                file.append(withdrawal(name, f"e{number}", then))
                stands = None
                break
            score = dice.randrange(1, 6)
            moved = {"touchpoint": dice.choice(SHOPS)} if dice.random() < 0.3 else {}
            where |= moved
            file.append(correction(name, f"e{number}", then, **spoken(score), **moved))
            stands = event(f"e{number}", at, score, **where)
        if stands is not None:
            right.append(stands)
    dice.shuffle(file)
    return file, right


@pytest.mark.parametrize("seed", range(3))
def test_readings_are_those_of_a_file_that_had_it_right_at_once(seed: int) -> None:
    """The file has readings at the times of what was taken back besides."""
    file, right = world(seed)
    until = START + DAY_MS
    assert sum("corrects" in one for one in file) > 10
    found, expected = finals(file, until), finals(right, until)
    assert {at: found.get(at) for at in expected} == expected
    assert len(expected) > 500


def test_no_detector_hears_of_a_correction() -> None:
    answers = [event(f"e{number}", START + number * PANE) for number in range(40)]
    worse = [
        correction(f"c{number}", f"e{number}", START + HOUR_MS + number * PANE, **spoken(1)) for number in range(40)
    ]
    renewal = Decision(decision_id="r", kind=DecisionKind.RENEW, from_pane=START + MINUTE_MS, author="t", made_at=0)
    plain = [json.dumps(one) for one in answers]
    wrong = [json.dumps(one) for one in worse]
    until = START + DAY_MS
    assert alarms_of([*plain, *wrong], FIXED, decisions=[renewal], pane_ms=PANE, until=until) == []
    bad = [json.dumps({**one, **spoken(1)}) for one in answers]
    assert alarms_of(bad, FIXED, decisions=[renewal], pane_ms=PANE, until=until) != []


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ([withdrawal("c", "nobody", START + 10)], "corrects_unknown"),
        ([withdrawal("c", "late", START + 10), event("late", START + 20)], "corrects_unknown"),
        ([withdrawal("b", "e", START + 5), withdrawal("c", "e", START + 10)], "already_retracted"),
        ([withdrawal("b", "e", START + 5), correction("c", "e", START + 10, **spoken(2))], "already_retracted"),
        ([correction("c", "e", START + 10, **spoken(2)) | {"channel": "web"}], "corrects_other_channel"),
    ],
)
def test_what_corrects_nothing_is_refused_by_its_line(after: list[Event], reason: str) -> None:
    test = Backtest(CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    refused: list[Any] = []
    lines = [event("e", START), *after]
    list(test.run(map(json.dumps, lines), [], until=None, report=refused.append))
    assert [(lines[one.number - 1]["id"], one.error.reason) for one in refused] == [("c", reason)]
    assert test.read["bad"] == 1


def test_a_correction_that_is_sent_again_is_a_repeat() -> None:
    test = Backtest(CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    again = correction("c", "e", START + 10, **spoken(2))
    lines = [event("e", START), again, {**again, "arrived_at": START + HOUR_MS}, withdrawal("d", "e", START + 20)]
    lines.append({**lines[-1], "arrived_at": START + HOUR_MS})
    list(test.run(map(json.dumps, lines), [], until=None))
    assert (test.read["repeats"], test.read["bad"]) == (2, 0)
    assert finals(lines, START + DAY_MS) == {}
