"""Mosquitto as it is found, or unpacked from the distribution's packages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit.errors import DeviceError
from edgekit.fleet import mosquitto
from edgekit.fleet.mosquitto import CACHE, Mosquitto, describe_unpacked, find_mosquitto, find_place, unpack_mosquitto


def never(text: str) -> None:
    """A voice that must stay silent."""
    raise AssertionError(text)


def test_what_is_on_the_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed Mosquitto is used as it is, and nothing is fetched or said."""
    program = tmp_path / "mosquitto"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mosquitto(never) == Mosquitto(program)


@pytest.fixture
def without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without Mosquitto and without apt, with a cache of its own."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(mosquitto, "_PLACES", ())
    return tmp_path


def test_one_that_was_unpacked_is_used_again(without_any: Path) -> None:
    """What lies in the cache is taken, with the directories in which it finds its libraries."""
    root = find_place()
    for name in ("usr/sbin/mosquitto", "usr/lib/x86_64-linux-gnu/libmosquitto.so.1"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    found = find_mosquitto(never)
    assert found == Mosquitto(root / "usr/sbin/mosquitto", (root / "usr/lib/x86_64-linux-gnu",))
    assert found.environment["LD_LIBRARY_PATH"].startswith(str(root / "usr/lib/x86_64-linux-gnu"))


def test_a_machine_without_it_is_told_how_to_get_it(without_any: Path) -> None:
    """Where there is neither Mosquitto nor apt, the error says how to install it or go without."""
    with pytest.raises(DeviceError, match=r"apt-get and dpkg.*apt-get install mosquitto.*--broker"):
        find_mosquitto(lambda _text: None)
    assert not find_place().exists()


def test_apt_that_fails_leaves_nothing(without_any: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When packages cannot be had, what apt said last is told, and no half of a broker stays."""
    tools = without_any / "tools"
    tools.mkdir()
    for name in ("apt-get", "dpkg"):
        (tools / name).write_text("#!/bin/sh\necho 'E: no network here' >&2\nexit 100\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/bin")
    with pytest.raises(DeviceError, match="E: no network here"):
        find_mosquitto(lambda _text: None)
    assert not find_place().exists()


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="this is no Debian: there is no apt-get")
def test_the_distributions_packages_are_unpacked_without_installing(tmp_path: Path) -> None:
    """Apt and dpkg -x bring a Mosquitto that starts, into a directory of ours and nowhere else."""
    try:
        unpack_mosquitto(tmp_path / "mosquitto")
    except DeviceError as error:
        pytest.skip(f"apt cannot fetch here: {error}")
    found = describe_unpacked(tmp_path / "mosquitto")
    assert found.path.is_relative_to(tmp_path)
    done = subprocess.run([found.path, "-h"], env=found.environment, capture_output=True, text=True, check=False)
    assert "mosquitto version" in done.stdout
