"""The Open Inference Protocol V2 as pure functions: bytes to tensors and back.

Clauses are those of the protocol's "HTTP/REST" and of its binary tensor data extension, in which the JSON object is
followed by the tensors' bytes: little-endian, row-major, without padding.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Struct

from edgekit.arrays import Array, Arrays
from edgekit.errors import EdgekitError, InputError
from edgekit.runtimes.sessions import check_outputs
from edgekit.tensors import TensorSpec

#: The protocol's datatypes ("Tensor Data Types") and the dtypes that they are here.
# fmt: off
DTYPES = {
    "BOOL": "bool",
    "INT8":  "int8",  "INT16":  "int16",  "INT32":  "int32",  "INT64":  "int64",
    "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "FP16": "float16", "FP32": "float32", "FP64": "float64", "BF16": "bfloat16",
    "BYTES": "bytes",
}
# fmt: on
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
EXTENSIONS = ("binary_tensor_data",)
_LENGTH = struct.Struct("<I")
_NOT_THE_PROTOCOL = "Send what the Open Inference Protocol V2 describes."

Parameters = dict[str, Any]


class _Input(Struct, frozen=True):
    name: str
    datatype: str
    shape: Annotated[tuple[Annotated[int, Meta(ge=0)], ...], Meta(max_length=32)]
    parameters: Parameters | None = None
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class _Output(Struct, frozen=True):
    name: str
    parameters: Parameters | None = None


class _Request(Struct, frozen=True):
    inputs: list[_Input]
    outputs: list[_Output] | None = None
    parameters: Parameters | None = None
    id: str | None = None


class NotExpressible(EdgekitError):
    """The answer holds something that JSON has no word for."""


@dataclass(frozen=True)
class InferRequest:
    """What a client asks for. *outputs* maps the names wanted, in order, to whether each is wanted in binary.

    An empty *outputs* asks for all of them, in the form that *binary* says.
    """

    inputs: Arrays
    outputs: Mapping[str, bool]
    binary: bool
    id: str | None


@dataclass(frozen=True)
class Payload:
    """A body in pieces. *json_length* is that of the JSON object where binary tensors follow it, else None."""

    pieces: tuple[bytes, ...]
    json_length: int | None = None


def decode_request(body: memoryview, json_length: int | None) -> InferRequest:
    """The request in *body*.

    *json_length* is the value of the header Inference-Header-Content-Length, which alone says that binary tensors
    may follow the JSON object. The arrays may share the memory of *body*.

    Raises:
        InputError: it is not a request of the protocol; the message names the field or the tensor.
    """
    if json_length is not None and json_length > len(body):
        raise InputError("Inference-Header-Content-Length", f"it is {json_length}, and the body has {len(body)} bytes", "Correct the header.")
    split = len(body) if json_length is None else json_length
    request = _decode_json(body[:split])
    outputs = request.outputs or []
    binary = (request.parameters or {}).get("binary_data_output") is True
    wanted = {output.name: _wants_binary(output, default=binary) for output in outputs}
    if len(wanted) != len(outputs):
        raise InputError("outputs", "one of them is named twice", "Name each output once.")
    return InferRequest(_decode_inputs(request.inputs, None if json_length is None else body[split:]), wanted, binary, request.id)


def encode_response(model: str, version: str, request: InferRequest, specs: Sequence[TensorSpec], answers: Mapping[str, Array]) -> Payload:
    """The response with the outputs that *request* asks for, in its order; the JSON object first, then binary tensors.

    *specs* are those of *answers*, the model's outputs or what its contract reads of them.

    Raises:
        InputError: an output is asked for that *specs* do not have.
        NotExpressible: a value is NaN, infinite, or not UTF-8, and was to be sent as JSON.
    """
    known = {spec.name: spec for spec in specs}
    wanted = request.outputs or dict.fromkeys(known, request.binary)
    check_outputs(wanted, specs)
    binary = {name: _encode_binary(answers[name], known[name].dtype) for name, is_binary in wanted.items() if is_binary}
    outputs = [_describe_output(known[name], answers[name], binary.get(name)) for name in wanted]
    identity = {} if request.id is None else {"id": request.id}
    head = msgspec.json.encode({"model_name": model, "model_version": version, **identity, "outputs": outputs})
    return Payload((head, *binary.values()), len(head) if binary else None)


def describe_tensor(spec: TensorSpec) -> dict[str, Any]:
    """The metadata of one tensor. A size that may vary is -1 ("Model Metadata Response JSON Object")."""
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": [-1 if isinstance(size, str) else size for size in spec.shape]}


def encode_error(message: str) -> bytes:
    """The protocol's error object."""
    return msgspec.json.encode({"error": message})


