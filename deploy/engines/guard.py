"""Run a program that the kernel kills as soon as its parent thread is gone: `guard.py PARENT_PID PROGRAM [ARGUMENT ...]`.

A program of its own, since the setting must be made between fork and exec, where a process with threads must not run Python.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind this process's life to its parent's, then become the program."""
    parent, *argv = sys.argv[1:]
    if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("guard: prctl failed")
    if os.getppid() != int(parent):  # it ended before the setting was made
        sys.exit("guard: the parent is gone")
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
