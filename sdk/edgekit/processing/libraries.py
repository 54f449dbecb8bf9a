"""The libraries by which contracts are carried out, imported where they are used: a device need not have them all."""

import importlib
from typing import Any

from edgekit.errors import DeviceError


def load_library(name: str, extra: str) -> Any:
    """The module *name*, which edgekit's *extra* installs.

    Raises:
        DeviceError: it cannot be imported here; the message names the extra.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        # An OSError is that of a library in C which a package in Python does not find.
        raise DeviceError(f"library {name!r}", f"it cannot be imported: {error}", f"Install it: pip install 'edgekit[{extra}]'.") from error
