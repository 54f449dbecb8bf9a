"""Pythons are found by running them."""

import sys
from pathlib import Path

import pytest

from edgekit.errors import DeviceError
from edgekit.pythons import find_python

HERE = sys.version_info[:2]


def _write_program(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _fake(version: str, fit: str = "true") -> str:
    return f"""echo '{{"version": {version}, "executable": "/found/{version}", "fit": {fit}}}'"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_the_running_python_is_taken_when_it_fits() -> None:
    """Where the Python that runs this is of the range, nothing else is looked for."""
    assert find_python(HERE, HERE) == Path(sys.executable)


def test_a_shim_that_fails_is_passed_over(alone: Path) -> None:
    """A name on PATH that fails when it is run is no Python, and the same name further on is."""
    _write_program(alone / "first" / "python3.90", "echo 'command not found' >&2; exit 127")
    _write_program(alone / "second" / "python3.90", _fake("[3, 90]"))
    assert find_python((3, 90), (3, 90)) == Path("/found/[3, 90]")


def test_a_name_is_not_believed(alone: Path) -> None:
    """What a Python says of itself counts, not what it is called."""
    _write_program(alone / "first" / "python3.91", _fake("[3, 8]"))
    with pytest.raises(DeviceError, match=r"3\.8"):
        find_python((3, 91), (3, 91))


def test_a_python_that_cannot_make_environments_is_passed_over(alone: Path) -> None:
    """A free-threaded Python, or one without ensurepip, does not count."""
    _write_program(alone / "first" / "python3.92", _fake("[3, 92]", "false"))
    with pytest.raises(DeviceError, match=r"3\.92 to 3\.92"):
        find_python((3, 92), (3, 92))


def test_pythons_of_pyenv_are_found(alone: Path) -> None:
    """A version that pyenv has installed is found though no name on PATH leads to it."""
    _write_program(alone / "pyenv" / "versions" / "3.93.1" / "bin" / "python3", _fake("[3, 93]"))
    assert find_python((3, 93), (3, 94)) == Path("/found/[3, 93]")


def test_pythons_of_uv_are_found(alone: Path) -> None:
    """A version that uv has installed is found."""
    _write_program(alone / "kept" / "python", _fake("[3, 94]"))
    _write_program(alone / "first" / "uv", f"""echo '[{{"path": "{alone}/kept/python"}}, {{"path": null}}]'""")
    assert find_python((3, 94), (3, 94)) == Path("/found/[3, 94]")
