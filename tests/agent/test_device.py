"""A device has an id that nobody else has, uses the runtimes that it may, and owns up to hardware that is only declared."""

from pathlib import Path

import msgspec
import pytest

from edgekit.errors import DeviceError, InputError
from edgekit.records import Name
from edgekit.runtimes.memory import MemoryRuntime
from edgekit_agent.config import DeviceSettings
from edgekit_agent.device import choose_runtimes, describe_device, find_device_id, find_device_machine

OWN = "0123456789abcdef0123456789abcdef"


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_told_id_is_taken():
    """Whatever the machine is called."""
    assert find_device_id(DeviceSettings(id="roof-1")) == "roof-1"


@pytest.mark.parametrize(
    ("host", "begin"), [("pi.local", "pi-local-"), ("", "device-"), ("-_ü!", "device-"), ("x" * 100, "x" * 40 + "-"), ("a/../b#+", "a-b-")]
)
def test_an_id_is_made_of_host_and_machine(tmp_path, monkeypatch, host, begin):
    """It is the same at each start, safe in topics and addresses, and does not give the machine's own id away."""
    monkeypatch.setattr("platform.node", lambda: host)
    write(tmp_path, "etc/machine-id", OWN + "\n")
    found = find_device_id(DeviceSettings(), tmp_path)
    assert found.startswith(begin)
    assert len(found) == len(begin) + 8
    assert OWN[:8] not in found
    assert msgspec.convert(found, Name) == found == find_device_id(DeviceSettings(), tmp_path)


def test_two_machines_of_one_name_differ(tmp_path, monkeypatch):
    """A fleet of boards that are all called alike has an id for each."""
    monkeypatch.setattr("platform.node", lambda: "raspberrypi")
    for name, own in (("a", OWN), ("b", OWN[::-1])):
        write(tmp_path / name, "var/lib/dbus/machine-id", own)
    assert find_device_id(DeviceSettings(), tmp_path / "a") != find_device_id(DeviceSettings(), tmp_path / "b")


@pytest.mark.parametrize("text", ["", "uninitialized\n", None])
def test_without_any_id_it_has_to_be_told(tmp_path, text):
    """A machine without an id of its own, as a container often is, is refused with what to write."""
    if text is not None:
        write(tmp_path, "etc/machine-id", text)
    with pytest.raises(InputError, match=r"device\.id.*Write one"):
        find_device_id(DeviceSettings(), tmp_path)


def test_only_the_named_runtimes_are_used():
    """What is not named counts as not installed, and without names all are used."""
    installed = {"litert": MemoryRuntime(formats=("tflite",)), "onnxruntime": MemoryRuntime(formats=("onnx",))}
    assert set(choose_runtimes(installed, ("litert",))) == {"litert"}
    assert set(choose_runtimes(installed, None)) == {"litert", "onnxruntime"}


def test_a_runtime_that_is_not_there_is_refused():
    """A name that edgekit does not know is bad input, and one that is not installed is the device's lack."""
    with pytest.raises(InputError, match="there is no such runtime"):
        choose_runtimes({}, ("tensorflow",))
    with pytest.raises(DeviceError, match=r"litert is not installed here.*edgekit\[litert\]"):
        choose_runtimes({}, ("litert",))


def test_declared_hardware_is_labelled(tmp_path):
    """A recorded machine stands in for this one, and every record of it says so."""
    write(tmp_path, "proc/meminfo", "MemTotal: 4096000 kB\n")
    settings = DeviceSettings(id="gpu-1", inventory=str(tmp_path), simulated=True, labels={"site": "lab"}, runtimes=("onnxruntime",))
    machine = find_device_machine(settings)
    inventory = describe_device(settings, machine)
    assert (inventory.hardware.memory_mb, inventory.simulated, machine.describe().simulated) == (4000, True, True)
    assert (inventory.device, inventory.labels, [one.name for one in inventory.runtimes]) == ("gpu-1", {"site": "lab"}, ["onnxruntime"])
    assert inventory.agent_version
    assert not describe_device(DeviceSettings(id="x"), find_device_machine(DeviceSettings())).simulated


def test_a_recorded_machine_that_is_missing_is_refused(tmp_path):
    """Rather than taken for one without any hardware."""
    with pytest.raises(InputError, match=r"device\.inventory"):
        find_device_machine(DeviceSettings(inventory=str(tmp_path / "none"), simulated=True))
