"""A flight settles once, after the last answer, whatever the order of the answers."""

import threading

from hypothesis import given
from hypothesis import strategies as st
from kafka.future import Future

from producers.flight import Flight


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_it_settles_exactly_once_after_the_last_answer(order: list[int], early: set[int], failing: set[int]) -> None:
    futures = [Future() for _ in range(6)]
    errors = {number: RuntimeError(str(number)) for number in failing}

    def answer(number: int) -> None:
        if number in errors:
            futures[number].failure(errors[number])
        else:
            futures[number].success(None)

    for number in early:
        answer(number)
    settled: list[BaseException | None] = []
    flight = Flight(futures, settled.append)
    late = [number for number in order if number not in early]
    for number in late:
        assert not settled
        assert not flight.wait(0)
        answer(number)
    first = errors[min(failing)] if failing else None
    assert [first] == settled
    assert flight.wait(0)
    assert flight.error is first


def test_an_empty_flight_is_settled_at_once() -> None:
    settled: list[BaseException | None] = []
    assert Flight([], settled.append).wait(0)
    assert [None] == settled


def test_answers_from_another_thread_are_not_missed() -> None:
    for _ in range(200):
        futures = [Future() for _ in range(20)]
        thread = threading.Thread(target=lambda them=futures: [one.success(None) for one in them])
        thread.start()
        settled: list[BaseException | None] = []
        assert Flight(futures, settled.append).wait(5)
        thread.join()
        assert [None] == settled
