"""The spool on the disk: what it has taken stays, in order, unreadable without its keys, and what it refuses it says."""

import queue
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producers.publisher import Record
from producers.spool import FILE, Spool
from producers.spool_entries import ENTRY_BYTES, MAX_RECORD_BYTES, cut, size_of, topic_after
from producers.spool_writer import SpoolWriter
from schemas.errors import ContractError, SettingsError, UnavailableError, UndecodableError
from schemas.keyring import Keyring
from schemas.telemetry import Telemetry
from schemas.topics import HISTORY, LIVE, REJECTED

DAY_MS = 86_400_000
BEGIN_MS = 1_790_000_000_000
SECRET = b"nobody may read this on the disk"


class Now:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.ms = BEGIN_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def now() -> Now:
    return Now()


@contextmanager
def opened(folder: Path, now: Now) -> Iterator[Spool]:
    spool = Spool(folder, keys=Keyring(folder / "keys.sqlite", clock=now), clock=now)
    try:
        yield spool
    finally:
        spool.close()


def record(number: int, size: int = 0) -> Record:
    return Record("feedback.card.v1", f"k{number}".encode(), SECRET + str(number).encode() + b"x" * size)


def all_of(spool: Spool, page_bytes: int = 1) -> list[Record]:
    out, after = [], 0
    while page := spool.page(after, page_bytes):
        for entry in page:
            out += spool.opened(entry)
        after = page[-1].seq
    return out


records = st.builds(
    Record, st.sampled_from(["a", "feedback.history.v1"]), st.binary(max_size=9),
    st.integers(0, ENTRY_BYTES * 2).map(bytes) | st.binary(max_size=99),
)  # fmt: skip


@given(st.lists(records, max_size=8))
def test_entries_hold_all_records_in_order_and_no_more_than_was_reserved(some: list[Record]) -> None:
    parts = [list(part) for part in cut(some)]
    assert some == [one for part in parts for one in part]
    for part in parts:
        assert len(part) == 1 or sum(len(one.value) for one in part) <= ENTRY_BYTES


@settings(max_examples=25)
@example([[0, ENTRY_BYTES - 165, 0]], 1)  # three entries for little more than one's bytes
@given(st.lists(st.lists(st.integers(0, 2 * ENTRY_BYTES), min_size=1, max_size=4), max_size=5), st.integers(1, 1 << 20))
def test_what_was_appended_is_read_in_order_also_by_the_next_process(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], page_bytes: int
) -> None:
    folder, now = tmp_path_factory.mktemp("spool"), Now()
    requests = [[record(at * 10 + i, size) for i, size in enumerate(some)] for at, some in enumerate(sizes)]
    written = [one for some in requests for one in some]
    with opened(folder, now) as spool:
        for some in requests:
            spool.append([some])
        assert written == all_of(spool, page_bytes)
        totals = (spool.entries, spool.records, spool.bytes, spool.last_seq, spool.oldest_at)
        assert spool.bytes <= sum(size_of(some) for some in requests)
    with opened(folder, now) as spool:
        assert totals == (spool.entries, spool.records, spool.bytes, spool.last_seq, spool.oldest_at)
        assert written == all_of(spool, page_bytes)


def test_a_process_that_is_killed_at_any_moment_leaves_what_append_returned_from(tmp_path: Path, now: Now) -> None:
    """The files are copied while it is open, as kill -9 leaves them; no page of the file itself was written yet."""
    with opened(tmp_path / "a", now) as spool:
        spool.append([[record(1)], [record(2), record(3)]])
        assert [("wal",)] == spool._db.execute("PRAGMA journal_mode").fetchall()
        assert [(2,)] == spool._db.execute("PRAGMA synchronous").fetchall()  # FULL
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with opened(tmp_path / "b", now) as left:
        assert [record(1), record(2), record(3)] == all_of(left)


