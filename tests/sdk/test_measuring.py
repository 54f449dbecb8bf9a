"""A model in a process of its own, with a runtime that misbehaves in every way that a native one can."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.artifacts import Artifact, FileEntry, bind_identically
from edgekit.errors import DeviceError, InputError
from edgekit.measuring import IsolatedSession
from edgekit.runtimes.onnx_runtime import OnnxRuntime
from edgekit.tensors import TensorSpec

AFFINE = Path(__file__).parent / "runtimes" / "data" / "affine.onnx"
X, Y = (TensorSpec(name=name, dtype="float32", shape=("n", 3)) for name in "xy")
ONES = {"x": np.ones((1, 3), np.float32)}

# A runtime as another package would add it. The file's text says how the model behaves.
UNRULY = """
import os, signal, sys, threading
import numpy as np
from edgekit.errors import InputError
from edgekit.runtimes.memory import MemoryModel, MemoryRuntime
from edgekit.tensors import TensorSpec

X, Y = (TensorSpec(name=name, dtype="float32", shape=("n", 3)) for name in "xy")
kept = []

def crash(given):
    os.kill(os.getpid(), signal.SIGSEGV)

def hang(given):
    print("about to hang", file=sys.stderr, flush=True)
    threading.Event().wait()

def leave(given):
    os._exit(3)

def fail(given):
    raise RuntimeError("a fault of the runtime's own")

def chatter(given):
    os.write(1, b"INFO: noise on the real stdout" * 100)
    print("and on Python's", flush=True)
    assert sys.stdin.read() == "", "stdin is empty"
    return [given[0]]

def tell_cpus(given):
    return [np.array([sorted(os.sched_getaffinity(0))], np.float32)]

def grow(given):
    kept.append(np.ones(64 << 20, np.uint8))
    return [given[0]]

def echo(given):
    return [given[0]]

class Unruly(MemoryRuntime):
    name = "unruly"

    def __init__(self):
        super().__init__(formats=("unruly",))

    def open(self, path, threads):
        behaviour = path.read_text()
        if behaviour == "refuse":
            raise InputError(path, "it will not be opened", "Leave it.")
        self.register(path, MemoryModel((X,), (Y,), globals()[behaviour]))
        return super().open(path, threads)
"""


@pytest.fixture
def open_unruly(tmp_path, monkeypatch):
    """Makes a session, not yet open, of a model that behaves as told."""
    plugin = tmp_path / "site" / "unruly-1.dist-info"
    plugin.mkdir(parents=True)
    (plugin.parent / "unruly_runtime.py").write_text(UNRULY)
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: unruly\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[edgekit.runtimes]\nunruly = unruly_runtime:Unruly\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(plugin.parent), os.environ.get("PYTHONPATH")])))

    def make(behaviour: str, outputs=(Y,), **options) -> IsolatedSession:
        path = tmp_path / f"{behaviour}.unruly"
        path.write_text(behaviour)
        entry = FileEntry(path=path.name, digest="sha256:" + "0" * 64, length=0)
        artifact = Artifact(format="unruly", files=(entry,), inputs=bind_identically((X,)), outputs=bind_identically(outputs))
        return IsolatedSession(path, artifact, (X,), outputs, "unruly", **options)

    return make


def open_affine(**options) -> IsolatedSession:
    inputs, outputs = (TensorSpec(name="x", dtype="float32", shape=("n", 3)),), (TensorSpec(name="y", dtype="float32", shape=("n", 2)),)
    entry = FileEntry(path="affine.onnx", digest="sha256:" + "0" * 64, length=0)
    artifact = Artifact(format="onnx", files=(entry,), inputs=bind_identically(inputs), outputs=bind_identically(outputs))
    return IsolatedSession(AFFINE, artifact, inputs, outputs, "onnxruntime", **options)


@pytest.mark.skipif(OnnxRuntime().find_version() is None, reason="onnxruntime is not installed in this environment")
def test_a_real_model_answers_and_is_timed():
    """A model in a child answers as it does here, and each inference asked for is timed."""
    with open_affine() as session:
        assert session.infer(ONES)["y"].tolist() == [[6.5, -0.5]]
        times = session.time(ONES, 50)
        assert len(times) == 50 and all(0 < one < 1000 for one in times)
        assert session.runtime_version == OnnxRuntime().find_version()
        assert session.rss_mb is not None and 10 < session.rss_mb < 2000


def test_a_crash_takes_nobody_away(open_unruly):
    """A child that dies of a signal is a DeviceError that names the signal; afterwards the session says that it is not running."""
    with open_unruly("crash") as session:
        with pytest.raises(DeviceError, match="SIGSEGV"):
            session.infer(ONES)
        with pytest.raises(DeviceError, match="not running"):
            session.infer(ONES)


def test_a_hang_is_ended_at_the_deadline(open_unruly):
    """A child that does not answer in time is a DeviceError with the last that it said, and is ended."""
    with open_unruly("hang") as session:
        # Only now, since a slow machine may take longer than that to start Python.
        session.timeout_s = 1.0
        pid = session._child.process.pid
        with pytest.raises(DeviceError, match=r"hung.*in 1 s.*about to hang"):
            session.time(ONES, 1)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_child_that_leaves_is_told(open_unruly):
    """A child that ends by itself is a DeviceError with its exit status."""
    with open_unruly("leave") as session, pytest.raises(DeviceError, match="exit status 3"):
        session.infer(ONES)


def test_a_fault_in_the_child_is_told_with_what_it_said(open_unruly):
    """An error that is not edgekit's ends the child, and its text comes with the DeviceError."""
    with open_unruly("fail") as session, pytest.raises(DeviceError, match="a fault of the runtime's own"):
        session.infer(ONES)


