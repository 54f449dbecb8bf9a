"""Pythons on this machine, found by running each: a name on PATH may be a shim that fails."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceError

#: Major and minor, as in (3, 12).
Version = tuple[int, int]

_DEADLINE_S = 20
# A Python can be the base of an environment when it is CPython with the global lock, which wheels are built for, and has
# what venv needs; Debian packs ensurepip on its own.
_QUESTION = """
import json, sys, sysconfig
import ensurepip, venv
fit = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
print(json.dumps({"version": sys.version_info[:2], "executable": sys.executable, "fit": fit}))
"""


def find_python(minimum: Version, maximum: Version) -> Path:
    """A Python of a version from *minimum* to *maximum*, both included; the one that runs this, if it fits.

    Raises:
        DeviceError: there is none, with the versions that were found.
    """
    seen: set[Version] = set()
    for candidate in _list_candidates(minimum, maximum):
        found = _ask_python(str(candidate))
        if found is None:
            continue
        version, executable = found
        seen.add(version)
        if minimum <= version <= maximum:
            return Path(executable)
    listed = ", ".join(f"{major}.{minor}" for major, minor in sorted(seen)) or "none that can make environments"
    wanted = f"Python {say_range(minimum, maximum)}"
    problem = f"there is none on PATH, under pyenv or from uv (found: {listed})"
    raise DeviceError(wanted, problem, f"Install one, for example: uv python install {maximum[0]}.{maximum[1]}.")


def say_range(minimum: Version, maximum: Version) -> str:
    """The two versions as text: ``3.12 to 3.13``."""
    return f"{minimum[0]}.{minimum[1]} to {maximum[0]}.{maximum[1]}"


def _list_candidates(minimum: Version, maximum: Version) -> Iterator[Path]:
    yield Path(sys.executable)
    names = [f"python3.{minor}" for minor in range(minimum[1], maximum[1] + 1)] + ["python3", "python"]
    places = [Path(place) for place in os.get_exec_path()]
    yield from (place / name for name in names for place in places if os.access(place / name, os.X_OK))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/3*/bin/python3"))
    yield from _list_uv_pythons()


def _list_uv_pythons() -> Iterator[Path]:
    if shutil.which("uv") is None:
        return
    command = ["uv", "python", "list", "--only-installed", "--offline", "--output-format", "json"]
    answer = _run_question(command)
    yield from (Path(one["path"]) for one in answer or [] if one.get("path"))


@functools.cache
def _ask_python(candidate: str) -> tuple[Version, str] | None:
    """The version and path that *candidate* gives of itself when it is run; None where it fails or cannot make environments."""
    answer = _run_question([candidate, "-I", "-c", _QUESTION])
    if not isinstance(answer, dict) or not answer["fit"]:
        return None
    major, minor = answer["version"]
    return (major, minor), answer["executable"]


def _run_question(command: list[str]) -> Any:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE_S, check=True)
        return json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None  # a broken candidate is no candidate; find_python tells when none is left
