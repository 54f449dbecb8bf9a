"""A wait that another thread can end, and that sockets can be part of."""

import contextlib
import os
import selectors
import threading
from types import TracebackType


class Waker:
    """While it is open, *fileno* can be read from a call of wake() until clear()."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: tuple[int, int] | None = None

    def __enter__(self) -> "Waker":
        self._ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            ends, self._ends = self._ends, None
        for end in ends or ():
            os.close(end)

    @property
    def fileno(self) -> int:
        """What to wait for."""
        return self._find_ends()[0]

    def wake(self) -> None:
        """End the wait that is under way, or else the next one. It may be called by any thread, and where nobody ever waits."""
        with self._lock:
            if self._ends is not None:
                # A pipe that is full wakes as well as one that is not.
                with contextlib.suppress(BlockingIOError):
                    os.write(self._ends[1], b"\0")

    def clear(self) -> None:
        """Forget every call of wake() so far."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._find_ends()[0], 4096):
                pass

    def wait(self, timeout_s: float) -> None:
        """Wait until somebody wakes, *timeout_s* at the longest."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.select(timeout_s)

    def _find_ends(self) -> tuple[int, int]:
        if self._ends is None:
            raise RuntimeError("a waker is used before it was opened, or after it was closed")
        return self._ends
