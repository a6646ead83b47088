"""The judge under faults on a real broker: a source that falls silent, a killed judge with another one standing by, a stop under load."""

import asyncio
import signal
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from deploy import sources
from deploy.alarms import By
from schemas.errors import UsageError
from schemas.exclusion import Why
from schemas.outputs import Decision, DecisionKind
from schemas.topics import TALLIES
from streams.tallies_log import entry_of
from tests.streams.judge.test_judging import agree

pytestmark = pytest.mark.long

Entries = list[tuple[bytes, bytes]]
Maker = Callable[..., Entries]
ABOUT = {DecisionKind.EXCLUDE, DecisionKind.INCLUDE}


def decided(installation: Any) -> list[tuple[str, str, str]]:
    """Return kind, author and reason of the decisions about sources that stand in the log."""
    found = [entry_of(value) for value in asyncio.run(installation._read(TALLIES.name, 1))]
    return [
        (str(one.kind), one.author, str(one.body["why"]))
        for one in found if isinstance(one, Decision) and one.kind in ABOUT
    ]  # fmt: skip


def until(reached: Callable[[], bool], installation: Any, what: str, timeout_s: float = 180) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, what + installation.said(installation.processes[-1])[-3000:]
        time.sleep(0.1)


def test_the_judge_goes_on_without_a_silent_source_and_takes_it_back(installation: Any, log_maker: Maker) -> None:
    """Killed before its decision stands in the log, another judge makes it; what comes late is counted as anybody recounts it."""
    entries = log_maker(installation.body, installation.catalogue, panes=30, seed=31)
    topic, topic_id, partition = installation.body["sources"][0]
    key = f"{topic_id}-{partition}".encode()
    half = len(entries) // 2
    late = [one for one in entries[half:] if one[0] == key]
    rest = [one for one in entries[half:] if one[0] != key]
    fast = {"exclude_after_s": 8}
    installation.append(entries[:half] + rest)
    killed = installation.start(kill_point="judge.before_exclusion:1", **fast)
    assert killed.wait(180) == -signal.SIGKILL, installation.said(killed)
    assert decided(installation) == []
    held_back = installation.position()[1]["pane"]
    judge = installation.start(**fast)
    name = f"{topic}-{partition}"
    until(lambda: decided(installation) == [("exclude", "judge", "silent")], installation, "left out")
    until(lambda: installation.position()[1]["pane"] > held_back + 10_000, installation, "gone on")
    found = sources.chosen(sources.standing(installation.settings), name)
    assert found.source.left_out is not None
    assert found.source.left_out.why is Why.SILENT
    assert found.behind_ms is not None
    assert found.behind_ms > 5_000
    installation.append(late)
    until(lambda: ("include", "judge", "silent") in decided(installation), installation, "taken back")
    by_hand = sources.exclude(installation.settings, name, By("me"))
    assert by_hand.source.left_out is not None
    assert by_hand.source.left_out.why is Why.OPERATOR
    with pytest.raises(UsageError, match="left_out_already"):
        sources.exclude(installation.settings, name, By("me"))
    assert sources.include(installation.settings, name, By("me")).source.left_out is None
    with pytest.raises(UsageError, match="not_left_out"):
        sources.include(installation.settings, name, By("me"))
    target = installation.end() - 1
    installation.wait(lambda offset: offset >= target, judge)
    installation.stop(judge)
    agree(installation)


@pytest.mark.long
def test_another_judge_stands_by_and_takes_over_from_nothing_but_the_log(installation: Any, log_maker: Maker) -> None:
    """The first is killed under load; the second takes over within the session's time, ends as asked within ten seconds, and
    neither has kept anything on disk.
    """
    folder = installation.folder / "data"
    given = {"snapshot_every_s": 0.5, "data_dir": str(folder)}
    entries = log_maker(installation.body, installation.catalogue, panes=150, seed=32)
    first = installation.start(**given)
    until(lambda: "the judge goes on" in installation.said(first), installation, "first")
    second = installation.start(**given)
    load = Thread(target=installation.append, args=[entries], kwargs={"pause_s": 0.2, "every": 10})
    load.start()
    until(lambda: "Rebalanc" in installation.said(second) or installation.position()[0] > 300, installation, "load")
    time.sleep(5)  # the second is a member by now, without a partition
    owner, other = (first, second) if "the judge goes on" not in installation.said(second) else (second, first)
    before = installation.said(other).count("the judge goes on")
    owner.kill()
    killed_at = time.monotonic()
    until(lambda: installation.said(other).count("the judge goes on") > before, installation, "taken over")
    taken_s = time.monotonic() - killed_at
    print(f"taken over after {taken_s:.1f} s")
    assert taken_s < 40, "a session of 10 s, and the take-over itself on a busy machine"
    time.sleep(1)
    assert load.is_alive(), "under load"
    other.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    assert other.wait(20) == 0, installation.said(other)
    assert time.monotonic() - asked_at < 10
    print(f"ended after {time.monotonic() - asked_at:.1f} s")
    load.join()
    assert not folder.exists(), "a worker keeps nothing outside Kafka"
    last = installation.start(**given)
    target = installation.end()
    installation.wait(lambda offset: offset >= target - 1, last)
    installation.stop(last)
    agree(installation)
