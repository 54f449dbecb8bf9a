"""Keeps the chatter of libraries off the terminal, and off stdout, which belongs to the caller's JSON."""

import contextlib
import ctypes
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Catch what is printed inside, by Python or by native code, and log it at DEBUG when the block ends.

    Native code writes to the file descriptors 1 and 2 whatever Python has put in place of sys.stdout and sys.stderr, so
    both ways are closed. The descriptors are the whole process's: what other threads print meanwhile is caught too.
    The root logger's level and handlers are put back: OpenVINO's converter raises the level, so that the caller's own
    warnings would be lost, and ONNX Runtime's quantisers add a handler, which would write to what is closed by then.
    """
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as caught:
        try:
            with _descriptors_to(caught.fileno()), contextlib.redirect_stdout(caught), contextlib.redirect_stderr(caught):
                yield
        finally:
            root.setLevel(level)
            root.handlers[:] = handlers
            caught.seek(0)
            _tell(caught.read())


@contextlib.contextmanager
def _descriptors_to(file: int) -> Iterator[None]:
    _flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    try:
        for descriptor, _ in saved:
            os.dup2(file, descriptor)
        yield
    finally:
        _flush()
        for descriptor, copy in saved:
            os.dup2(copy, descriptor)
            os.close(copy)


def _flush() -> None:
    """Bring what Python and the C library still hold to where it was meant to go: fflush(NULL), as C99 7.19.5.2 has it."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    ctypes.CDLL(None).fflush(None)


def _tell(text: str) -> None:
    for line in text.splitlines():
        if line.strip():
            _log.debug("%s", line.rstrip())
