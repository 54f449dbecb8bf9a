"""Managed environments: found, made once, made whole or not at all, and called."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edgekit import environments
from edgekit.environments import Environment, ensure_environment, find_environments, find_obstacle, run_tool
from edgekit.errors import ConversionError, DeviceError, TransferError

HERE = sys.version_info[:2]


def _environment(directory: Path, text: str = "", name: str = "tiny") -> Environment:
    lock = directory / f"{name}.lock"
    lock.write_text(text)
    return Environment(name=name, minimum=HERE, maximum=HERE, lock=lock, size_mb=20)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(autouse=True)
def _apart(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(environments.PLACE, str(place))
    monkeypatch.delenv(environments.OFFLINE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def made(place: Path, tmp_path: Path) -> Environment:
    environment = _environment(tmp_path)
    ensure_environment(environment)
    return environment


_ENSURE = """
import sys
from pathlib import Path
from edgekit.environments import Environment, ensure_environment
print(ensure_environment(Environment(name="shared", minimum=sys.version_info[:2], maximum=sys.version_info[:2], lock=Path(sys.argv[1]), size_mb=20)))
"""


def _script(directory: Path, body: str) -> Path:
    path = directory / "tool.py"
    path.write_text("import json, sys\nfrom pathlib import Path\nrequest = json.loads(Path(sys.argv[1]).read_text())\n" + body)
    return path


def test_environment_is_made_once_and_its_size_is_said_before(tmp_path: Path) -> None:
    """The first call makes the environment and says what it takes; the second finds it and says nothing."""
    environment, said = _environment(tmp_path, "# once\n", "once"), []
    python = ensure_environment(environment, say=said.append)
    marked = (environment.path / "complete").stat().st_mtime_ns
    assert ensure_environment(environment, say=said.append) == python
    assert (environment.path / "complete").stat().st_mtime_ns == marked
    assert len(said) == 1
    assert "20 MB" in said[0]


def test_another_lock_file_makes_another_environment(made: Environment, tmp_path: Path) -> None:
    """What the lock file says decides where the environment lies, so a changed lock never meets old packages."""
    assert made.is_ready
    other = _environment(tmp_path, "# another\n", "changed")
    assert not other.is_ready
    assert other.path.name.removeprefix("changed") != made.path.name.removeprefix("tiny")


def test_half_built_environment_is_built_again(made: Environment) -> None:
    """Without the marker that is written last, an environment counts as half-built and is made anew."""
    (made.path / "complete").unlink()
    (made.path / "leftover").write_text("half")
    assert not made.is_ready
    ensure_environment(made)
    assert made.is_ready
    assert not (made.path / "leftover").exists()


def test_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where a package cannot be fetched, it is a TransferError with pip's words, and no half of the environment stays."""
    environment = _environment(tmp_path, "no-such-package-anywhere==1.0\n", "failing")
    with pytest.raises(TransferError, match="no-such-package-anywhere"):
        ensure_environment(environment)
    assert not environment.path.exists()


@pytest.mark.parametrize("by_variable", [True, False])
def test_offline_forbids_making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_variable: bool) -> None:
    """The parameter and EDGEKIT_OFFLINE both forbid to make an environment, and the refusal names the way out."""
    environment = _environment(tmp_path, "# never\n", "never")
    if by_variable:
        monkeypatch.setenv(environments.OFFLINE, "1")
    with pytest.raises(DeviceError, match="doctor --fix"):
        ensure_environment(environment, offline=not by_variable)
    assert "offline" in (find_obstacle(environment, offline=not by_variable) or "")


def test_offline_does_not_hinder_what_is_there(made: Environment) -> None:
    """An environment that has been made is used offline too."""
    assert ensure_environment(made, offline=True) == made.python
    assert find_obstacle(made, offline=True) is None