def _decode_json(data: memoryview) -> _Request:
    try:
        return msgspec.json.decode(data, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("request", f"its JSON is not an inference request: {error}", _NOT_THE_PROTOCOL) from error


def _wants_binary(output: _Output, *, default: bool) -> bool:
    own = (output.parameters or {}).get("binary_data")
    return default if own is None else own is True


def _decode_inputs(inputs: Sequence[_Input], binary: memoryview | None) -> Arrays:
    """Every input as an array. The binary tensors lie in *binary* in the order in which the JSON object names them."""
    arrays: Arrays = {}
    taken = 0
    for one in inputs:
        if one.name in arrays:
            raise InputError(f"input {one.name!r}", "it is given twice", "Give each input once.")
        size = _binary_size(one)
        if size is None:
            arrays[one.name] = _decode_data(one)
        else:
            arrays[one.name] = _decode_binary(one, _cut(one, binary, taken, size))
            taken += size
    if binary is not None and taken != len(binary):
        raise InputError("request", f"{len(binary)} bytes follow its JSON, and binary_data_size accounts for {taken}", _NOT_THE_PROTOCOL)
    return arrays


def _binary_size(one: _Input) -> int | None:
    size = (one.parameters or {}).get("binary_data_size")
    if size is None:
        return None
    if one.data is not msgspec.UNSET:
        raise _refuse(one, "it has both data and binary_data_size", "Send one of them.")
    if type(size) is not int or size < 0:
        raise _refuse(one, f"its binary_data_size is {size!r}, and a count of bytes is expected")
    return size


def _cut(one: _Input, binary: memoryview | None, start: int, size: int) -> memoryview:
    if binary is None:
        raise _refuse(one, "it has a binary_data_size", "Send the header Inference-Header-Content-Length with binary tensors.")
    if start + size > len(binary):
        raise _refuse(one, f"it should have {size} bytes, and {len(binary) - start} are left in the body")
    return binary[start : start + size]


def _decode_binary(one: _Input, data: memoryview) -> Array:
    dtype = _find_dtype(one)
    if dtype == "bytes":
        return _shaped(one, _split_strings(one, data))
    little = np.dtype(dtype).newbyteorder("<")
    expected = math.prod(one.shape) * little.itemsize
    if len(data) != expected:
        raise _refuse(one, f"{one.datatype} of shape {list(one.shape)} takes {expected} bytes, and {len(data)} were sent")
    raw = np.frombuffer(data, np.uint8 if dtype == "bool" else little)
    if dtype == "bool" and raw.size and raw.max() > 1:
        raise _refuse(one, "a BOOL is the byte 0 or 1, and there are others")
    # After a JSON object of any length, tensors may lie at any address, and a runtime reads them with aligned loads.
    return np.require(raw.reshape(one.shape), np.dtype(dtype), ("A", "C"))


def _split_strings(one: _Input, data: memoryview) -> list[bytes]:
    """The elements of a BYTES tensor, each with its length before it as a 4-byte unsigned integer."""
    found: list[bytes] = []
    position = 0
    while position < len(data):
        end = position + _LENGTH.size
        length = _LENGTH.unpack_from(data, position)[0] if end <= len(data) else len(data)
        if end + length > len(data):
            raise _refuse(one, f"element {len(found)} of its BYTES is cut off")
        found.append(bytes(data[end : end + length]))
        position = end + length
    return found


def _decode_data(one: _Input) -> Array:
    """The tensor in ``data``, which is row-major, flat or nested ("Tensor Data")."""
    if one.data is msgspec.UNSET:
        raise _refuse(one, "it has no data")
    dtype = _find_dtype(one)
    if dtype == "bytes":
        return _shaped(one, _encode_strings(one, _flatten(one.data)))
    return _shaped(one, _to_numbers(one, one.data, np.dtype(dtype)))


def _to_numbers(one: _Input, data: list[Any], dtype: np.dtype[Any]) -> Array:
    try:
        natural = np.array(data)
    except ValueError as error:
        raise _refuse(one, f"its data is nested unevenly: {error}") from error
    if not natural.size:
        return natural.astype(dtype)
    if dtype.kind in "iu":
        return _to_integers(one, data, natural, dtype)
    if natural.dtype.kind not in ("b" if dtype.kind == "b" else "iuf"):
        raise _refuse(one, f"its data is not {one.datatype} throughout")
    with np.errstate(over="ignore"):
        numbers: Array = natural.astype(dtype)
    if dtype.kind == "f" and not np.isfinite(numbers).all():
        raise _refuse(one, f"its data has a number too large for {one.datatype}")
    return numbers


def _to_integers(one: _Input, data: list[Any], natural: Array, dtype: np.dtype[Any]) -> Array:
    if natural.dtype.kind not in "iu":
        # numpy takes a list with numbers on both sides of 2^63 for floats, so look at each.
        if not all(type(item) is int for item in _flatten(data)):
            raise _refuse(one, f"its data is not {one.datatype} throughout")
        natural = np.array(data, object)
    limits = np.iinfo(dtype)
    if natural.min() < limits.min or natural.max() > limits.max:
        raise _refuse(one, f"its data has a number outside {limits.min}..{limits.max}")
    return natural.astype(dtype)


def _encode_strings(one: _Input, items: list[Any]) -> list[bytes]:
    if not all(isinstance(item, str) for item in items):
        raise _refuse(one, "its data is BYTES, and not every element is a string")
    return [item.encode() for item in items]


def _flatten(data: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in data:
        if isinstance(item, list):
            flat += _flatten(item)
        else:
            flat.append(item)
    return flat


def _shaped(one: _Input, items: Array | list[bytes]) -> Array:
    count = items.size if isinstance(items, np.ndarray) else len(items)
    if count != math.prod(one.shape):
        raise _refuse(one, f"its shape {list(one.shape)} has {math.prod(one.shape)} elements, and {count} were sent")
    if isinstance(items, np.ndarray):
        return items.reshape(one.shape)
    array: Array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(one.shape)


def _find_dtype(one: _Input) -> str:
    dtype = DTYPES.get(one.datatype)
    if dtype is None or dtype == "bfloat16":
        known = ", ".join(name for name in DTYPES if name != "BF16")
        raise _refuse(one, f"the datatype {one.datatype!r} cannot be sent", f"Send one of {known}.")
    return dtype


def _describe_output(spec: TensorSpec, array: Array, binary: bytes | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(array.shape)}
    if binary is not None:
        return entry | {"parameters": {"binary_data_size": len(binary)}}
    return entry | {"data": _to_list(spec, array)}


def _to_list(spec: TensorSpec, array: Array) -> list[Any]:
    """The elements row by row, as JSON can say them (RFC 8259 has neither NaN nor infinity, and only Unicode strings)."""
    subject, remedy = f"output {spec.name!r}", "Ask for it in binary: parameters.binary_data = true."
    if spec.dtype == "bytes":
        try:
            return [_to_bytes(item).decode() for item in array.ravel()]
        except UnicodeDecodeError as error:
            raise NotExpressible(subject, "it holds bytes that are not UTF-8, which JSON cannot express", remedy) from error
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotExpressible(subject, "it holds NaN or infinity, which JSON cannot express", remedy)
    items: list[Any] = array.ravel().tolist()
    return items


def _encode_binary(array: Array, dtype: str) -> bytes:
    if dtype == "bytes":
        return b"".join(_LENGTH.pack(len(item)) + item for item in map(_to_bytes, array.ravel()))
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _to_bytes(item: str | bytes) -> bytes:
    return item.encode() if isinstance(item, str) else bytes(item)


def _refuse(one: _Input, problem: str, remedy: str = _NOT_THE_PROTOCOL) -> InputError:
    return InputError(f"input {one.name!r}", problem, remedy)
