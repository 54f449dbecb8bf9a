"""A device describes its hardware, its target, and the runtimes that are installed on it."""

from pathlib import Path

from edgekit.runtimes.memory import MemoryRuntime
from edgekit.targets import Hardware
from edgekit_agent.inventory import Inventory, Machine, find_machine


class Absent(MemoryRuntime):
    """A runtime that was removed."""

    def find_version(self) -> str | None:
        return None


def test_an_inventory_names_target_and_runtimes():
    """The record holds the target and, of each runtime that is there, version and formats."""
    machine = Machine(Hardware(machine="box", arch="riscv64"), {"memory": MemoryRuntime(formats=("onnx", "tflite")), "gone": Absent()})
    inventory = machine.describe()
    assert inventory.target == "riscv64"
    assert [(runtime.name, runtime.version, runtime.formats) for runtime in inventory.runtimes] == [("memory", "1", ("onnx", "tflite"))]
    assert Inventory.decode(inventory.encode()) == inventory


def test_the_first_runtime_by_name_serves_a_format():
    """Which of two runtimes is taken does not depend on the order in which they were found."""
    first, second = MemoryRuntime(formats=("onnx",)), MemoryRuntime(formats=("onnx", "tflite"))
    machine = Machine(Hardware(machine="box", arch="x86_64"), {"b": second, "a": first})
    assert machine.formats == {"onnx", "tflite"}
    assert machine.runtime_for("onnx") is first
    assert machine.runtime_for("tflite") is second


def test_hardware_is_read_below_the_given_root(tmp_path: Path):
    """A recorded machine can be put in place of this one, and what is not recorded is unknown."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:        4096000 kB\n")
    assert find_machine(tmp_path).hardware.memory_mb == 4000
    assert find_machine(tmp_path).hardware.board is None
