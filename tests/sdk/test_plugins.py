"""Plug-ins are found by entry point, other packages' like our own."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from edgekit.errors import DeviceError, UnknownName
from edgekit.plugins import COMMANDS, RUNTIMES, SOURCES, TARGETS, find_plugins, load_plugin


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another package's metadata and module, on the import path."""
    metadata = tmp_path / "stranger-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(
        "[console_scripts]\nstranger = stranger:main\n\n# a comment\n[edgekit.runtimes]\nstranger = stranger_runtime:Engine\nbroken=absent_module:X\n"
    )
    (tmp_path / "stranger_runtime.py").write_text("class Engine:\n    name = 'stranger'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("group", [SOURCES, TARGETS, RUNTIMES, COMMANDS])
def test_agrees_with_the_standard_library(group: str) -> None:
    """What is found is what importlib.metadata finds."""
    assert find_plugins(group) == {entry.name: entry.value for entry in entry_points(group=group)}
    assert find_plugins(group)


def test_another_package_adds_a_plugin(stranger: Path) -> None:
    """A plug-in of another package stands beside our own, and is loaded by its name."""
    assert {"stranger", "onnxruntime"} <= find_plugins(RUNTIMES).keys()
    assert load_plugin(RUNTIMES, "stranger").name == "stranger"


def test_what_cannot_be_imported_is_a_device_error(stranger: Path) -> None:
    """A plug-in whose module is absent is refused with the module's name."""
    with pytest.raises(DeviceError, match="absent_module"):
        load_plugin(RUNTIMES, "broken")


def test_unknown_plugin_lists_the_known() -> None:
    """An unknown plug-in is answered with those that there are."""
    with pytest.raises(UnknownName, match=r"runtime 'tensorflow'.*onnxruntime"):
        load_plugin(RUNTIMES, "tensorflow")
