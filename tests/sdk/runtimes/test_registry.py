"""Which runtimes are here is found without loading any of them."""

import subprocess
import sys

import pytest

from edgekit.errors import DeviceError
from edgekit.runtimes import registry
from edgekit.runtimes.memory import MemoryRuntime
from edgekit.runtimes.packages import find_package_version, summarize


def test_finding_runtimes_loads_no_framework():
    """Listing the runtimes with their versions imports none of them."""
    script = """
import sys
from edgekit.runtimes.registry import find_runtimes
[runtime.find_version() for runtime in find_runtimes().values()]
print(sorted({name.partition(".")[0] for name in sys.modules} & {"onnxruntime", "ai_edge_litert", "tflite_runtime", "openvino", "onnx"}))
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_only_what_is_installed_is_found(monkeypatch):
    """A runtime without a version is not there."""

    class Absent(MemoryRuntime):
        def find_version(self):
            return None

    monkeypatch.setattr(registry, "find_plugins", lambda _group: {"absent": "", "memory": ""})
    monkeypatch.setattr(registry, "load_plugin", lambda _group, name: Absent if name == "absent" else MemoryRuntime)
    assert list(registry.find_runtimes()) == ["memory"]


def test_a_runtime_that_is_lacking_is_told_with_its_remedy(monkeypatch):
    """Asking for a format that nothing here runs names the package to install."""
    monkeypatch.setattr(registry, "find_runtimes", dict)
    with pytest.raises(DeviceError, match=r"edgekit\[litert\]"):
        registry.find_runtime("tflite")


def test_a_package_that_is_absent_has_no_version():
    """A package that is not installed has no version, and one that is has its own."""
    assert find_package_version("no-such-package-anywhere") is None
    assert find_package_version("msgspec")


@pytest.mark.parametrize(
    ("message", "summary"),
    [
        ("one line", "one line"),
        ("first\nsecond", "first"),
        ("Exception from src/a.cpp:1:\nCheck 'x' failed at src/b.cpp:2:\nthe cause\n\n", "the cause"),
        ("Exception from src/a.cpp:1:", "Exception from src/a.cpp:1:"),
        ("", "ValueError"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_a_long_complaint_is_shortened_to_its_cause(message, summary):
    """Of a runtime's message the first line that says something is kept."""
    assert summarize(ValueError(message)) == summary
