"""The process that runs a model for another one: ``python -m edgekit.measuring_worker`` answers frames on stdin and stdout.

A runtime that crashes takes only this process with it, and the memory that it holds is the model's alone.
"""

import contextlib
import gc
import os
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgekit.arrays import Arrays
from edgekit.errors import EdgekitError, WireError
from edgekit.measuring_frames import (
    Done,
    Infer,
    Open,
    Refused,
    Reply,
    Request,
    Time,
    decode_request,
    encode_frame,
    pack_arrays,
    read_frame,
    unpack_arrays,
)
from edgekit.runtimes.registry import find_runtime
from edgekit.runtimes.sessions import InferenceSession, open_session

#: Inferences before those that are timed, as a share of these: caches, clock and branch predictors must be warm.
_WARM_UP = 0.2
_STATUS = Path("/proc/self/status")
#: The argument before the bytes that a worker may take.
MEMORY = "--memory"


class Worker:
    """Answers requests with one model, once it was opened."""

    def __init__(self) -> None:
        self._session: InferenceSession | None = None
        self._version = ""

    def answer(self, request: Request) -> Reply:
        """The reply to *request*; edgekit's own refusals are replies too, and any other error ends the process."""
        try:
            return self._do(request)
        except EdgekitError as error:
            return Refused.of(error)

    def _do(self, request: Request) -> Done:
        if isinstance(request, Open):
            self._open(request)
            return self._done()
        if self._session is None:
            raise WireError("measuring worker", "it was asked to run a model before one was opened", "Send Open first.")
        inputs = unpack_arrays(request.inputs)
        if isinstance(request, Infer):
            return self._done(outputs=self._session.infer(inputs))
        return self._done(times_ms=time_inferences(self._session, inputs, request))

    def _open(self, request: Open) -> None:
        if request.cpu is not None:
            # Before the runtime starts its threads, which inherit it.
            os.sched_setaffinity(0, {request.cpu})
        runtime = find_runtime(request.artifact.format, request.runtime)
        self._version = runtime.find_version() or ""
        self._session = open_session(Path(request.path), request.artifact, request.inputs, request.outputs, runtime, request.threads)

    def _done(self, outputs: Arrays | None = None, times_ms: tuple[float, ...] = ()) -> Done:
        return Done(outputs=pack_arrays(outputs or {}), times_ms=times_ms, runtime_version=self._version, rss_mb=read_peak_mb())


def time_inferences(session: InferenceSession, inputs: Arrays, request: Time) -> tuple[float, ...]:
    """Milliseconds of each of *request.iterations* inferences, after a warm-up, with the garbage collector at rest."""
    for _ in range(1 + int(request.iterations * _WARM_UP)):
        session.infer(inputs)
    times = []
    gc.disable()
    try:
        for _ in range(request.iterations):
            begin = time.perf_counter()
            session.infer(inputs)
            times.append((time.perf_counter() - begin) * 1e3)
    finally:
        gc.enable()
    return tuple(times)


def read_peak_mb(status: Path = _STATUS) -> float | None:
    """The most that this process has held in memory, in MiB (VmHWM in proc(5)); None where the kernel does not say."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) / 1024 if found else None


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer each frame from *requests* on *replies* until the other end closes."""
    worker = Worker()
    while (body := read_frame(requests)) is not None:
        replies.write(encode_frame(worker.answer(decode_request(body))))
        replies.flush()


def main() -> None:
    """Serve the process's own stdin and stdout."""
    if sys.argv[1:2] == [MEMORY]:
        bound_memory(int(sys.argv[2]))
    with _claim_streams() as (requests, replies):
        serve(requests, replies)


def bound_memory(memory: int) -> None:
    """Let this process have *memory* bytes at most: a model that asks for more is refused it at once.

    Without a bound the kernel grants what nobody can hold, and ends some process when it is used (proc(5), overcommit_memory).
    """
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard))


@contextlib.contextmanager
def _claim_streams() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The standard streams for frames alone: what runtimes print goes to stderr, and what they read is empty."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as replies:
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        yield requests, replies


if __name__ == "__main__":
    main()
