"""A short slice of the matrix with real processes on the engines that all tests share; `make faults` tries the whole of it."""

from collections.abc import Iterator

import pytest

from deploy.engines.local import Endpoints
from tests.faults import matrix
from tests.faults.fault import REGISTRY
from tests.faults.ground import SharedGround
from tests.faults.kills import TARGETS
from tests.faults.running import arm, told, try_fault

SEED = 5
matrix.load()


def say(line: str) -> None:
    print(line, flush=True)


@pytest.fixture(scope="module")
def ground(engines: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedGround]:
    one = SharedGround(tmp_path_factory.mktemp("faults"), engines, say)
    try:
        one.start()
        arm(one, SEED)
        yield one
    finally:
        one.close()


@pytest.mark.timeout(600)
def test_one_kill_of_each_process_loses_nothing_and_doubles_nothing(ground: SharedGround) -> None:
    run = try_fault(ground, REGISTRY["each_killed"], SEED)
    say(told(run))
    assert run.problems == []
    assert set(run.kills) == {f"{target}@random" for target in TARGETS}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["answers_lost", "same_id"])
def test_a_fault_hits_and_everything_stays_exact(ground: SharedGround, name: str) -> None:
    run = try_fault(ground, REGISTRY[name], SEED)
    say(told(run))
    assert run.problems == []
    assert run.ok, run.notes
