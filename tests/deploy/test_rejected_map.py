"""A mapping renames, drops and sets fields of JSON, and changes nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.rejected_map import FieldMap, mapped, read_map
from schemas.errors import InvalidEventError, UsageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
)


def of(item: Any, **fields: Any) -> Any:
    return json.loads(mapped(json.dumps(item).encode(), FieldMap(**fields)))


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=3), JSON, max_size=5))
def test_an_empty_mapping_changes_nothing_and_a_rename_and_its_way_back_neither(item: dict[str, Any]) -> None:
    assert of(item) == item
    for name, value in item.items():
        there = of(item, rename={name: "new.0.deep"})
        assert name not in there and there["new"] == [{"deep": value}]
        assert of(there, rename={"new.0.deep": name}, drop=["new"]) == item


def test_fields_are_renamed_then_dropped_then_set(tmp_path: Path) -> None:
    file = tmp_path / "mend.toml"
    file.write_text(
        'drop = ["internal", "answers.0.note"]\n[rename]\nscore = "answers.0.score"\n[set]\nchannel = "card"\n'
        'answers.0.question = "csat"\n"order.currency" = "EUR"\n'
    )
    raw = b'{"channel":"kiosk","score":4,"internal":{"a":1},"order":{"ref":"r","amount":12.30},"text":"\xc3\xa9"}'
    made = mapped(raw, read_map(file))
    assert b"12.30" in made, "money keeps its digits"
    assert json.loads(made) == {
        "channel": "card", "answers": [{"score": 4, "question": "csat"}], "text": "é",
        "order": {"ref": "r", "amount": 12.3, "currency": "EUR"},
    }  # fmt: skip


@pytest.mark.parametrize("raw", [b"[1]", b"no json", b"", b"\xff{}", b"3"])
def test_what_is_no_object_is_not_mended(raw: bytes) -> None:
    with pytest.raises(InvalidEventError):
        mapped(raw, FieldMap(set={"channel": "card"}))


def test_nothing_is_overwritten_by_a_rename_and_no_path_leads_through_a_value() -> None:
    with pytest.raises(InvalidEventError, match="map_conflict"):
        of({"a": 1, "b": 2}, rename={"a": "b"})
    with pytest.raises(InvalidEventError, match="map_conflict"):
        of({"a": 1}, set={"a.b": 2})
    with pytest.raises(InvalidEventError, match="map_conflict"):
        of({"a": [1]}, set={"a.2": 2})


@pytest.mark.parametrize("text", ["nope = 1", "drop = 3", "[set", '[rename]\na = ["b"]'])
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "mend.toml").write_text(text)
    with pytest.raises(UsageError, match=r"mend\.toml"):
        read_map(tmp_path / "mend.toml")
