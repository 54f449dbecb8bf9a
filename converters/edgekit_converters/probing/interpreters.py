"""What another Python has installed."""

import subprocess
from pathlib import Path

from edgekit.errors import DeviceError

_ASK = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"


def find_version_in(python: Path | str, package: str) -> str:
    """The version of *package* that *python* has; DeviceError where it has none."""
    done = subprocess.run([str(python), "-I", "-c", _ASK, package], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DeviceError(
            str(python), f"it has no {package}, which is to be probed", f"Install it there, or name another Python: pip install {package}."
        )
    return done.stdout.strip()
