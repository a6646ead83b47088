"""Named points at which a fault test may kill a process; without the setting they cost one comparison."""

import os
import signal

from schemas.errors import SettingsError

POINTS = frozenset({
    "gateway.before_ack", "tally.after_block", "judge.before_commit", "sink.before_insert", "sink.after_insert",
    "gate.before_commit", "recount.before_commit", "seed.before_commit",
})  # fmt: skip


class KillPoints:
    """Kill this process with SIGKILL the N-th time that it reaches the point named in `NAME:N` (empty: never)."""

    def __init__(self, setting: str) -> None:
        self._name, _, times = setting.partition(":")
        if self._name and self._name not in POINTS:
            raise SettingsError(
                "bad_setting",
                f"kill_point {self._name!r} is none of {', '.join(sorted(POINTS))}",
            )
        self._left = int(times or 1)

    def reached(self, name: str) -> None:
        """Say that the process is at the point `name`."""
        if name == self._name:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
