"""Runs tests in a virtual environment with another Python or other extras than the one in use.

    python tests/elsewhere.py --python 3.13 --extras agent,onnx,test -- tests/sdk

The environment is made once, in .venv/elsewhere/, and again when the project's dependencies change.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import tomllib

from edgekit.pythons import find_python

ROOT = Path(__file__).parents[1]


def make_environment(python: str, extras: str) -> Path:
    """The interpreter of an environment with this project, editable, and *extras*."""
    version = tuple(map(int, python.split(".")))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    digest = hashlib.sha256(repr((project, extras)).encode()).hexdigest()[:12]
    directory = ROOT / ".venv" / "elsewhere" / f"{python}-{digest}"
    interpreter = directory / "bin" / "python"
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        subprocess.run([find_python(version, version), "-m", "venv", directory], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--upgrade", "pip"], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", "--editable", f"{ROOT}[{extras}]"], check=True)
        (directory / "complete").touch()
    return interpreter


def main() -> int:
    """Make the environment, and run pytest in it with what stands behind ``--``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="its version, as in 3.13")
    parser.add_argument("--extras", required=True, help="extras to install, with commas between them")
    parser.add_argument("tests", nargs="*", help="what pytest gets")
    given = parser.parse_args()
    print(f"== Python {given.python} with edgekit[{given.extras}]", file=sys.stderr)
    interpreter = make_environment(given.python, given.extras)
    return subprocess.run([interpreter, "-m", "pytest", *given.tests], cwd=ROOT, check=False, env=os.environ).returncode


if __name__ == "__main__":
    sys.exit(main())
