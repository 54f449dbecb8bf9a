"""A child process that answers jobs one at a time: whatever a runtime does to it, the parent lives."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

_PRIORITY = 10


class Child:
    """Runs *command* while the context lasts, and starts it again when it dies or takes longer than *deadline_s*."""

    def __init__(self, command: Sequence[str], deadline_s: float = 60.0) -> None:
        self._command = list(command)
        self._deadline_s = deadline_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to *job*: an object, with *error* where the process died of it or was too slow."""
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(job).encode() + b"\n")
            process.stdin.flush()
            line = self._read_line(process)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self._stop()
            return {"error": f"it took longer than {self._deadline_s:g} s"}
        if not line.endswith(b"\n"):
            return {"error": f"the process died: {self._find_cause()}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            ["nice", "-n", str(_PRIORITY), *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        return self._process

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes:
        """The next line; what there is of it where the process ended, and TimeoutError where it does not come in time."""
        assert process.stdout is not None
        end, line = time.monotonic() + self._deadline_s, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise TimeoutError
                part = os.read(process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                line += part
        return line

    def _find_cause(self) -> str:
        code = self._stop()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _stop(self) -> int:
        """End the process, if there is one, with all that it started; its exit code, or the negative number of a signal."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            # One that died needs a moment until its code is known; one that hangs is killed.
            return process.wait(0.5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
