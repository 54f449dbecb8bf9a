"""Mosquitto on this machine: found where it is installed, or unpacked without root from the distribution's own packages."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from edgekit.errors import DeviceError
from edgekit.files import naming_disk_errors, replacing_directory

#: Where edgekit keeps what can be had again, instead of in the user's cache directory.
CACHE = "EDGEKIT_CACHE"
_REMEDY = "Install it (apt-get install mosquitto), or name a broker that you run with --broker mqtt://host:1883."
# Debian keeps daemons out of the PATH of ordinary users.
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_APT_SECONDS = 300

#: Called with one sentence on what is being done.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Mosquitto:
    """The program at *path*; *libraries* are directories in which it finds what the system lacks."""

    path: Path
    libraries: tuple[Path, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The environment to run it in."""
        if not self.libraries:
            return dict(os.environ)
        places = [str(place) for place in self.libraries] + list(filter(None, [os.environ.get("LD_LIBRARY_PATH")]))
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(places)}


def find_mosquitto(say: Say) -> Mosquitto:
    """Mosquitto as it is installed, else as it was unpacked before, else unpacked now, which is said.

    Raises:
        DeviceError: there is none, and none can be had; it says how to install one.
    """
    installed = find_installed()
    if installed is not None:
        return Mosquitto(installed)
    unpacked = find_place()
    if not (unpacked / "usr/sbin/mosquitto").is_file():
        say(f"Mosquitto is not installed: fetching this distribution's own packages, about 3 MB, to {unpacked}")
        unpack_mosquitto(unpacked)
    return describe_unpacked(unpacked)


def find_installed() -> Path | None:
    """Mosquitto on PATH, or where daemons are."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=":".join(_PLACES))
    return Path(found) if found else None


def find_place() -> Path:
    """Where it is unpacked: in EDGEKIT_CACHE, else in the user's cache."""
    cache = os.environ.get(CACHE) or platformdirs.user_cache_dir("edgekit", appauthor=False)
    return Path(cache).absolute() / "mosquitto"


def unpack_mosquitto(destination: Path) -> None:
    """Fetch the distribution's packages with apt, which checks their signatures, and unpack them at *destination*.

    What the system has already is left out. Nothing is installed, and no root is needed.

    Raises:
        DeviceError: this is no Debian or Ubuntu, the packages cannot be had, or *destination* cannot be written.
    """
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise DeviceError("mosquitto", f"it is not installed, and cannot be unpacked without {' and '.join(missing)}", _REMEDY)
    with naming_disk_errors(destination), tempfile.TemporaryDirectory() as scratch:
        packages = _fetch_packages(Path(scratch))
        with replacing_directory(destination) as staging:
            for package in packages:
                _run(["dpkg", "-x", str(package), str(staging)], Path(scratch))
            _check(describe_unpacked(staging))


def describe_unpacked(root: Path) -> Mosquitto:
    """The program below *root*, with every directory there that holds shared libraries."""
    libraries = sorted({path.parent for path in root.glob("**/*.so.*")})
    return Mosquitto(root / "usr/sbin/mosquitto", tuple(libraries))


def _fetch_packages(scratch: Path) -> list[Path]:
    """The packages that this machine lacks, from the lists that it has, else from fresh lists of our own."""
    try:
        return _download(scratch, [])
    except DeviceError:
        # There are no lists, or they are too old: those of the system can be renewed by root alone, ours by anybody.
        options = [f"Dir::State::Lists={scratch}/lists", f"Dir::Cache={scratch}/cache", "APT::Sandbox::User=root"]
        for name in ("lists/partial", "cache/archives/partial"):
            (scratch / name).mkdir(parents=True, exist_ok=True)
        chosen = [part for option in options for part in ("-o", option)]
        _run(["apt-get", *chosen, "--quiet", "update"], scratch)
        return _download(scratch, chosen)


def _download(scratch: Path, options: Sequence[str]) -> list[Path]:
    plan = _run(["apt-get", *options, "--simulate", "--no-install-recommends", "install", "mosquitto"], scratch)
    names = [name for name in re.findall(r"^Inst (\S+) ", plan, re.MULTILINE) if name == "mosquitto" or name.startswith("lib")]
    _run(["apt-get", *options, "--quiet", "download", *(names or ["mosquitto"])], scratch)
    return sorted(scratch.glob("*.deb"))


def _check(program: Mosquitto) -> None:
    """That it starts at all: a library that is still missing shows here, and not when the fleet comes up."""
    if not program.path.is_file():
        raise DeviceError("mosquitto", "the distribution's package does not hold it where it was expected", _REMEDY)
    done = subprocess.run([program.path, "-h"], env=program.environment, capture_output=True, text=True, timeout=10, check=False)
    if "mosquitto version" not in done.stdout:
        raise DeviceError(program.path, f"it was unpacked and does not start: {_last_line(done.stderr)}", _REMEDY)


def _run(command: Sequence[str], directory: Path) -> str:
    """What *command* wrote to stdout; DeviceError with its last words where it failed."""
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=_APT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DeviceError("mosquitto", f"it is not installed, and {command[0]} took more than {_APT_SECONDS} s", _REMEDY) from error
    if done.returncode != 0:
        raise DeviceError("mosquitto", f"it is not installed, and cannot be unpacked: {_last_line(done.stderr)}", _REMEDY)
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
