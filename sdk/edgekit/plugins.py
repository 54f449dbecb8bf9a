"""What this edgekit can do is found by entry point, its own parts and other packages' alike.

A package adds a runtime, a source, a target, a pass or a command by naming it in its metadata, and nothing here changes.
The metadata is read directly: importlib.metadata parses every installed package's headers, which costs more than
the whole start of the command line. For the same reason this module does without pathlib.
"""

import functools
import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from edgekit.errors import DeviceError, UnknownName

SOURCES = "edgekit.sources"
TARGETS = "edgekit.targets"
PASSES = "edgekit.passes"
RUNTIMES = "edgekit.runtimes"
COMMANDS = "edgekit.commands"
ENVIRONMENTS = "edgekit.environments"
OPERATORS = "edgekit.operators"


def find_plugins(group: str) -> dict[str, str]:
    """The plug-ins of *group*: name → ``module:attribute``, sorted by name. Earlier directories of sys.path win."""
    found: dict[str, str] = {}
    for entry in reversed(sys.path):
        found |= _read_directory(entry).get(group, {})
    return dict(sorted(found.items()))


def load_plugin(group: str, name: str) -> Any:
    """The object that the plug-in *name* of *group* names.

    Raises:
        UnknownName: there is no such plug-in.
        DeviceError: it is named, and what it needs is not installed.
    """
    plugins = find_plugins(group)
    if name not in plugins:
        raise UnknownName(group.removeprefix("edgekit.").removesuffix("s"), name, plugins)
    module, _, attribute = plugins[name].partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise DeviceError(f"plug-in {name!r}", f"{module} cannot be imported: {error}", "Install what it needs with pip.") from error


@functools.cache
def _read_directory(directory: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    for path in _list_entry_points(directory or "."):
        for group, name, value in _read_entry_points(path):
            groups.setdefault(group, {})[name] = value
    return groups


def _list_entry_points(directory: str) -> list[str]:
    """The files that may hold the entry points of packages in *directory*; none where it is absent, or an archive."""
    try:
        with os.scandir(directory) as entries:
            return [os.path.join(entry.path, "entry_points.txt") for entry in entries if entry.name.endswith(".dist-info")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _read_entry_points(path: str) -> Iterator[tuple[str, str, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return  # most packages have no entry points
    group = ""
    # The format is an INI file without interpolation: packaging.python.org, "Entry points specification".
    for line in text.splitlines() if "[edgekit." in text else ():
        stripped = line.strip()
        if stripped.startswith("["):
            group = stripped.strip("[]").strip()
        elif group.startswith("edgekit.") and "=" in stripped and stripped[0] not in "#;":
            name, _, value = stripped.partition("=")
            yield group, name.strip(), value.strip()
