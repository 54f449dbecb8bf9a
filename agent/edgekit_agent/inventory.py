"""What this device says of itself: its hardware, the target that it belongs to, and its runtimes."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edgekit.hardware import describe_hardware
from edgekit.records import Record
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.registry import find_runtimes
from edgekit.targets import Hardware, find_target


class InstalledRuntime(Record, frozen=True, kw_only=True):
    """A runtime that is installed here, and the formats that it loads."""

    name: str
    version: str
    formats: tuple[str, ...]


class Inventory(Record, frozen=True, kw_only=True):
    """The record that a device gives of itself. *simulated* says that the hardware is declared, not found."""

    hardware: Hardware
    target: str
    python: str
    runtimes: tuple[InstalledRuntime, ...]
    simulated: bool = False


@dataclass(frozen=True)
class Machine:
    """This device as the agent uses it: the class that it belongs to, and its runtimes by name.

    *simulated* says that the hardware is declared, not found.
    """

    hardware: Hardware
    runtimes: Mapping[str, Runtime]
    simulated: bool = False

    @property
    def target(self) -> str:
        """The class of devices that this one belongs to."""
        return find_target(self.hardware)

    @property
    def formats(self) -> frozenset[str]:
        """Every format that some runtime here can load."""
        return frozenset(chain.from_iterable(runtime.formats for runtime in self.runtimes.values()))

    def runtime_for(self, format: str) -> Runtime:
        """The first runtime by name that loads *format*, which must be one of *formats*."""
        return next(runtime for _, runtime in sorted(self.runtimes.items()) if format in runtime.formats)

    def describe(self) -> Inventory:
        """The inventory, with the versions as they are installed now."""
        found = [
            InstalledRuntime(name=name, version=version, formats=tuple(runtime.formats))
            for name, runtime in sorted(self.runtimes.items())
            if (version := runtime.find_version()) is not None
        ]
        return Inventory(
            hardware=self.hardware, target=self.target, python=platform.python_version(), runtimes=tuple(found), simulated=self.simulated
        )


def find_machine(root: Path = Path("/")) -> Machine:
    """This device, its hardware read from the files below *root*."""
    return Machine(describe_hardware(root), find_runtimes())
