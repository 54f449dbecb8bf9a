"""What this device is to its fleet: its id, its labels, its hardware, and the runtimes that it uses."""

import hashlib
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from edgekit.errors import DeviceError, InputError, UnknownName
from edgekit.hardware import describe_hardware
from edgekit.plugins import RUNTIMES, find_plugins
from edgekit.runtimes.base import Runtime
from edgekit.runtimes.registry import find_runtimes
from edgekit.status import DeviceInventory, RuntimeVersion
from edgekit_agent.config import DeviceSettings
from edgekit_agent.inventory import Machine

#: Where a machine's own id is (machine-id(5)), in the order in which they are looked at.
_MACHINE_IDS = ("etc/machine-id", "var/lib/dbus/machine-id")
_FIELD = "agent.toml: device"


def find_device_machine(settings: DeviceSettings) -> Machine:
    """This device with the runtimes that it may use; its hardware is what the recorded machine has, where one is declared.

    Raises:
        InputError: there is no recorded machine in the directory that is named, or a runtime of that name is not known.
        DeviceError: a runtime that is named is not installed.
    """
    root = Path(settings.inventory or "/")
    if not root.is_dir():
        raise InputError(f"{_FIELD}.inventory {root}", "there is no such directory", "Name one that holds a recorded machine's proc, sys and etc.")
    return Machine(describe_hardware(root), choose_runtimes(find_runtimes(), settings.runtimes), settings.simulated)


def choose_runtimes(installed: Mapping[str, Runtime], names: Sequence[str] | None) -> dict[str, Runtime]:
    """Those of the *installed* runtimes that are in *names*; all of them where that is None. It raises as find_device_machine does."""
    if names is None:
        return dict(installed)
    for name in names:
        if name not in installed:
            raise _refuse_runtime(name)
    return {name: installed[name] for name in names}


def _refuse_runtime(name: str) -> InputError | DeviceError:
    known = find_plugins(RUNTIMES)
    if name not in known:
        return UnknownName("runtime", name, known)
    return DeviceError(f"{_FIELD}.runtimes", f"{name} is not installed here", f"Install it: pip install 'edgekit[{name}]'. Or leave it out.")


def find_device_id(settings: DeviceSettings, root: Path = Path("/")) -> str:
    """The id of this device: the one that it is told, else its host's name with a part of the digest of its machine's id.

    The machine's id itself stays here, as machine-id(5) asks for.

    Raises:
        InputError: it is told none, and the machine has no id, as in many containers.
    """
    if settings.id is not None:
        return settings.id
    own = next(filter(None, (_read_machine_id(root / path) for path in _MACHINE_IDS)), None)
    if own is None:
        raise InputError(f"{_FIELD}.id", "it is not set, and this machine has no id of its own", "Write one that no other device of the fleet has.")
    host = re.sub(r"[^A-Za-z0-9]+", "-", platform.node()).strip("-")[:40] or "device"
    return f"{host}-{hashlib.sha256(b'edgekit device ' + own.encode()).hexdigest()[:8]}"


def _read_machine_id(path: Path) -> str | None:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if re.fullmatch("[0-9a-f]{32}", text) else None


def describe_device(settings: DeviceSettings, machine: Machine) -> DeviceInventory:
    """The inventory that the fleet gets; raises as find_device_id does."""
    found = machine.describe()
    return DeviceInventory(
        device=find_device_id(settings),
        hardware=found.hardware,
        target=found.target,
        runtimes=tuple(RuntimeVersion(name=one.name, version=one.version[:64], formats=one.formats) for one in found.runtimes),
        agent_version=version("edgekit"),
        labels=settings.labels,
        simulated=machine.simulated,
    )
