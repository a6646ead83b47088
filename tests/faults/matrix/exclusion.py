"""A source that falls silent because its worker stands still, and a judge that dies each time it is about to go on without it."""

import os
import re
import signal
import subprocess
import time

from deploy.sources import standing
from tests.faults.fault import Scene, fault
from tests.faults.ground import KILL_SETTING
from tests.faults.kills import Kill, deaths_at
from tests.faults.matrix.streams import second

POINT = "judge.before_exclusion"
TIMES, MOST_PAUSES = 10, 20
SILENT_S = 3
"""How long a source may stand still here."""
PAUSE_S = 13.0
"""Beyond the group's timeout: each pause ends with a new share."""


class _Other:
    """A second worker of stage 1 that holds a part of the sources and can be made to stand still."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._log = scene, scene.ground.folder / "logs" / "second-tally.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = len(self._given())

    def _given(self) -> list[str]:
        return re.findall(r"assigned partitions: (\d+)", self._log.read_text()) if self._log.exists() else []

    def share(self) -> None:
        """Return when it has been given a part of the sources anew."""
        if self._process is None or self._process.poll() is not None:
            self._process = second(self._scene, "tally", "worker", "--stage", "tally")
        self._scene.until(lambda: len(self._given()) > self._seen and self._given()[-1] != "0", "part of the sources")
        self._seen = len(self._given())

    def pause(self) -> None:
        """Let it stand still."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@fault(14, "judge: kill -9 before it goes on without a silent source, again and again; then it does, and takes it back",
       proofs=("killed at the point", "left out", "taken back"), at_random=False)  # fmt: skip
def exclusion_killed(scene: Scene) -> None:
    environ = scene.ground.environ("judge")
    before = dict(environ)
    environ |= {"BAROMETER_EXCLUDE_AFTER_S": str(SILENT_S), KILL_SETTING: f"{POINT}:1"}
    other = _Other(scene)
    try:
        scene.restart("judge")
        _kill_again_and_again(scene, other)
        environ[KILL_SETTING] = ""
        scene.restart("judge")
        other.share()
        other.pause()
        scene.until(lambda: _left_out(scene), "source left out")
        scene.hit("left out", _left_out(scene))
        other.resume()
        scene.until(lambda: not _left_out(scene), "source taken back")
        scene.hit("taken back")
    finally:
        other.end()
        environ.clear()
        environ |= before
        scene.restart("judge")


def _kill_again_and_again(scene: Scene, other: _Other) -> None:
    log = scene.ground.child("judge").spec.log
    begin = deaths_at(log, POINT)
    for _ in range(MOST_PAUSES):
        if deaths_at(log, POINT) - begin >= TIMES:
            break
        other.share()
        other.pause()
        time.sleep(PAUSE_S)
        other.resume()
    found = deaths_at(log, POINT) - begin
    scene.kills += [Kill(target="judge", at=POINT, unfinished=1, open=1)] * found
    scene.hit("killed at the point", found)
    if _left_out(scene):
        scene.wrong("a judge that was killed before its decision has left a source out")


def _left_out(scene: Scene) -> int:
    return sum(one.source.left_out is not None for one in standing(scene.ground.direct))
