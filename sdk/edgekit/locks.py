"""A lock between processes, which the system gives back when its holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgekit.errors import DeviceError
from edgekit.files import naming_disk_errors


@contextmanager
def holding_lock(path: Path) -> Iterator[None]:
    """Hold the lock file *path* while the block runs; it is made when it is not there, and stays.

    Raises:
        DeviceError: another process, or another thread, holds it. Nobody is waited for.
    """
    with naming_disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock(handle, path)
        yield
    finally:
        # Closing gives the lock back (flock(2)). The file is not removed: a second holder may have it open already.
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise DeviceError(path.parent, "another edgekit is at work in it", "Wait until that has ended, and run the same command again.") from error
