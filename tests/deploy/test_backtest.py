"""The engine over a file: the id rule, lanes, commands, faults, and independence of the order of lines."""

import io
import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deploy.backtest import Backtest, alarms_of, backtest
from deploy.backtest_commands import commands_of
from deploy.backtesting import Source
from deploy.cli_backtest import run
from deploy.demo.generate import real_time
from deploy.demo.shops import shops_of
from schemas.catalogue import load
from schemas.errors import UsageError
from schemas.outputs import AlarmState, AlarmTransition, DecisionKind, Reading
from schemas.rules import BaselineKind
from schemas.settings import Settings
from schemas.windows import DAY_MS, HOUR_MS

CATALOGUE = load()
FIXED = msgspec.structs.replace(
    CATALOGUE,
    alarm=[msgspec.structs.replace(CATALOGUE.alarm[0], baseline=BaselineKind.FIXED, p0=0.1), CATALOGUE.alarm[1]],
)
START = 20_000 * DAY_MS
PANE = 10_000


def event(number: int, at: int, score: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "id": f"e{number}", "channel": "card", "touchpoint": "paris", "occurred_at": at,
        "answers": [{"question": "csat", "score": score}], **more,
    }  # fmt: skip


def said(events: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    lines = [json.dumps(one) for one in events]
    return list(backtest(lines, CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000, **more))


def finals(rows: list[dict[str, Any]]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return the last final or revised row of each reading, without what tells how it came about."""
    return {
        (one["metric"], one["dimension"], one["key"], one["window"], one["window_end"]): (
            one["n"],
            one["value"],
            one["bins"],
        )
        for one in rows
        if one["type"] == "reading" and one["status"] != "provisional"
    }


def volume(rows: list[dict[str, Any]]) -> int:
    """Return the events in the last hour reading of everything."""
    hours = [one for one in rows if one["type"] == "reading" and one["metric"] == "volume" and one["dimension"] == "*"]
    return max(int(one["n"]) for one in hours)


def test_rows_have_the_names_of_the_tables() -> None:
    row = said([event(1, START)], until=START + HOUR_MS)[0]
    assert row["type"] == "reading"
    assert set(row) - {"type"} == set(Reading.__struct_fields__)


@pytest.mark.parametrize(
    ("lane", "apart", "counted"),
    [
        ("live", 0, 1), ("live", 14 * DAY_MS, 1), ("live", 14 * DAY_MS + 1, 2),
        ("history", 0, 1), ("history", 30 * DAY_MS, 1),
    ],
)  # fmt: skip
def test_the_same_id_counts_once_within_its_window_and_at_any_distance_in_history(
    lane: str, apart: int, counted: int
) -> None:
    test = Backtest(CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000, alarms_only=True)
    twice = [event(1, START, arrived_at=START + ago, lane=lane) for ago in (0, apart)]
    assert list(test.run(twice, [], until=None)) == []
    assert (test.read["counted"], test.read["repeats"]) == (counted, 2 - counted)


def test_order_of_lines_and_repeated_lines_change_nothing() -> None:
    rng = random.Random(5)
    events = [
        event(
            number,
            at,
            rng.randrange(1, 6),
            arrived_at=at + rng.randrange(20) * 60_000,
            lane=rng.choice(["live", "history"]),
        )
        for number in range(60)
        for at in [START + rng.randrange(3 * HOUR_MS)]
    ]
    expected = said(events, until=START + 2 * DAY_MS)
    doubled = events + events
    rng.shuffle(doubled)
    assert said(doubled, until=START + 2 * DAY_MS) == expected
    assert finals(expected)


def test_history_moves_readings_and_no_detector() -> None:
    renew = commands_of([json.dumps({"command": "renew", "from_pane": START + HOUR_MS})])
    good = [event(number, START + number) for number in range(30)]
    bad = [event(100 + number, START + HOUR_MS + number * PANE, 1) for number in range(30)]
    for lane, alarms in (("live", 1), ("history", 0)):
        lines = [{**one, "lane": lane} for one in good + bad]
        opened = alarms_of(lines, FIXED, decisions=renew, pane_ms=PANE)
        assert [one.state for one in opened] == [AlarmState.OPEN] * alarms


def test_alarms_only_gives_the_same_alarms() -> None:
    month = real_time(shops_of(CATALOGUE), 1)
    late = [one for one in month.events if one["lane"] == "live" and one["touchpoint"] == month.injected_shop]
    events = [
        one for one in month.events if one["lane"] == "history" and one["touchpoint"] == month.injected_shop
    ] + late
    csat = msgspec.structs.replace(CATALOGUE.named("csat"), windows=("7d",))
    catalogue = msgspec.structs.replace(CATALOGUE, metric=[csat])
    fast = alarms_of(events, catalogue, decisions=[month.renewal], pane_ms=60_000, until=month.end)
    test = Backtest(catalogue, pane_ms=60_000, provisional_step_ms=HOUR_MS)
    full = [one for one in test.run(events, [month.renewal], until=month.end) if isinstance(one, AlarmTransition)]
    assert [msgspec.structs.replace(one, seq=0) for one in full] == [
        msgspec.structs.replace(one, seq=0) for one in fast
    ]
    assert [one.key for one in fast if one.rule == "satisfaction_drop"][:1] == [month.injected_shop]


def test_a_dispute_alarms_at_once_and_resolves_by_command() -> None:
    dispute = event(1, START, kind="dispute")
    (first,) = alarms_of([dispute], CATALOGUE, pane_ms=PANE)
    resolve = commands_of(
        [json.dumps({"command": "resolve", "alarm_id": first.alarm_id, "from_pane": START + HOUR_MS})]
    )
    both = alarms_of([dispute], CATALOGUE, decisions=resolve, pane_ms=PANE, until=START + DAY_MS)
    assert [(one.rule, one.key, one.sequence, one.state) for one in both] == [
        ("dispute", "paris", 1, AlarmState.OPEN),
        ("dispute", "paris", 2, AlarmState.RESOLVED),
    ]


def test_until_judges_no_pane_beyond_it() -> None:
    rows = said([event(1, START), event(2, START + DAY_MS)], until=START + HOUR_MS)
    assert max(one["as_of"] for one in rows) <= START + HOUR_MS
    assert volume(rows) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "bad_json"),
        ("[]", "bad_type"),
        ('{"channel": "card"}', "missing_field"),
        ('{"channel": "card", "occurred_at": 1e400}', "bad_"),
        ('{"channel": "fax", "occurred_at": 1784246400000}', "unknown_channel"),
        ('{"channel": "card", "occurred_at": 1784246400000, "mood": 1}', "unknown_field"),
        ('{"channel": "card", "occurred_at": 1784246400000, "arrived_at": "soon"}', "bad_time"),
        ('{"channel": "card", "occurred_at": 1784246400000, "lane": "fast"}', "bad_type"),
        ('{"channel": "card", "occurred_at": 1784246400000, "text": "a\\u0000b"}', "bad_text"),
        ('{"channel": "card", "occurred_at": 1784246400000, "text": "\\ud800"}', "bad_"),
        (b'{"channel": "card", "text": "\xff"}', "bad_"),
        (
            '{"channel": "card", "occurred_at": 1784246400000, "corrects": "a", "retract": true}',
            "corrects_unknown",
        ),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_count(line: str | bytes, reason: str) -> None:
    test = Backtest(CATALOGUE, pane_ms=PANE, provisional_step_ms=60_000)
    bad: list[Any] = []
    list(test.run([json.dumps(event(1, START)), line, json.dumps(event(2, START))], [], until=None, report=bad.append))
    assert [one.number for one in bad] == [2]
    assert bad[0].error.reason.startswith(reason)
    assert test.read == {"counted": 2, "bad": 1, "repeats": 0}


def ran(tmp_path: Path, text: str, commands: str | None = None) -> tuple[int, list[Any], str]:
    file, out, tell = tmp_path / "events.jsonl", io.StringIO(), io.StringIO()
    file.write_text(text)
    given = commands_of(commands.splitlines()) if commands is not None else []
    source = Source(file=file)
    code = run(source, catalogue=FIXED, commands=given, pane_ms=PANE, settings=Settings(), out=out, tell=tell)
    return code, [json.loads(line) for line in out.getvalue().splitlines()], tell.getvalue()


def test_the_command_says_that_no_key_is_armed(tmp_path: Path) -> None:
    code, rows, remarks = ran(tmp_path, json.dumps(event(1, START)) + "\n")
    assert code == 0
    assert {one["type"] for one in rows} == {"reading"}
    assert "no key is armed" in remarks
    assert "1 events, 0 repeats, 0 bad lines" in remarks


def test_an_armed_file_is_not_remarked_upon(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(event(number, START + number * PANE)) for number in range(3))
    _, _, remarks = ran(tmp_path, lines, '{"command": "renew", "from_pane": "2024-10-04T00:00:20Z"}\n')
    assert "no key" not in remarks


def test_only_a_file_without_any_event_fails(tmp_path: Path) -> None:
    assert ran(tmp_path, "nonsense\n")[0] == 1
    assert ran(tmp_path, "nonsense\n" + json.dumps(event(1, START)))[0] == 0
    assert ran(tmp_path, "")[0] == 0


def test_commands_are_read_in_both_forms() -> None:
    short, full = commands_of([
        '{"command": "renew", "from_pane": "2024-10-04T00:00:00Z"}',
        '{"decision_id": "d", "kind": "renew", "from_pane": 1728000000000, "author": "a", "note": "", "made_at": 0, "body": "{}"}',
    ])  # fmt: skip
    assert (short.kind, short.from_pane) == (full.kind, full.from_pane) == (DecisionKind.RENEW, 1_728_000_000_000)


@pytest.mark.parametrize(
    "line",
    [
        '{"command": "dance"}',
        "{",
        '{"command": "adopt"}',
        '{"command": "renew", "from": 1}',
        "[]",
        '{"command": "rebase", "rule": "r", "key": "k"}',
        '{"command": "ack"}',
        '{"command": "renew", "key": "k"}',
    ],
)
def test_a_bad_command_is_refused_by_line(line: str) -> None:
    with pytest.raises(UsageError, match="line 2"):
        commands_of(["", line])


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(
            Source(file=tmp_path / "none"), catalogue=CATALOGUE, commands=[], alarms_only=True, pane_ms=PANE,
            settings=Settings(), out=io.StringIO(), tell=io.StringIO(),
        )  # fmt: skip


def test_every_command_of_an_operator_may_stand_in_the_file() -> None:
    lines = [
        '{"command": "ack", "alarm_id": "a", "note": "mine"}', '{"command": "note", "alarm_id": "a", "note": "n"}',
        '{"command": "resolve", "alarm_id": "a"}', '{"command": "arm", "rule": "r"}', '{"command": "disarm", "rule": "r"}',
        '{"command": "silence", "rule": "r", "until": "2024-10-04T00:00:00Z"}',
        '{"command": "rebase", "rule": "r", "key": "k", "note": "new till"}',
    ]  # fmt: skip
    found = commands_of(lines)
    assert [str(one.kind) for one in found] == ["ack", "note", "resolve", "arm", "disarm", "silence", "rebase"]
    assert found[0].body == {"alarm_id": "a"} and found[0].note == "mine"
    assert found[5].body == {"rule": "r", "key": "", "until": 1_728_000_000_000}


def test_events_may_come_in_chunks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(6)
    events = [event(number, START + rng.randrange(HOUR_MS), rng.randrange(1, 6)) for number in range(200)]
    events.append(event(900, START + 600_000, kind="dispute"))
    commands = commands_of([json.dumps({"command": "renew", "from_pane": START + HOUR_MS // 2})])
    whole = said(events, commands=commands)
    for size in (1, 7):
        monkeypatch.setattr("deploy.backtest.CHUNK", size)
        assert said(events, commands=commands) == whole


def test_a_rule_named_by_an_arm_command_is_armed_in_its_present_definition() -> None:
    good = [event(number, START + number) for number in range(30)]
    bad = [event(100 + number, START + HOUR_MS + number * PANE, 1) for number in range(30)]
    at = {"from_pane": START + HOUR_MS}
    renew = {"command": "renew", **at}
    disarm, arm = ({"command": word, "rule": "satisfaction_drop", **at} for word in ("disarm", "arm"))
    for given, opens in (([renew], 1), ([renew, disarm], 0), ([renew, disarm, arm], 1)):
        found = alarms_of(good + bad, FIXED, decisions=commands_of(map(json.dumps, given)), pane_ms=PANE)
        assert [one.state for one in found] == [AlarmState.OPEN] * opens
