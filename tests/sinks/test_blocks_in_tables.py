"""Blocks -> rows of tallies: the judge's vector rule, from the stored rows alone."""

from clickhouse_driver import Client

from schemas.blocks import Block, Row, Series, cells_of, to_record
from schemas.codec import Kind, encode
from schemas.topics import TALLIES
from sinks.making import Memory, Take
from sinks.making_tallies import make_tallies
from tests.sinks.conftest import Stand, wait_for

CSAT = Series("csat@1", "*", "*", "card")


def block(to: int, *, source: str = "t1", start: int = 0, count: int = 1) -> bytes:
    rows = [Row(CSAT, 100, 5, 1, count, 5 * count)] if count else []
    one = Block(
        topic="feedback.card.v1", topic_id=source, partition=0, from_pane=start or to, to_pane=to, pane_ms=1000,
        arrived_ms=to, next_offset=1, catalogue_hash="c", cells=cells_of(rows), events=count,
    )  # fmt: skip
    return encode(Kind.BLOCK, to_record(one))


class Kept:
    def __init__(self, offset: int, value: bytes | None) -> None:
        self.offset, self.key, self.value = offset, b"k", value


def made(values: list[bytes], memory: Memory):
    take = Take(TALLIES, "log", 0, [Kept(i, value) for i, value in enumerate(values)], list(range(len(values))))
    return make_tallies([take], memory)


def test_block_whose_source_had_got_as_far_makes_no_row() -> None:
    memory = Memory(blocks={("t2", 0): 5000})
    out = made([block(1000), block(1000), block(4000, start=2000, count=0), block(3000), block(5000),
                block(5000, source="t2"), block(6000, source="t2")], memory)  # fmt: skip
    assert out.rows is not None
    assert list(zip(out.rows.columns["source_topic_id"], out.rows.columns["to_pane"], strict=True)) == [
        ("t1", 1000), ("t1", 5000), ("t2", 6000),
    ]  # fmt: skip
    assert out.repeats[TALLIES.name] == 3
    assert memory.blocks == {("t1", 0): 5000, ("t2", 0): 6000}


def test_blocks_published_again_after_a_restart_are_stored_once(stand: Stand) -> None:
    for value in (block(1000), block(2000, count=3), b"no block"):
        stand.publish(TALLIES, value)
    stand.settle()
    first = stand.start("sink", "tallies")
    wait_for(lambda: stand.count("sum(count) FROM tallies") == 4)
    wait_for(lambda: stand.count("count() FROM rejected_events") == 1)
    first.kill()
    first.wait()
    for value in (block(2000, count=3), block(3000, count=7)):
        stand.publish(TALLIES, value)
    stand.settle()
    process = stand.start("sink", "tallies", kill_point="sink.after_insert:1")
    assert process.wait(30) == -9
    stand.start("sink", "tallies")
    wait_for(lambda: stand.committed("tallies", TALLIES)[0][0] == 5)
    assert sums(stand.client) == [(1000, 1), (2000, 3), (3000, 7)]


def sums(client: Client) -> list[tuple[int, int]]:
    return client.execute(
        "SELECT toUnixTimestamp64Milli(to_pane) AS pane, sum(count) FROM tallies GROUP BY pane ORDER BY pane"
    )