def test_no_byte_of_a_record_is_readable_in_its_folder(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        spool.append([[record(n) for n in range(100)]])
        written = b"".join(one.read_bytes() for one in tmp_path.iterdir())
        assert len(written) > spool.bytes > 100 * len(SECRET)
        for plain in (SECRET, SECRET[:9], b"feedback.card", b"k99"):
            assert plain not in written


def test_an_entry_opens_only_in_its_place_and_under_its_key(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        spool.append([[record(1)], [record(2)]])
        first, second = spool.page(0, 1 << 20)
        for wrong in (
            first._replace(seq=2),
            first._replace(sealed=second.sealed),
            first._replace(spooled_at=first.spooled_at - 1),
            first._replace(key_id="0" * 24),
            first._replace(sealed=first.sealed[:20]),
        ):
            with pytest.raises(UndecodableError):
                spool.opened(wrong)


def test_a_full_disk_is_said_and_nothing_is_half_there(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        spool.append([[record(1)]])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
        try:
            with pytest.raises(UnavailableError, match="disk"):
                spool.append([[record(n, 100 << 10) for n in range(9)]])
            assert spool.trouble
            assert 1 == spool.records
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        spool.probe()
        assert not spool.trouble
        spool.append([[record(2)]])
        assert [record(1), record(2)] == all_of(spool)
    with opened(tmp_path, now) as spool:
        assert [record(1), record(2)] == all_of(spool)


def test_what_is_delivered_gives_its_room_back(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        for n in range(80):
            spool.append([[record(n, 250 << 10)]])
        full = spool.path.stat().st_size
        spool.delete(0, 79)
        assert (1, 1, 80) == (spool.entries, spool.records, spool.page(0, 1)[0].seq)
        spool.delete(79, 80)
        assert (0, 0, 0, None) == (spool.entries, spool.records, spool.bytes, spool.oldest_at)
        assert spool.path.stat().st_size < full / 100
        spool.append([[record(1)]])
        assert 81 == spool.last_seq


def test_the_key_of_a_day_dies_after_a_week_but_not_before_its_records_are_delivered(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        spool.append([[record(1)]])
        [old] = spool.page(0, 1)
        now.ms += DAY_MS
        spool.append([[record(2)]])
        [_, next_day] = spool.page(0, 1 << 20)
        spool.delete(1, 2)
        now.ms += 7 * DAY_MS
        assert [] == spool.destroy_old_keys()
        now.ms += DAY_MS
        assert [next_day.key_id] == spool.destroy_old_keys()
        assert [record(1)] == spool.opened(old)
        spool.delete(0, 1)
        assert [old.key_id] == spool.destroy_old_keys()
        with pytest.raises(UndecodableError, match="destroyed"):
            spool.opened(old)


def test_one_process_at_a_time_owns_the_folder(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now), pytest.raises(SettingsError, match="BAROMETER_DATA_DIR"), opened(tmp_path, now):
        pass
    with opened(tmp_path, now) as spool:
        assert 0 == spool.records


def test_a_file_that_is_no_spool_is_left_alone(tmp_path: Path, now: Now) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ContractError, match="spool_damaged"), opened(tmp_path, now):
        pass
    assert (tmp_path / FILE).read_bytes().startswith(b"no database")


def test_requests_that_come_together_share_a_sync_and_each_hears_of_it(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        commits: list[str] = []
        spool._db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        heard: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()
        writer = SpoolWriter(spool, max_bytes=1 << 20, telemetry=Telemetry(), stored=lambda: None)
        for n in range(50):  # all before it starts
            writer.submit([record(n)], lambda error, n=n: heard.put((n, error)))  # type: ignore[misc]
        assert 50 == writer.waiting
        writer.start()
        writer.close()
        assert [(n, None) for n in range(50)] == [heard.get() for _ in range(50)]
        assert 0 == writer.waiting
        assert 1 == len(commits)
        assert [record(n) for n in range(50)] == all_of(spool)


def test_a_full_spool_refuses_before_it_takes_and_keeps_what_it_has(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        writer = SpoolWriter(spool, max_bytes=10_000, telemetry=Telemetry(), stored=lambda: None)
        writer.start()
        heard: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        taken = 0
        while not writer.refusal(size_of([record(taken)])):
            writer.submit([record(taken)], heard.put)
            taken += 1
        with pytest.raises(UnavailableError, match="full"):
            writer.submit([record(taken)], heard.put)
        with pytest.raises(UnavailableError, match="too_large"):
            writer.submit([record(1, MAX_RECORD_BYTES)], heard.put)
        assert writer.full()
        writer.close()
        assert [None] * taken == [heard.get() for _ in range(taken)]
        assert [record(n) for n in range(taken)] == all_of(spool)
        assert 5_000 < spool.bytes <= 10_000


def test_a_disk_that_refuses_is_the_answer_of_every_request_that_waited_for_it(tmp_path: Path, now: Now) -> None:
    with opened(tmp_path, now) as spool:
        heard: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        writer = SpoolWriter(spool, max_bytes=1 << 30, telemetry=Telemetry(), stored=lambda: None)
        for n in range(3):
            writer.submit([record(n, 200 << 10)], heard.put)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, hard))
        try:
            writer.start()
            answers = [heard.get(timeout=10) for _ in range(3)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert [UnavailableError] * 3 == [type(one) for one in answers]
        writer.submit([record(7)], heard.put)
        writer.close()
        assert heard.get() is None
        assert [record(7)] == all_of(spool)


live = st.sampled_from(sorted(LIVE.values(), key=lambda topic: topic.name))


@given(live, st.integers(0, 30 * DAY_MS), st.integers(0, 200_000), st.floats(0, 1), st.floats(0, 1))
def test_copies_that_stay_in_the_live_lane_stand_within_the_repeat_window(
    topic: object, lain_ms: int, slack_ms: int, first: float, second: float
) -> None:
    """However the client repeats an event, and whatever lay in a spool: two live copies are never further apart than W."""
    assert isinstance(topic, type(HISTORY)) and topic.repeat_window_ms and topic.live_max_age_ms
    lane = topic_after(topic.name, lain_ms, slack_ms)
    assert lane in {topic.name, HISTORY.name}
    if lane == topic.name:
        sent_at_once = first * topic.live_max_age_ms  # received within H of the occurrence, stored then
        spooled = second * topic.live_max_age_ms + lain_ms + slack_ms
        assert spooled - sent_at_once <= topic.repeat_window_ms
    else:
        assert lain_ms + slack_ms > topic.repeat_window_ms - topic.live_max_age_ms


def test_only_live_records_change_their_lane_and_a_clock_put_back_counts_as_long() -> None:
    for topic in (HISTORY.name, REJECTED.name):
        assert topic == topic_after(topic, 30 * DAY_MS, 0)
    web = LIVE[next(channel for channel in LIVE if channel == "web")].name
    assert web == topic_after(web, 30 * 60_000 - 100, 100)
    assert HISTORY.name == topic_after(web, 30 * 60_000 - 99, 100)
    assert web == topic_after(web, -100, 100)
    assert HISTORY.name == topic_after(web, -101, 100)
