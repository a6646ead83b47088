"""Who stands still and who only waits, told by positions and ends alone."""

import pytest

from streams.stuck import Progress


def looks(progress: Progress[str], positions: list[int | None], ends: list[int], *, step_s: float = 1.0) -> list[int]:
    """Return the looks, from 0, in which partition `p` is found stuck."""
    return [
        number for number, (position, end) in enumerate(zip(positions, ends, strict=True))
        if progress.look({"p": position, "q": 7}, {"p": end, "q": 7}, number * step_s) == ["p"]
    ]  # fmt: skip


@pytest.mark.parametrize("position", [5, None])
def test_a_position_that_does_not_move_although_records_wait_is_stuck(position: int | None) -> None:
    assert looks(Progress(10), [position] * 15, [9] * 15) == [10, 11, 12, 13, 14]


def test_whoever_moves_or_has_read_everything_is_not_stuck() -> None:
    steady = list(range(100))
    assert looks(Progress(10), [at // 9 for at in steady], [at + 1_000 for at in steady]) == []
    assert looks(Progress(10), [5] * 100, [5] * 100) == []


def test_the_time_begins_with_the_first_record_that_waits() -> None:
    assert looks(Progress(10), [5] * 60, [5] * 40 + [6] * 20) == list(range(50, 60))


def test_a_process_that_was_stopped_did_not_stand_still_meanwhile() -> None:
    progress = Progress[str](60)
    assert progress.look({"p": 5}, {"p": 9}, 0.0) == []
    assert progress.look({"p": 5}, {"p": 9}, 3_600.0) == []


def test_time_in_which_the_ends_are_not_known_does_not_count() -> None:
    progress = Progress[str](10)
    for at in range(8):
        assert progress.look({"p": 5}, {"p": 9}, float(at)) == []
    progress.forget()
    for at in range(100, 110):
        assert progress.look({"p": 5}, {"p": 9}, float(at)) == []
    assert progress.look({"p": 5}, {"p": 9}, 110.0) == ["p"]


def test_without_a_time_nobody_is_stuck() -> None:
    assert looks(Progress(0), [5] * 1_000, [9] * 1_000) == []
