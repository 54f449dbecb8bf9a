"""A program that ends when whoever asked for it does."""

import subprocess
import sys

from edgekit.fleet.tethering import tether


def test_it_runs_the_program_with_its_arguments() -> None:
    """The program takes the place of the tether: its output and its exit code come through."""
    done = subprocess.run(tether(["/bin/sh", "-c", "echo here; exit 7"]), capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.returncode) == ("here\n", 7)


def test_nothing_runs_for_a_parent_that_has_gone() -> None:
    """Where the process that asked has ended before the tether was tied, the program is not begun."""
    command = [sys.executable, "-m", "edgekit.fleet.tethering", "1", "/bin/sh", "-c", "echo here"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "has ended already" in done.stderr
