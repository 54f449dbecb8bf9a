"""Models run in processes of their own, so that a crash or a hang of a runtime takes nobody away, and memory can be told apart."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from edgekit.arrays import Array, Arrays
from edgekit.artifacts import Artifact
from edgekit.errors import DeviceError
from edgekit.measuring_frames import HEADER, Done, Infer, Open, Refused, Request, Time, decode_reply, encode_frame, pack_arrays, unpack_arrays
from edgekit.tensors import TensorSpec

WORKER = (sys.executable, "-m", "edgekit.measuring_worker")
#: How much of a dead child's stderr is told, in bytes.
_TAIL = 500
#: How long a child may take to end after it closed its stdout, in seconds.
_GRACE_S = 10.0
_CHUNK = 1 << 20


@dataclass(eq=False)
class IsolatedSession:
    """An InferenceSession in a child process; a context manager, for one thread at a time.

    *path* is what the runtime named *runtime_name* opens. *cpu* pins the child to one CPU. *timeout_s* is the deadline
    of each call, in seconds. *command* starts the worker.
    """

    path: Path
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime_name: str
    threads: int = 1
    cpu: int | None = None
    timeout_s: float = 300.0
    command: Sequence[str] = WORKER
    #: The runtime's version; empty until the session is open.
    runtime_version: str = field(default="", init=False)
    #: The most memory that the child has held since it started, in MiB (VmHWM, Python and the runtime included);
    #: None where it could not be read.
    rss_mb: float | None = field(default=None, init=False)
    _child: "_Child | None" = field(default=None, init=False, repr=False)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False, repr=False)

    def __enter__(self) -> "IsolatedSession":
        with contextlib.ExitStack() as stack:
            stack.callback(self._forget_child)
            self._child = stack.enter_context(_start_child(f"{self.path} in {self.runtime_name}", self.command))
            self._ask(self._opening())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def infer(self, inputs: Mapping[str, Array]) -> Arrays:
        """The model's outputs, as InferenceSession.infer gives them.

        Raises:
            EdgekitError: what the session in the child raised, of the same class.
            DeviceError: the child died, or did not answer in time; it cannot be used afterwards.
        """
        return unpack_arrays(self._ask(Infer(inputs=pack_arrays(inputs))).outputs)

    def time(self, inputs: Mapping[str, Array], iterations: int) -> list[float]:
        """Milliseconds of each of *iterations* inferences, taken in the child after a warm-up; raises as infer does."""
        return list(self._ask(Time(inputs=pack_arrays(inputs), iterations=iterations)).times_ms)

    def close(self) -> None:
        """End the child and give everything back."""
        self._stack.close()

    def _forget_child(self) -> None:
        self._child = None

    def _opening(self) -> Open:
        return Open(
            path=str(self.path.absolute()),
            artifact=self.artifact,
            inputs=self.inputs,
            outputs=self.outputs,
            runtime=self.runtime_name,
            threads=self.threads,
            cpu=self.cpu,
        )

    def _ask(self, request: Request) -> Done:
        if self._child is None:
            raise DeviceError(self.path, "its measuring process is not running", "Open the session again.")
        try:
            reply = decode_reply(self._child.exchange(encode_frame(request), self.timeout_s))
        except DeviceError:
            self.close()
            raise
        if isinstance(reply, Refused):
            raise reply.to_error()
        self.runtime_version, self.rss_mb = reply.runtime_version, reply.rss_mb
        return reply


def bound_worker(memory: int) -> Sequence[str]:
    """The command of a worker for a model from anybody, which may take *memory* bytes."""
    return (*WORKER, "--memory", str(memory))


class _EndedError(Exception):
    """The child closed its end."""


@contextlib.contextmanager
def _start_child(subject: str, command: Sequence[str]) -> Iterator["_Child"]:
    """Start a worker, which is ended at once when the block ends, since it has nothing to save.

    Its stderr goes to an unnamed file, which no chatter can fill up and block. In a session of its own Ctrl-C reaches
    only the parent, which then ends the child.
    """
    with tempfile.TemporaryFile() as log, _spawn(command, log) as process:
        assert process.stdin is not None and process.stdout is not None
        os.set_blocking(process.stdin.fileno(), False)
        os.set_blocking(process.stdout.fileno(), False)
        try:
            yield _Child(subject, process, process.stdin.fileno(), process.stdout.fileno(), log)
        finally:
            process.kill()


def _spawn(command: Sequence[str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    # Otherwise a file in the working directory that is named like a module would take its place (Python 3.11 on).
    environment = os.environ | {"PYTHONSAFEPATH": "1"}
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, bufsize=0, start_new_session=True, env=environment)
    except OSError as error:
        raise DeviceError(command[0], f"it cannot be started: {error.strerror}", "Check that it is installed.") from error


@dataclass(frozen=True)
class _Child:
    """A worker process and the pipes to it. *subject* names it in errors."""

    subject: str
    process: "subprocess.Popen[bytes]"
    requests: int
    replies: int
    log: IO[bytes]

    def exchange(self, frame: bytes, timeout_s: float) -> bytes:
        """Send *frame* and return the answer's body; DeviceError where the child died or is late."""
        deadline = time.monotonic() + timeout_s
        try:
            _write(self.requests, frame, deadline)
            length = HEADER.unpack(_read(self.replies, HEADER.size, deadline))[0]
            return _read(self.replies, length, deadline)
        except TimeoutError:
            self.process.kill()
            problem = f"it hung: its process gave no answer in {timeout_s:g} s, and was ended"
            raise DeviceError(self.subject, problem + self._tail(), "Try another runtime, or allow more time.") from None
        except _EndedError:
            raise DeviceError(self.subject, self._explain_end(), "Try another runtime or format for this model.") from None

    def _explain_end(self) -> str:
        try:
            status = self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return f"its process closed its stdout{self._tail()}"
        if status >= 0:
            return f"its process ended with exit status {status}{self._tail()}"
        name = signal.Signals(-status).name
        cause = ", as the kernel does when memory runs out" if -status == signal.SIGKILL else ""
        return f"its process was ended by {name}{cause}{self._tail()}"

    def _tail(self) -> str:
        """The last of what the child wrote to stderr, as a clause; empty where it wrote nothing."""
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - _TAIL))
        text = " ".join(self.log.read().decode(errors="replace").split())
        return f" (it said: {text})" if text else ""


def _write(handle: int, data: bytes, deadline: float) -> None:
    rest = memoryview(data)
    while rest:
        _wait(handle, select.POLLOUT, deadline)
        try:
            rest = rest[os.write(handle, rest[:_CHUNK]) :]
        except BrokenPipeError:
            raise _EndedError from None


def _read(handle: int, length: int, deadline: float) -> bytes:
    data = bytearray()
    while len(data) < length:
        _wait(handle, select.POLLIN, deadline)
        piece = os.read(handle, min(_CHUNK, length - len(data)))
        if not piece:
            raise _EndedError
        data += piece
    return bytes(data)


def _wait(handle: int, event: int, deadline: float) -> None:
    """Until *handle* is ready or its other end is gone; TimeoutError once *deadline* (monotonic seconds) has passed."""
    poller = select.poll()
    poller.register(handle, event)
    remaining = deadline - time.monotonic()
    if remaining <= 0 or not poller.poll(remaining * 1000):
        raise TimeoutError
