"""A lock between processes."""

import subprocess
import sys

import pytest

from edgekit.errors import DeviceError
from edgekit.locks import holding_lock

HOLD = """
import os, sys, pathlib
from edgekit.locks import holding_lock
with holding_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_holder_at_a_time(tmp_path):
    """A second holder is refused while the first has it, and not afterwards."""
    with holding_lock(tmp_path / "lock"), pytest.raises(DeviceError, match="another edgekit"), holding_lock(tmp_path / "lock"):
        pass
    with holding_lock(tmp_path / "lock"):
        pass


def test_a_dead_holder_holds_nothing(tmp_path):
    """A process that is killed gives its lock back."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DeviceError), holding_lock(tmp_path / "lock"):
            pass
        holder.kill()
        holder.wait(10)
        with holding_lock(tmp_path / "lock"):
            pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    """Where no lock file can be made, the refusal says so."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceError, match="file/lock"), holding_lock(tmp_path / "file" / "lock"):
        pass
