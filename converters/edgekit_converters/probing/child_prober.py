"""What every prober does alike: the runtime runs in a child process, with room for its files, for as long as the context lasts."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

from edgekit_converters.probing.bench import make_child

P = TypeVar("P", bound="ChildProber")


class ChildProber:
    """Opens a child process with the runtime that *python*, by default this one, has."""

    runtime: str

    def __init__(self, python: Path | str = sys.executable) -> None:
        self._python = python
        self._open = contextlib.ExitStack()

    def __enter__(self: P) -> P:
        self._scratch = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="edgekit-")))
        self._child = self._open.enter_context(make_child(self._python, self.runtime))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
