"""Runs a program that ends when the process that asked for it does: ``python -m edgekit.fleet.tethering PARENT PROGRAM ARGUMENT…``.

The kernel is asked to signal the program at its parent's death (prctl(2), PR_SET_PDEATHSIG), which no clean-up code can
promise: the parent may be killed with SIGKILL. It is a program of its own, because nothing may run between fork and exec
in a process with threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

from edgekit.errors import DeviceError

PR_SET_PDEATHSIG = 1


def tether(program: Sequence[str]) -> list[str]:
    """The command that runs *program* for as long as this process lives."""
    return [sys.executable, "-m", __name__, str(os.getpid()), *program]


def main(arguments: Sequence[str]) -> None:
    """Become the program in *arguments*, tethered to the process that stands first there."""
    parent, program = int(arguments[0]), list(arguments[1:])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise DeviceError(program[0], f"it cannot be tied to its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        raise DeviceError(program[0], "whoever asked for it has ended already")
    os.execv(program[0], program)  # noqa: S606 - the program is a path that we found, with no shell between


if __name__ == "__main__":
    main(sys.argv[1:])
