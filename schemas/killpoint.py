"""Named points at which a fault test may kill a process; without the setting they cost one comparison."""

import os
import signal

from schemas.errors import SettingsError

POINTS = frozenset({
    "gateway.before_ack", "gateway.after_spool", "spool.before_delete", "tally.after_block", "judge.before_commit",
    "sink.before_insert", "sink.after_insert",
    "sink.mid_bisection", "sink.after_commit",
    "tally.before_block", "judge.after_commit", "judge.before_exclusion",
    "gate.before_commit", "recount.before_commit", "seed.before_commit",
    "rejected.before_fate",
    "erase.after_destroy", "erase.before_clear", "erase.after_clear", "erase.before_receipt",
})  # fmt: skip


class KillPoints:
    """Kill this process with SIGKILL the N-th time that it reaches the point named in `NAME:N` (empty: never).

    `NAME:N:pause` stops it there with SIGSTOP instead, as a host that sleeps would.
    """

    def __init__(self, setting: str) -> None:
        self._name, _, rest = setting.partition(":")
        times, _, how = rest.partition(":")
        self._signal = signal.SIGSTOP if how == "pause" else signal.SIGKILL
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
            if self._left == 0:
                os.write(2, f"killed at {name}\n".encode())  # the fault tests count these lines in the log
                os.kill(os.getpid(), self._signal)
