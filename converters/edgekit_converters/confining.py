"""Work on a file from anybody, done in a process of its own with a bound on time and memory.

Native code reads such files too. It may crash, hang, or ask for more memory than there is, and so takes only the child
with it. The child confines itself before it imports anything that looks at the file.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import IO

from edgekit.errors import InputError

_TAIL_BYTES = 300
_MIB = 1 << 20
#: A library that starts a thread for each core reserves memory for each, which would count against the bound.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Limits:
    """What a child may take: *memory* bytes of address space, and *seconds* of processor time."""

    memory: int
    seconds: float


def run_confined(module: str, request: bytes, subject: str, limits: Limits, deadline_s: float) -> bytes:
    """What ``python -m module MEMORY SECONDS``, given *request* on its stdin, writes to its stdout.

    The child applies *limits* to itself by confine(), and may widen them. *deadline_s* is by the clock, for a child that
    waits for ever. *subject* is the file that it works on.

    Raises:
        InputError: the child died, was stopped by a limit, or ended with a failure; the message says which.
    """
    # Isolated from the working directory, where a file may be named like a module (Python 3.11 on).
    environment = os.environ | _ONE_THREAD | {"PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", module, str(limits.memory), str(int(limits.seconds))]
    with tempfile.TemporaryFile() as log:
        try:
            # In a session of its own Ctrl-C reaches only the parent, which then ends the child.
            done = subprocess.run(
                command,
                input=request,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=deadline_s,
                env=environment,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _took_too_long(subject, deadline_s) from None
        if done.returncode != 0:
            raise _explain_end(subject, done.returncode, log, limits.seconds)
        return done.stdout


def confine(limits: Limits) -> None:
    """Bound this process (setrlimit(2)), until it is called again with wider limits; it leaves no core file either."""
    _bound(resource.RLIMIT_AS, limits.memory)
    _bound(resource.RLIMIT_CPU, int(limits.seconds))
    _bound(resource.RLIMIT_CORE, 0)


def _bound(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def ran_out_of_memory(subject: str, limits: Limits) -> InputError:
    """The refusal of a file whose reading does not fit into *limits*."""
    return InputError(subject, f"it cannot be read in {limits.memory // _MIB} MiB of memory, many times what its size should need", _REMEDY)


_REMEDY = "Export the model again; if it is sound, make it smaller."


def _took_too_long(subject: str, seconds: float) -> InputError:
    return InputError(subject, f"it could not be read in {seconds:.0f} s, many times what its size should need", _REMEDY)


def _explain_end(subject: str, status: int, log: IO[bytes], seconds: float) -> InputError:
    if status == -signal.SIGXCPU:
        return _took_too_long(subject, seconds)
    end = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with exit status {status}"
    return InputError(subject, f"it cannot be read: the process that read it {end}{_tail(log)}", "Fetch it or export it again.")


def _tail(log: IO[bytes]) -> str:
    """The last of what a child wrote to its stderr, as a clause; empty where it wrote nothing."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _TAIL_BYTES))
    text = " ".join(log.read().decode(errors="replace").split())
    return f" (it said: {text})" if text else ""
