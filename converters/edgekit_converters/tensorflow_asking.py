"""Questions to TensorFlow, which reads files from anybody in its own environment, within bounds of time and memory."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.environments import ensure_environment, run_tool
from edgekit.errors import ConversionError, InputError
from edgekit_converters.environments import TENSORFLOW, TENSORFLOW_SCRIPT

#: Seconds that one question may take; a small model takes about five, of which TensorFlow's start is three.
_DEADLINE_S = 900.0
#: TensorFlow's own mappings take 3 GiB of address space.
_LEAST_MEMORY = 8 << 30
#: The most bytes of one file that it may write: an ONNX file has at most 2 GiB.
_FILE = 4 << 30
_log = logging.getLogger(__name__)


def ask_tensorflow(task: str, path: Path, **details: Any) -> dict[str, Any]:
    """What the script of the environment ``tensorflow`` answers on the model at *path*; it says which *task* takes which *details*.

    Raises:
        ConversionError: the task failed, took too long or too much memory.
        DeviceError, TransferError: the environment is not here and cannot be made.
    """
    python = ensure_environment(TENSORFLOW, say=_log.warning)
    limits = {"memory": _find_memory(), "file": _FILE}
    return run_tool(python, TENSORFLOW_SCRIPT, {"task": task, "path": str(path.absolute())} | details | limits, _DEADLINE_S)


@contextlib.contextmanager
def blaming(path: Path, problem: str, remedy: str) -> Iterator[None]:
    """Say of the file at *path* that it has *problem*, and *remedy*, where TensorFlow could not do what it was asked."""
    try:
        yield
    except ConversionError as error:
        raise InputError(path, f"{problem}: {error.problem}", error.remedy or remedy) from error


def list_tensorflow_tools() -> dict[str, str]:
    """The versions that the environment's lock names, of what takes part in every conversion."""
    lines = TENSORFLOW.lock.read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==", 1) for line in lines if "==" in line)
    return {"tensorflow": locked["tensorflow"].split(";")[0], "tf2onnx": locked["tf2onnx"]}


def _find_memory() -> int:
    """The address space that TensorFlow may take, in bytes: three quarters of this machine's memory, or what it needs at least."""
    return max(_LEAST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4)
