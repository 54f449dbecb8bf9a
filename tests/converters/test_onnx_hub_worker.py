"""The process that reads for others: what it answers, whatever the file does to it."""

import subprocess
import sys

import msgspec
import pytest

from edgekit.measuring_frames import Refused
from edgekit_converters import onnx_hub_worker
from edgekit_converters.confining import Limits
from edgekit_converters.onnx_hub_records import HubReply, HubReport, HubRequest

LIMITS = Limits(memory=1 << 30, seconds=10)


def _run(request: bytes) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "edgekit_converters.onnx_hub_worker", str(LIMITS.memory), str(int(LIMITS.seconds))]
    return subprocess.run(command, input=request, capture_output=True, check=False)


def test_report_is_all_that_comes_out(make_conv, tmp_path) -> None:
    """A request on stdin is answered with one record on stdout, and the hub is written."""
    (tmp_path / "given.onnx").write_bytes(make_conv().SerializeToString())
    done = _run(HubRequest(path=str(tmp_path / "given.onnx"), hub=str(tmp_path / "hub.onnx"), subject="given.onnx").encode())
    reply = msgspec.json.decode(done.stdout, type=HubReply)
    assert isinstance(reply, HubReport)
    assert reply.inputs[0].name == "image"
    assert (tmp_path / "hub.onnx").is_file()


def test_what_is_no_request_is_a_failure() -> None:
    """What is no request ends the worker with a reason on stderr and nothing on stdout."""
    done = _run(b"{}")
    assert done.returncode != 0
    assert done.stdout == b""
    assert b"hub request" in done.stderr


@pytest.mark.parametrize(("raised", "said"), [(MemoryError(), "1024 MiB of memory"), (RecursionError(), "nested too deeply")])
def test_what_the_file_does_to_the_reader_is_told(raised, said, monkeypatch, tmp_path) -> None:
    """Too little memory and too deep a nesting are the file's fault, under the name that the user gave."""

    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(onnx_hub_worker, "read_hub", fail)
    reply = onnx_hub_worker.answer(HubRequest(path=str(tmp_path / "a"), hub=str(tmp_path / "b"), subject="brought.pt2"), LIMITS)
    assert isinstance(reply, Refused)
    assert (reply.kind, reply.subject) == ("InputError", "brought.pt2")
    assert said in reply.problem


def test_refusal_names_what_was_brought(tmp_path) -> None:
    """Where the file was exported of something else, the refusal of the file names that."""
    (tmp_path / "exported.onnx").write_bytes(b"\x08\x08")
    request = HubRequest(path=str(tmp_path / "exported.onnx"), hub=str(tmp_path / "hub.onnx"), subject="brought.pt2")
    reply = onnx_hub_worker.answer(request, LIMITS)
    assert isinstance(reply, Refused)
    assert reply.subject == "brought.pt2"
