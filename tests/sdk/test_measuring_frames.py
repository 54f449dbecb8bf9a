"""Frames mean the same on both sides."""

import io

import msgspec
import numpy as np
import pytest

from edgekit import errors
from edgekit.errors import DigestMismatch, EdgekitError, GateRefused, InputError, SchemaTooNew, UnknownName, WireError
from edgekit.measuring_frames import (
    HEADER,
    ArrayFrame,
    Done,
    Infer,
    Refused,
    Time,
    decode_reply,
    decode_request,
    encode_frame,
    pack_arrays,
    read_frame,
    unpack_arrays,
)

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(6, dtype=np.float32).reshape(2, 3).T,
    np.array([[True, False]]),
    np.array(7, np.int64),
    np.zeros((0, 3), np.uint8),
    np.array([np.nan, np.inf], np.float16),
    np.array([b"a", "ü"], object).reshape(2, 1),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_comes_through(array):
    """An array arrives with its dtype, shape and values, and belongs to who unpacked it."""
    frame = encode_frame(Infer(inputs=pack_arrays({"x": array})))
    request = decode_request(frame[HEADER.size :])
    assert isinstance(request, Infer)
    found = unpack_arrays(request.inputs)["x"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable and found.flags.owndata


@pytest.mark.parametrize(
    "error",
    [
        InputError("x", "it is wrong", "Mend it."),
        GateRefused("x", "it is refused"),
        UnknownName("format", "onix", ["onnx"]),
        SchemaTooNew("manifest.json", 9, 1),
        DigestMismatch("model.onnx", "sha256:a", "sha256:b"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_through(error):
    """An error arrives as the same class with the same message, however its class makes it."""
    reply = decode_reply(encode_frame(Refused.of(error))[HEADER.size :])
    assert isinstance(reply, Refused)
    found = reply.to_error()
    assert type(found) is type(error)
    assert (str(found), found.subject, found.problem, found.remedy) == (str(error), error.subject, error.problem, error.remedy)


def test_every_error_of_edgekit_can_come_through():
    """No class of errors.py is unknown to the other side."""
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, EdgekitError)]
    assert len(classes) > 8
    for one in classes:
        assert type(Refused(kind=one.__name__, subject="s", problem="p", remedy="").to_error()) is one


@pytest.mark.parametrize("kind", ["ValueError", "Iterable", "no_such_name"])
def test_only_edgekit_s_errors_are_made(kind):
    """A name of anything else than an edgekit error is refused, and nothing of that name is called."""
    with pytest.raises(WireError, match=kind):
        Refused(kind=kind, subject="s", problem="p", remedy="").to_error()


@pytest.mark.parametrize("body", [b"", b"\xff", msgspec.msgpack.encode({"type": "Sleep"}), encode_frame(Done())[HEADER.size :]])
def test_what_is_no_request_is_refused(body):
    """Bytes that are not a request are a WireError."""
    with pytest.raises(WireError):
        decode_request(body)


def test_no_iterations_cannot_be_asked_for():
    """A request to time nothing does not decode."""
    with pytest.raises(WireError, match="iterations"):
        decode_request(encode_frame(Time(inputs={}, iterations=0))[HEADER.size :])


@pytest.mark.parametrize("frame", [ArrayFrame(dtype="float32", shape=(3,), data=b"\0" * 8), ArrayFrame(dtype="no_type", shape=(), data=b"")])
def test_an_array_that_does_not_fit_its_bytes_is_refused(frame):
    """Bytes that are not an array of the shape and dtype that they claim are a WireError that names it."""
    with pytest.raises(WireError, match="'x'"):
        unpack_arrays({"x": frame})


def test_frames_are_read_one_by_one():
    """A stream gives its frames in order, None at its end, and a WireError where it was cut within one."""
    frames = [encode_frame(Done(runtime_version=version)) for version in ("1", "2")]
    stream = io.BytesIO(b"".join(frames))
    assert [decode_reply(read_frame(stream) or b"") for _ in frames] == [Done(runtime_version="1"), Done(runtime_version="2")]
    assert read_frame(stream) is None
    for length in (2, HEADER.size, len(frames[0]) - 1):
        with pytest.raises(WireError, match="ended within"):
            read_frame(io.BytesIO(frames[0][:length]))
