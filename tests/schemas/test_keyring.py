"""The keyring: keys are shared and durable, a destroyed one is gone for every process and from every byte of the disk."""

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import ContractError
from schemas.keyring import Keyring

NOW_MS = 1_790_000_000_000


def opened(path: Path, **arguments: Any) -> Keyring:
    return Keyring(path, clock=lambda: NOW_MS, **arguments)


def on_disk(folder: Path) -> bytes:
    return b"".join(one.read_bytes() for one in sorted(folder.iterdir()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "keys.sqlite"


def test_a_subject_has_one_key_for_all_processes(path: Path) -> None:
    first, second = opened(path), opened(path)
    given = first.keys_of_subjects(["anna", "bert"])
    assert given == second.keys_of_subjects(["bert", "anna"]) == first.keys_of_subjects(["anna", "bert"])
    assert given["anna"].key != given["bert"].key and {len(one.key) for one in given.values()} == {32}
    assert second.keys([one.id for one in given.values()]) == {one.id: one.key for one in given.values()}


def _make(path: Path, names: list[str], answers: Any) -> None:
    answers.put(opened(path).keys_of_subjects(names))


def test_processes_that_meet_a_subject_at_once_agree_on_its_key(path: Path) -> None:
    opened(path).key_of_day("2026-11-01")
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    names = [f"s{i}" for i in range(300)]
    children = [context.Process(target=_make, args=(path, names, answers)) for _ in range(2)]
    for one in children:
        one.start()
    given = [answers.get(timeout=60) for _ in children]
    for one in children:
        one.join(30)
    assert given[0] == given[1] and len(given[0]) == 300


def test_a_destroyed_key_leaves_no_byte_and_is_used_by_no_process(path: Path) -> None:
    here, there = opened(path), opened(path)
    keys = here.keys_of_subjects([f"s{i}" for i in range(2_000)])
    gone, kept = keys["s77"], keys["s78"]
    assert there.key(gone.id) == gone.key and there.keys_of_subjects(["s77"])["s77"] == gone
    assert gone.key in on_disk(path.parent)
    stones = here.destroy_subject("s77")
    assert [(one.id, one.destroyed_ms) for one in stones] == [(gone.id, NOW_MS)]
    assert gone.key not in on_disk(path.parent) and kept.key in on_disk(path.parent)
    assert (there.key(gone.id), there.key(kept.id)) == (None, kept.key)
    fresh = there.keys_of_subjects(["s77"])["s77"]
    assert fresh.id != gone.id and fresh.key != gone.key
    assert here.destroy_subject("nobody") == [] and here.tombstones(["s77"]) == stones


def test_destroying_again_says_the_same(path: Path) -> None:
    keyring = opened(path)
    keyring.keys_of_subjects(["anna"])
    assert keyring.destroy_subject("anna") == keyring.destroy_subject("anna") != []
    assert keyring.living(["anna"]) == []


def test_days_are_destroyed_but_those_in_use(path: Path) -> None:
    keyring = opened(path)
    days = {day: keyring.key_of_day(day) for day in ("2026-11-01", "2026-11-02", "2026-11-09")}
    assert keyring.destroy_days_before("2026-11-08", [days["2026-11-02"].id]) == [days["2026-11-01"].id]
    assert [day for day, _ in keyring.living_days()] == ["2026-11-02", "2026-11-09"]
    assert days["2026-11-01"].key not in on_disk(path.parent)
    keyring.keys_of_subjects(["2026-11-01"])
    assert keyring.destroy_days_before("2026-11-10", []) == [days["2026-11-02"].id, days["2026-11-09"].id]
    assert keyring.living(["2026-11-01"]), "a subject is no day"


def test_an_unknown_id_is_no_destroyed_key(path: Path) -> None:
    keyring = opened(path)
    with pytest.raises(ContractError) as caught:
        keyring.key("0123456789ab")
    assert caught.value.reason == "unknown_data_key" and "BAROMETER_KEYRING" in caught.value.remedy


def test_only_its_owner_reads_the_file_and_it_is_made_at_first_use(path: Path) -> None:
    keyring = opened(path)
    assert not path.exists()
    before = os.umask(0)
    try:
        keyring.signing_key()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}
    assert keyring.signing_key() == opened(path).signing_key()


def test_more_keys_than_are_remembered_stay_right(path: Path) -> None:
    keyring = opened(path, cached=10)
    names = [f"s{i}" for i in range(50)]
    keys = keyring.keys_of_subjects(names)
    assert keys == keyring.keys_of_subjects(names)
    assert keyring.keys([one.id for one in keys.values()]) == {one.id: one.key for one in keys.values()}


def test_another_file_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no keyring at all, " * 100)
    with pytest.raises(ContractError, match=r"notes\.txt"):
        opened(path).key_of_day("2026-11-01")
