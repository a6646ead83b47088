"""What an edge says was acknowledged to it: by partition and hour, until the broker has it."""

from collections import Counter
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from producers.ledger import Acknowledged
from schemas.codec import Kind, decode_as
from schemas.windows import HOUR_MS


class Where(NamedTuple):
    topic_partition: tuple[str, int]
    offset: int
    timestamp: int


class Answered:
    is_done, exception = True, None

    def __init__(self, partition: int, offset: int, at_ms: int) -> None:
        self.value = Where(("p.feedback.card.v1", partition), offset, at_ms)


IDS = {"p.feedback.card.v1": "id"}
records = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1000), st.integers(0, 3 * HOUR_MS)), max_size=30)


@given(st.lists(records, max_size=5))
def test_every_acknowledged_record_is_said_once_with_the_offsets_around_it(
    flights: list[list[tuple[int, int, int]]],
) -> None:
    book = Acknowledged("run", "p.")
    said = {}
    for flight in flights:
        book.add([Answered(*one) for one in flight])
        for one in book.unsaid(IDS):  # never confirmed: everything is said again each time, under its number
            said[one.seq] = decode_as(Kind.LEDGER, one.value)
    all_sent = [one for flight in flights for one in flight]
    total: Counter[tuple[int, int]] = Counter()
    for line in said.values():
        total[line["source_partition"], line["hour"]] += line["events"]
        assert line["source_topic"] == "feedback.card.v1" and line["incarnation"] == "run"
        inside = [offset for part, offset, at in all_sent if part == line["source_partition"]]
        assert line["first_offset"] in inside and line["next_offset"] - 1 in inside
    assert total == Counter((part, at // HOUR_MS * HOUR_MS) for part, _, at in all_sent)


def test_a_confirmed_line_is_not_said_again() -> None:
    book = Acknowledged("run", "p.")
    book.add([Answered(0, 5, 0)])
    (line,) = book.unsaid(IDS)
    assert book.unsaid(IDS) == [line]
    book.confirm(line.seq)
    assert book.unsaid(IDS) == []