def test_missing_python_is_an_obstacle(tmp_path: Path) -> None:
    """Where no Python of the range is found, the obstacle names the range and what was found instead."""
    lock = tmp_path / "future.lock"
    lock.write_text("")
    environment = Environment(name="future", minimum=(3, 98), maximum=(3, 99), lock=lock, size_mb=1)
    obstacle = find_obstacle(environment)
    assert obstacle is not None
    assert f"{HERE[0]}.{HERE[1]}" in obstacle
    assert "3.99" in obstacle


def test_two_processes_make_one_environment(tmp_path: Path) -> None:
    """Of two processes that want the same environment at once, both get it whole."""
    lock = tmp_path / "shared.lock"
    lock.write_text("# shared\n")
    command = [sys.executable, "-c", _ENSURE, str(lock)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pythons = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert pythons[0] == pythons[1]
    assert Path(pythons[0]).exists()


def test_tool_answers_a_request(tmp_path: Path) -> None:
    """A tool reads the request and its result comes back, whatever it prints."""
    script = _script(tmp_path, "print('chatter')\nPath(sys.argv[2]).write_text(json.dumps({'result': {'twice': 2 * request['n']}}))\n")
    assert run_tool(Path(sys.executable), script, {"n": 21}, timeout=60) == {"twice": 42}


def test_tool_leaves_no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tool leaves in the temporary directory goes when it has answered."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = "import tempfile\nPath(sys.argv[2]).write_text(json.dumps({'result': {'left': tempfile.mkdtemp()}}))\n"
    place = run_tool(Path(sys.executable), _script(tmp_path, left), {}, timeout=60)["left"]
    assert Path(place).is_relative_to(tmp_path)
    assert not Path(place).exists()


def test_tool_error_is_told(tmp_path: Path) -> None:
    """What a tool says is wrong is the refusal's text."""
    script = _script(tmp_path, "Path(sys.argv[2]).write_text(json.dumps({'error': 'no rule for NonZero'}))\n")
    with pytest.raises(ConversionError, match="no rule for NonZero"):
        run_tool(Path(sys.executable), script, {}, timeout=60)


def test_tool_that_dies_is_told_with_its_last_words(tmp_path: Path) -> None:
    """A tool that is killed gives a refusal that names the signal and what it printed last."""
    script = _script(tmp_path, "import os, signal\nprint('nearly there', flush=True)\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    with pytest.raises(ConversionError, match=r"SIGSEGV.*nearly there"):
        run_tool(Path(sys.executable), script, {}, timeout=60)


def test_tool_that_hangs_is_stopped(tmp_path: Path) -> None:
    """A tool that does not end in time is stopped and told of."""
    script = _script(tmp_path, "import time\ntime.sleep(600)\n")
    with pytest.raises(ConversionError, match="too long"):
        run_tool(Path(sys.executable), script, {}, timeout=0.5)


def test_tool_does_not_see_packages_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH of the caller does not reach the tool."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "smuggled"))
    script = _script(tmp_path, "Path(sys.argv[2]).write_text(json.dumps({'result': {'path': sys.path}}))\n")
    assert str(tmp_path / "smuggled") not in run_tool(Path(sys.executable), script, {}, timeout=60)["path"]


def test_tool_does_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a set, by which tools number things, is the same in each process, whatever the caller's own is; its folder stays out."""
    body = "answer = {'result': {'order': list(set('determinism')), 'path': sys.path}}\nPath(sys.argv[2]).write_text(json.dumps(answer))\n"
    script = _script(tmp_path, body)
    answers = []
    for seed in ("1", "2", "random"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        answers.append(run_tool(Path(sys.executable), script, {}, timeout=60))
    assert answers[0]["order"] == answers[1]["order"] == answers[2]["order"]
    if HERE >= (3, 11):
        assert str(script.parent) not in answers[0]["path"]


def test_environments_are_found_by_entry_point() -> None:
    """The environment of the TFLite converter is found, and its lock pins each package to one version."""
    environment = find_environments()["onnx2tf"]
    lines = [line for line in environment.lock.read_text().splitlines() if not line.startswith("#")]
    assert "onnx2tf==2.6.9" in lines
    assert all(line.count("==") == 1 for line in lines)
