"""Tables: every column is accounted for, and a broken row costs no other row."""

from importlib.resources import files
from typing import Any

import pytest

from producers.channels.native import decode
from producers.channels.table import TableMapping, TableRow, load_mapping, read_rows, to_native
from schemas.errors import InvalidEventError, UsageError

MAPPING = """
source = "calls"
channel = "call"
id = ["no"]
ignore = ["clerk"]
[time]
columns = ["at"]
format = "%d/%m/%Y %H:%M"
zone = "Europe/Paris"
[columns]
text = "note"
"customer.phone" = "phone"
"traits.second_hand" = "hearsay"
kind = "topic"
[values.kind]
litige = "dispute"
[[answers]]
column = "score"
question = "csat"
[attributes]
campaign = "wave"
[constants]
lang = "fr"
"""
HEADER = "no,at,note,phone,hearsay,topic,score,wave,clerk"


def mapping(**changes: Any) -> TableMapping:
    text = MAPPING
    for name, value in changes.items():
        text = f'{name} = "{value}"\n' + text
    return load_mapping(text, "test.toml")


def rows(text: str | bytes, using: TableMapping | None = None) -> list[TableRow]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(read_rows(iter(raw.splitlines(keepends=True)), using or mapping())[1])


def native(line: str) -> dict[str, Any]:
    using = mapping()
    header, [row] = HEADER.split(","), rows(f"{HEADER}\n{line}\n", using)
    assert row.cells is not None, row.problem
    return to_native(dict(zip(header, row.cells, strict=True)), using, None)


def test_a_row_becomes_a_native_event() -> None:
    found = native('7,25/10/2026 14:03,"Colis perdu, fâché",0612345678,oui,litige,2,automne,X')
    assert {
        "channel": "call", "lang": "fr", "text": "Colis perdu, fâché", "customer": {"phone": "0612345678"},
        "traits": {"second_hand": True}, "kind": "dispute", "attributes": {"campaign": "automne"},
        "answers": [{"question": "csat", "question_version": "1", "score": 2.0}], "occurred_at": 1_792_933_380_000,
    } == found  # fmt: skip
    assert decode(found)


def test_empty_cells_are_absent() -> None:
    assert {"channel", "lang", "occurred_at"} == set(native("7,25/10/2026 14:03,,,,,,,"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7,2026-10-25,x,,,,,,", "bad_time"),
        ("7,31/02/2026 10:00,x,,,,,,", "bad_time"),
        ("7,29/03/2026 02:30,x,,,,,,", "bad_time"),
        ("7,,x,,,,,,", "missing_field"),
        ("7,25/10/2026 14:03,x,,,gossip,,,", "unknown_value"),
        ("7,25/10/2026 14:03,x,,,,good,,", "bad_type"),
        ("7,25/10/2026 14:03,x,,maybe,,,,", "bad_type"),
    ],
)
def test_bad_cells_have_a_reason(line: str, reason: str) -> None:
    with pytest.raises(InvalidEventError) as refused:
        native(line)
    assert reason == refused.value.reason


@pytest.mark.parametrize(
    ("header", "reason", "named"),
    [
        ("no,at,phone,hearsay,topic,score,clerk", "missing_columns", "'note', 'wave'"),
        (HEADER + ",name", "unmapped_columns", "'name'"),
        (HEADER + ",no", "doubled_columns", ""),
        ("", "missing_columns", "'at'"),
    ],
)
def test_columns_that_do_not_fit_are_named_before_any_row(header: str, reason: str, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_rows(iter([f"{header}\n".encode()]), mapping())
    assert reason == refused.value.reason
    assert named in str(refused.value)


def test_a_broken_row_costs_no_other_row() -> None:
    good = "1,25/10/2026 14:03,x,,,,,,"
    found = rows(f'{HEADER}\n{good}\n2,too,few\n{good}\n3,"never closed,x,,,,,,\n{good}\n{good}\n\n{good}')
    assert [True, False, True, False, True, True, True] == [row.cells is not None for row in found]
    assert b'3,"never closed,x,,,,,,\n' == found[3].raw


def test_cells_may_hold_line_ends_and_the_raw_bytes_keep_them() -> None:
    line = '1,25/10/2026 14:03,"a\r\nb",,,,,,\r\n'
    [row] = rows(f"{HEADER}\r\n{line}")
    assert line.encode() == row.raw
    assert row.cells is not None
    assert "a\r\nb" == row.cells[2]


def test_bytes_that_are_no_text_stay_in_their_row() -> None:
    found = rows(HEADER.encode() + b"\n1,25/10/2026 14:03,\xff\xfe,,,,,,\n1,25/10/2026 14:03,ok,,,,,,\n")
    assert [b"\xff\xfe" in row.raw for row in found] == [True, False]
    with pytest.raises(InvalidEventError) as refused:
        decode({"channel": "call", "text": found[0].cells[2] if found[0].cells else ""})
    assert "bad_text" == refused.value.reason


def test_other_encodings_and_byte_order_marks_are_read() -> None:
    [row] = rows(f"{HEADER}\n1,25/10/2026 14:03,é€,,,,,,\n".encode("cp1252"), mapping(encoding="cp1252"))
    assert row.cells is not None
    assert "é€" == row.cells[2]
    assert 1 == len(rows(f"\ufeff{HEADER}\n1,25/10/2026 14:03,é,,,,,,\n"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x = 1",
        "colour = 'red'" + MAPPING,
        MAPPING + "\ncolour = 'red'",
        MAPPING.replace("Europe/Paris", "Mars/Base"),
        "[[",
    ],
)
def test_a_wrong_mapping_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        load_mapping(text, "test.toml")


@pytest.mark.parametrize("name", ["calls.toml", "cards.toml"])
def test_the_shipped_mappings_load_and_document_their_columns(name: str) -> None:
    text = (files("producers") / "mappings" / name).read_text("utf-8")
    found = load_mapping(text, name)
    for column in found.needed() | set(found.ignore):
        assert column in text.partition("source =")[0]
