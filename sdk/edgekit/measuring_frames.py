"""What a measuring process and its worker say to each other: msgpack behind a length of four bytes, big-endian.

It needs nothing but two byte streams, so the worker may as well be on another machine.
"""

import struct
from collections.abc import Mapping
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np
from msgspec import Meta

from edgekit import errors
from edgekit.arrays import Array, Arrays
from edgekit.artifacts import Artifact
from edgekit.errors import EdgekitError, WireError
from edgekit.records import NonNegative, Record
from edgekit.tensors import TensorSpec

HEADER = struct.Struct(">I")
_SIDES = "Use the same version of edgekit on both sides."


class ArrayFrame(Record, frozen=True, kw_only=True):
    """An array: its numpy dtype, its shape, and its bytes in C order; for strings, a list of them."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes | list[Any]


class Open(Record, frozen=True, kw_only=True, tag=True):
    """Load the model at *path* in *runtime*, pinned to the CPU *cpu* where one is given."""

    path: str
    artifact: Artifact
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    runtime: str
    threads: Annotated[int, Meta(ge=1)] = 1
    cpu: int | None = None


class Infer(Record, frozen=True, kw_only=True, tag=True):
    """Run the model once."""

    inputs: dict[str, ArrayFrame]


class Time(Record, frozen=True, kw_only=True, tag=True):
    """Run the model *iterations* times after a warm-up, timing each."""

    inputs: dict[str, ArrayFrame]
    iterations: Annotated[int, Meta(ge=1)]


class Done(Record, frozen=True, kw_only=True, tag=True):
    """The answer to any request: the outputs of Infer, the milliseconds of Time, and what the process takes so far."""

    outputs: dict[str, ArrayFrame] = {}
    times_ms: tuple[NonNegative, ...] = ()
    runtime_version: str = ""
    rss_mb: NonNegative | None = None


class Refused(Record, frozen=True, kw_only=True, tag=True):
    """An edgekit error on its way to the other side."""

    kind: str
    subject: str
    problem: str
    remedy: str

    @classmethod
    def of(cls, error: EdgekitError) -> "Refused":
        """*error* as a frame."""
        return cls(kind=type(error).__name__, subject=error.subject, problem=error.problem, remedy=error.remedy)

    def to_error(self) -> EdgekitError:
        """The error that was refused with, of the same class."""
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, EdgekitError)):
            raise WireError("measuring worker", f"it refused with the unknown error {self.kind!r}", _SIDES)
        # Some classes make their message of other arguments, and here it is made already.
        error = kind.__new__(kind)
        EdgekitError.__init__(error, self.subject, self.problem, self.remedy)
        return error


Request = Open | Infer | Time
Reply = Done | Refused


def encode_frame(message: Request | Reply) -> bytes:
    """*message* with its length before it."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """The request in *body*, or WireError."""
    return _decode(body, Request)  # type: ignore[no-any-return]


def decode_reply(body: bytes) -> Reply:
    """The reply in *body*, or WireError."""
    return _decode(body, Reply)  # type: ignore[no-any-return]


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame's body from a blocking *stream*; None at its end. WireError where it ends within a frame."""
    header = stream.read(HEADER.size)
    if not header:
        return None
    body = stream.read(HEADER.unpack(header)[0]) if len(header) == HEADER.size else b""
    if len(header) < HEADER.size or len(body) < HEADER.unpack(header)[0]:
        raise WireError("measuring frames", "the stream ended within a frame", "Start the measurement again.")
    return body


def pack_arrays(arrays: Mapping[str, Array]) -> dict[str, ArrayFrame]:
    """*arrays* as frames carry them."""
    return {name: _pack(array) for name, array in arrays.items()}


def unpack_arrays(frames: Mapping[str, ArrayFrame]) -> Arrays:
    """The arrays in *frames*, writable and the caller's own."""
    return {name: _unpack(name, frame) for name, frame in frames.items()}


def _pack(array: Array) -> ArrayFrame:
    if array.dtype.kind in "OSU":
        return ArrayFrame(dtype="object", shape=array.shape, data=array.ravel().tolist())
    return ArrayFrame(dtype=array.dtype.name, shape=array.shape, data=array.tobytes())


def _unpack(name: str, frame: ArrayFrame) -> Array:
    try:
        flat: Array = np.array(frame.data, object) if isinstance(frame.data, list) else np.frombuffer(frame.data, frame.dtype)
        array: Array = flat.reshape(frame.shape).copy()
    except (ValueError, TypeError) as error:
        raise WireError(f"array {name!r}", f"its bytes are not {frame.dtype}{list(frame.shape)}: {error}", _SIDES) from error
    return array


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise WireError("measuring frame", f"it cannot be read: {error}", _SIDES) from error
