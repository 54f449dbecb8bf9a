"""Work in a child that may crash, hang, or want too much: the caller goes on, and says what happened."""

import resource
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit_converters.confining import Limits, run_confined

LIMITS = Limits(memory=1 << 29, seconds=5)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs lines of Python as the child, after it has confined itself."""

    def run_lines(lines: str, limits: Limits = LIMITS, deadline_s: float = 30.0) -> bytes:
        head = "import os, sys\nfrom edgekit_converters.confining import Limits, confine\nlimits = Limits(int(sys.argv[1]), float(sys.argv[2]))\n"
        (tmp_path / "confined_child.py").write_text(head + "confine(limits)\n" + lines)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        return run_confined("confined_child", b"given", "given.onnx", limits, deadline_s)

    return run_lines


def test_child_answers(run) -> None:
    """What the child writes to its stdout comes back, and what it writes to stderr does not."""
    assert run("sys.stderr.write('chatter')\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])") == b"nevig"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV"),
        ("sys.exit('out of paper')", r"exit status 1 \(it said: out of paper\)"),
        ("raise ValueError('strange')", "ValueError: strange"),
        ("bytearray(1 << 30)", "MemoryError"),
    ],
)
def test_death_of_the_child_is_told(lines, said, run) -> None:
    """A crash, a failure and too much memory are the file's fault, with the child's last words."""
    with pytest.raises(InputError, match=rf"^given\.onnx: .*{said}"):
        run(lines)


def test_busy_child_is_stopped(run) -> None:
    """A child that computes without end is stopped once its processor time is used up."""
    with pytest.raises(InputError, match="could not be read in 1 s"):
        run("while True: pass", Limits(memory=1 << 29, seconds=1))


def test_sleeping_child_is_stopped(run) -> None:
    """A child that waits without end, which takes no processor time, is stopped by the clock."""
    with pytest.raises(InputError, match="could not be read in 1 s"):
        run("import time\ntime.sleep(60)", deadline_s=1.0)


def test_limits_can_be_widened(run) -> None:
    """A child that learns of more to read allows itself more, and has it."""
    assert run("confine(Limits(limits.memory * 4, limits.seconds))\nprint(len(bytearray(1 << 30)))") == b"1073741824\n"


def test_limits_are_the_childs_alone(run) -> None:
    """The process that asked keeps its own limits."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    run("pass")
    assert resource.getrlimit(resource.RLIMIT_AS) == before