def test_a_killed_child_is_told(open_unruly):
    """A child that the kernel kills, as when memory runs out, is named so."""
    with open_unruly("echo") as session:
        os.kill(session._child.process.pid, signal.SIGKILL)
        with pytest.raises(DeviceError, match=r"SIGKILL.*memory"):
            session.infer(ONES)


def test_chatter_does_not_corrupt_the_answers(open_unruly):
    """What a runtime prints on stdout, by Python or beneath it, never mixes with the frames; its stdin is empty."""
    with open_unruly("chatter") as session:
        for _ in range(3):
            np.testing.assert_array_equal(session.infer(ONES)["y"], ONES["x"])


def test_refusals_come_back_as_they_are(open_unruly):
    """An InputError in the child is an InputError here, on opening as on running, and a refused input harms nothing."""
    with pytest.raises(InputError, match="it will not be opened"), open_unruly("refuse"):
        pass
    with open_unruly("echo") as session:
        with pytest.raises(InputError, match=r"'x'.*float64"):
            session.infer({"x": np.ones((1, 3))})
        np.testing.assert_array_equal(session.infer(ONES)["y"], ONES["x"])


def test_a_child_is_pinned_before_its_runtime_starts(open_unruly):
    """With a CPU given, the child runs there alone, and the caller where it did."""
    before = os.sched_getaffinity(0)
    cpu = max(before)
    with open_unruly("tell_cpus", cpu=cpu) as session:
        assert session.infer(ONES)["y"].tolist() == [[cpu]]
    assert os.sched_getaffinity(0) == before


def test_memory_is_the_child_s_own(open_unruly):
    """A model that takes 64 MiB shows in the child's peak, by about that much."""
    with open_unruly("grow") as session:
        before = session.rss_mb
        session.infer(ONES)
        assert 40 < session.rss_mb - before < 120


def test_large_arrays_pass_both_ways(open_unruly):
    """Arrays far larger than a pipe's buffer come through whole."""
    large = np.random.default_rng(0).random((1_000_000, 3), np.float32)
    with open_unruly("echo") as session:
        np.testing.assert_array_equal(session.infer({"x": large})["y"], large)


def test_a_session_that_was_not_opened_refuses(open_unruly):
    """Building is not opening: before the block and after it, nothing runs."""
    session = open_unruly("echo")
    with pytest.raises(DeviceError, match="not running"):
        session.infer(ONES)
    with session:
        pass
    with pytest.raises(DeviceError, match="not running"):
        session.infer(ONES)


def test_a_worker_that_cannot_start_is_told(open_unruly):
    """A command that does not exist, or that ends at once, is a DeviceError."""
    with pytest.raises(DeviceError, match="cannot be started"), open_unruly("echo", command=["/no/such/python"]):
        pass
    with pytest.raises(DeviceError, match="exit status 0"), open_unruly("echo", command=[sys.executable, "-c", ""]):
        pass


if sys.version_info >= (3, 11):  # Python 3.10 has no way to be told.

    def test_a_file_in_the_working_directory_takes_no_module_s_place(open_unruly, tmp_path, monkeypatch):
        """The worker starts where the user has a numpy.py of their own."""
        (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
        monkeypatch.chdir(tmp_path)
        with open_unruly("echo") as session:
            np.testing.assert_array_equal(session.infer(ONES)["y"], ONES["x"])
