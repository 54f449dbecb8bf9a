"""Managed environments: tools whose pins fight live in a virtual environment each, made on demand and called as a subprocess.

An environment is a lock file with every package that goes into it, and a range of Python versions. It is built where it
stays, since a virtual environment cannot be moved: under a lock, with a marker written last, so that a half-built one is
known and built again. A tool in it is a script that reads a JSON request and writes a JSON response.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from edgekit.errors import ConversionError, DeviceError, TransferError
from edgekit.files import naming_disk_errors, write_file
from edgekit.plugins import ENVIRONMENTS, find_plugins, load_plugin
from edgekit.pythons import Version, find_python, say_range

#: Where environments are kept, instead of in the user's cache directory.
PLACE = "EDGEKIT_ENVIRONMENTS"
#: Set to 1, it forbids whatever needs the network.
OFFLINE = "EDGEKIT_OFFLINE"
_MARKER = "complete"
_TAIL_LINES = 6
_FULL_DISK = "No space left on device"

#: Called with one sentence on what is being done.
Say = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """A set of pinned packages and the Python versions, both ends included, that they run on.

    *lock* is a requirements file with one ``name==version`` a line, dependencies included. *size_mb* is about what it
    takes on disk, in MB, so that a user can be told before it is made.
    """

    name: str
    minimum: Version
    maximum: Version
    lock: Path
    size_mb: int

    @property
    def path(self) -> Path:
        """The directory where it is, or will be: another lock file makes another directory."""
        digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()
        return find_place() / f"{self.name}-{digest[:12]}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def is_ready(self) -> bool:
        """Whether it was built to its end, and the Python that it stands on is still there."""
        return (self.path / _MARKER).is_file() and self.python.exists()


def find_environments() -> dict[str, Environment]:
    """Every environment that an installed package names, by name."""
    return {name: load_plugin(ENVIRONMENTS, name) for name in find_plugins(ENVIRONMENTS)}


def find_place() -> Path:
    """The directory that holds the environments: EDGEKIT_ENVIRONMENTS, else in the user's cache."""
    given = os.environ.get(PLACE)
    return Path(given) if given else Path(platformdirs.user_cache_dir("edgekit", appauthor=False)) / "environments"


def is_offline() -> bool:
    """Whether EDGEKIT_OFFLINE forbids the network."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "no", "false")


def find_obstacle(environment: Environment, *, offline: bool = False) -> str | None:
    """Why *environment* neither is here nor can be made, as a sentence with what to do; None where it can."""
    if environment.is_ready:
        return None
    if offline or is_offline():
        return f"the environment {environment.name!r} has not been made yet, and offline nothing may be fetched. {_make_hint(environment)}"
    try:
        find_python(environment.minimum, environment.maximum)
    except DeviceError as error:
        return f"the environment {environment.name!r} needs another Python: {error.problem}. {error.remedy}"
    return None


def ensure_environment(environment: Environment, *, offline: bool = False, say: Say | None = None) -> Path:
    """The interpreter of *environment*, which is made first where it is not here. Its size is said before.

    Of two processes that want it at once, the second waits for the first.

    Raises:
        DeviceError: no fitting Python, a full disk, or it is not here and *offline* or EDGEKIT_OFFLINE forbids to make it.
        TransferError: a package could not be fetched.
    """
    if environment.is_ready:
        return environment.python
    if offline or is_offline():
        problem = "it has not been made yet, and offline nothing may be fetched"
        raise DeviceError(f"environment {environment.name!r}", problem, _make_hint(environment))
    base = find_python(environment.minimum, environment.maximum)
    with naming_disk_errors(environment.path):
        environment.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(environment.path.with_suffix(".lock")):
            if not environment.is_ready:
                _build(environment, base, say)
    return environment.python


def run_tool(python: Path, script: Path, request: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """What *script*, run by *python*, answers to *request*.

    The script is called with two paths: the request as JSON, and where it is to write its response, an object with
    ``result``, or with ``error`` and its message. What it prints goes to a file, of which the end is told if it fails.
    Temporary files that it leaves, as torch and others do, vanish with its answer.

    Raises:
        ConversionError: the script said so, died, or took longer than *timeout* seconds.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-") as directory:
        request_path, response_path, log_path = (Path(directory) / name for name in ("request.json", "response.json", "log"))
        request_path.write_text(json.dumps(request), encoding="utf-8")
        command = [str(python), str(script), str(request_path), str(response_path)]
        code = _run_group(command, log_path, timeout, _isolate_environment() | {"TMPDIR": directory})
        return _read_response(script.stem.removesuffix("_main"), response_path, code, _tail(log_path))


def _read_response(tool: str, path: Path, code: int | None, tail: str) -> dict[str, Any]:
    if code is None:
        raise ConversionError(tool, f"it took too long and was stopped; its last words: {tail}", "Try a smaller model.")
    try:
        response = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        end = f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it ended with code {code}"
        raise ConversionError(tool, f"{end} and gave no answer; its last words: {tail}") from error
    if "error" in response:
        raise ConversionError(tool, response["error"])
    result: dict[str, Any] = response["result"]
    return result


def _run_group(command: list[str], log: Path, timeout: float, variables: Mapping[str, str]) -> int | None:
    """The exit code of *command*, with all that it starts in a process group; None where it took longer than *timeout* seconds."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables, start_new_session=True)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Also when the user interrupts: nothing of the group outlives the call.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _isolate_environment() -> dict[str, str]:
    """The process's environment, with which neither PYTHONPATH nor packages or files of the user's own get into a tool.

    That is what ``python -I`` does, which would also make the order of sets random: tf2onnx numbers its tensors in that order,
    so that of one Keras model it wrote other names, and other bytes, each time.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1"}


def _build(environment: Environment, base: Path, say: Say | None) -> None:
    if say is not None:
        say(f"making the environment {environment.name!r}, once: it fetches packages and takes about {environment.size_mb} MB in {environment.path}")
    shutil.rmtree(environment.path, ignore_errors=True)
    try:
        _run_step(environment, [str(base), "-I", "-m", "venv", str(environment.path)])
        # The lock names everything, so nothing is resolved, and no package is built from source.
        install = ["-m", "pip", "install", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"]
        _run_step(environment, [str(environment.python), "-I", *install, "--quiet", "-r", str(environment.lock)])
        write_file(environment.path / _MARKER, b"")
    except BaseException:
        shutil.rmtree(environment.path, ignore_errors=True)
        raise


def _run_step(environment: Environment, command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return
    words = done.stdout.decode(errors="replace")
    subject, problem = f"environment {environment.name!r}", f"it could not be made: {_last_lines(words)}"
    if _FULL_DISK in words:
        raise DeviceError(subject, problem, f"Free {environment.size_mb} MB, or name another place in {PLACE}.")
    if "venv" in command:
        raise DeviceError(subject, problem, "Install another Python of the versions " + say_range(environment.minimum, environment.maximum) + ".")
    raise TransferError(subject, problem, "Check the network and pip's settings, then run the same command again.")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        # The lock goes with the open file, so a process that dies gives it back (flock(2)).
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_hint(environment: Environment) -> str:
    return f"With a network, make it once ({environment.size_mb} MB): edgekit doctor --fix."


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return _last_lines(file.read().decode(errors="replace"))


def _last_lines(text: str) -> str:
    # A progress bar overwrites its line by carriage returns: each state counts as a line.
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith("ERROR")] or lines
    return " / ".join(telling[-_TAIL_LINES:]) or "nothing was said"
