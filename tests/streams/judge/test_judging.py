"""The judge's process on a real broker: what it says stands once in the committed log, whatever happens to it."""

import random
import re
import signal
import time
from collections.abc import Callable
from importlib.resources import files
from threading import Thread
from typing import Any

import pytest

from schemas.codec import Kind
from schemas.outputs import Output, output_to_record

Entries = list[tuple[bytes, bytes]]
Maker = Callable[..., Entries]


def agree(installation: Any) -> list[Output]:
    """Claim that the committed outputs are those of one clean pass, none missing, none twice; return them."""
    expected = installation.expected()
    outputs = installation.outputs()
    assert [seq for seq, _, _ in outputs] == list(range(1, len(expected) + 1))
    assert [record for _, _, record in outputs] == [output_to_record(one) for one in expected]
    return expected


@pytest.mark.long
def test_a_judge_killed_at_any_moment_says_everything_once(installation: Any, log_maker: Maker) -> None:
    """Killed once inside a transaction and at random moments under load; snapshots are written all the time."""
    dice = random.Random(7)
    fast = {"snapshot_every_s": 0.3}
    entries = log_maker(installation.body, installation.catalogue, panes=60, seed=1)
    cut = len(entries) // 3
    judge = installation.start(kill_point="judge.before_commit:4", **fast)
    installation.wait(lambda offset: offset > 0, judge)
    installation.append(entries[:cut], pause_s=0.02, every=10)
    assert judge.wait(60) == -signal.SIGKILL, installation.said(judge)
    for part in (entries[cut : 2 * cut], entries[2 * cut :]):
        judge = installation.start(**fast)
        before, _ = installation.position()
        load = Thread(target=installation.append, args=[part], kwargs={"pause_s": 0.02, "every": 10})
        installation.wait(lambda offset, before=before: offset > before, judge)
        load.start()
        moment = before + dice.randrange(20, 150)
        installation.wait(lambda offset, moment=moment: offset > moment, judge)
        judge.kill()
        judge.wait()
        load.join()
        assert installation.position()[0] < installation.end(), "killed with work at hand"
    target = installation.end()
    judge = installation.start(**fast)
    installation.wait(lambda offset: offset >= target, judge)
    installation.stop(judge)
    said = agree(installation)
    assert {one.rule for one in said if hasattr(one, "rule")} == {"satisfaction_drop"}


@pytest.mark.long
def test_a_snapshot_is_worth_the_log_before_it(installation: Any, log_maker: Maker) -> None:
    """A clean stop writes the state; the next judge reads no record before it, and goes on as if it had."""
    entries = log_maker(installation.body, installation.catalogue, panes=40, seed=5)
    half = len(entries) // 2
    judge = installation.start()
    installation.wait(lambda offset: offset > 0, judge)
    target = installation.append(entries[:half])
    installation.wait(lambda offset: offset >= target, judge)
    installation.stop(judge)
    offset, metadata = installation.position()
    assert metadata["snapshot"]
    installation.forget_log_before(offset)
    judge = installation.start()
    target = installation.append(entries[half:])
    installation.wait(lambda offset: offset >= target, judge)
    kinds = {kind for _, kind, _ in installation.outputs()}
    assert kinds == {Kind.READING, Kind.TRANSITION}
    expected = installation.expected(entries)
    assert [record for _, _, record in installation.outputs()] == [output_to_record(one) for one in expected]


@pytest.mark.long
def test_a_second_judge_fences_the_first(installation: Any, log_maker: Maker) -> None:
    """The first is stopped for longer than its session, as by a paused machine, and wakes up when the second has taken over."""
    entries = log_maker(installation.body, installation.catalogue, panes=30, seed=3)
    half = len(entries) // 2
    first = installation.start()
    target = installation.append(entries[:half])
    installation.wait(lambda offset: offset >= target, first)
    first.send_signal(signal.SIGSTOP)
    second = installation.start()
    target = installation.append(entries[half:])
    installation.wait(lambda offset: offset >= target, second)
    first.send_signal(signal.SIGCONT)
    installation.append(entries[-1:])
    deadline = time.monotonic() + 20
    while "another process has taken over" not in installation.said(first):
        assert time.monotonic() < deadline, installation.said(first)
        time.sleep(0.1)
    agree(installation)


@pytest.mark.long
def test_what_does_not_fit_the_log_is_refused_with_the_remedy(installation: Any, log_maker: Maker) -> None:
    """A changed catalogue, other steps, a truncated log, a log created anew: each stops the judge, and it has changed nothing."""
    judge = installation.start()
    target = installation.append(log_maker(installation.body, installation.catalogue, panes=3, seed=4))
    installation.wait(lambda offset: offset >= target, judge)
    installation.stop(judge)
    changed = installation.folder / "catalogue.toml"
    packaged = (files("schemas") / "catalogue.toml").read_text("utf-8")
    changed.write_text(packaged.replace("p1 = [0.25, 0.5]", "p1 = [0.30]"))
    before = installation.position(), installation.outputs()
    refuse(installation, "barometer catalogue apply`, or restore the old file", catalogue=str(changed))
    refuse(installation, "set BAROMETER_PANE_MS=1000, or start a new installation", pane_ms=2000)
    refuse(installation, "set BAROMETER_PROVISIONAL_STEP_MS=10000", provisional_step_ms=2000)
    installation.append(log_maker(installation.body, installation.catalogue, panes=1, seed=4))
    installation.forget_log_before(before[0][0] + 1)
    refuse(installation, "before the committed position|begins at")
    assert (installation.position(), installation.outputs()) == before
    installation.recreate_log()
    refuse(installation, "created anew")


def refuse(installation: Any, remedy: str, **changes: Any) -> None:
    """Claim that a judge with changed settings ends at once with a remedy."""
    judge = installation.start(**changes)
    deadline = time.monotonic() + 30
    while judge.poll() is None:
        assert time.monotonic() < deadline, installation.said(judge)
        time.sleep(0.05)
    assert judge.returncode == 1
    assert re.search(remedy, installation.said(judge)), installation.said(judge)
