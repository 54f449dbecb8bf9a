"""The Open Inference Protocol V2 as bytes: what is accepted, what is refused, and what comes back."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.tensors import TensorSpec
from edgekit_agent.local_api.protocol import (
    DTYPES,
    InferRequest,
    NotExpressible,
    decode_request,
    describe_tensor,
    encode_error,
    encode_response,
)

NUMERIC = {datatype: dtype for datatype, dtype in DTYPES.items() if datatype not in ("BYTES", "BF16")}


def decode(inputs: Any, binary: bytes | None = None, **fields: Any) -> InferRequest:
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return decode_request(memoryview(head + (binary or b"")), None if binary is None else len(head))


def tensor(datatype: str, shape: list[int], data: Any = None, **parameters: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": "x", "datatype": datatype, "shape": shape}
    return entry | ({} if data is None else {"data": data}) | ({"parameters": parameters} if parameters else {})


def respond(array: np.ndarray, spec: TensorSpec, *, binary: bool = False, id: str | None = None) -> tuple[dict[str, Any], bytes]:
    payload = encode_response("m", "1", InferRequest({}, {}, binary, id), [spec], {spec.name: array})
    whole = b"".join(payload.pieces)
    split = len(whole) if payload.json_length is None else payload.json_length
    return json.loads(whole[:split]), whole[split:]


@pytest.mark.parametrize("datatype", NUMERIC)
def test_every_datatype_travels_in_json(datatype):
    """A tensor of each datatype is read from JSON and comes back as the same numbers."""
    data = [True, False] if datatype == "BOOL" else [0, 100]
    array = decode([tensor(datatype, [2], data)]).inputs["x"]
    assert (array.dtype.name, array.tolist()) == (NUMERIC[datatype], data)
    answer, _ = respond(array, TensorSpec(name="y", dtype=NUMERIC[datatype], shape=(2,)))
    assert answer["outputs"] == [{"name": "y", "datatype": datatype, "shape": [2], "data": data}]


@pytest.mark.parametrize("datatype", NUMERIC)
def test_every_datatype_travels_in_binary(datatype):
    """Binary tensors are little-endian, row-major, of the datatype's own size, and aligned whatever comes before them."""
    dtype = np.dtype(NUMERIC[datatype]).newbyteorder("<")
    sent = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    for padding in range(8):
        request = decode([tensor(datatype, [2, 3], binary_data_size=sent.nbytes)], sent.tobytes(), id="i" * padding)
        array = request.inputs["x"]
        assert array.flags.aligned
        assert array.flags.c_contiguous
        assert (array.dtype.name, array.tolist()) == (NUMERIC[datatype], sent.tolist())
    answer, binary = respond(array, TensorSpec(name="y", dtype=NUMERIC[datatype], shape=(2, 3)), binary=True)
    assert answer["outputs"] == [{"name": "y", "datatype": datatype, "shape": [2, 3], "parameters": {"binary_data_size": sent.nbytes}}]
    assert binary == sent.tobytes()


def test_strings_travel_with_their_lengths():
    """Each element of BYTES has a 4-byte length before it, zero bytes and empty ones included."""
    items = [b"a\0", b"", "é".encode()]
    binary = b"".join(struct.pack("<I", len(item)) + item for item in items)
    array = decode([tensor("BYTES", [3, 1], binary_data_size=len(binary))], binary).inputs["x"]
    assert array.tolist() == [[item] for item in items]
    answer, back = respond(array, TensorSpec(name="y", dtype="bytes", shape=(3, 1)), binary=True)
    assert back == binary
    assert answer["outputs"][0]["shape"] == [3, 1]


def test_strings_travel_in_json():
    """BYTES in JSON are strings, as UTF-8."""
    array = decode([tensor("BYTES", [2], ["a", "é"])]).inputs["x"]
    assert array.tolist() == [b"a", "é".encode()]
    answer, _ = respond(np.array(["a", "é"], object), TensorSpec(name="y", dtype="bytes", shape=(2,)))
    assert answer["outputs"][0]["data"] == ["a", "é"]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_floats_survive_json_exactly(values):
    """Any finite float32 comes through JSON bit for bit, there and back."""
    array = decode([tensor("FP32", [len(values)], values)]).inputs["x"]
    answer, _ = respond(array, TensorSpec(name="y", dtype="float32", shape=("n",)))
    assert np.array(answer["outputs"][0]["data"], np.float32).tobytes() == np.array(values, np.float32).tobytes()


@given(st.binary(max_size=300), st.one_of(st.none(), st.integers(0, 300)))
def test_any_bytes_are_read_or_refused(body, json_length):
    """Whatever is sent, the answer is a request or a refusal, never another error."""
    try:
        decode_request(memoryview(body), json_length)
    except InputError:
        return


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]]])
def test_data_may_be_flat_or_nested(data):
    """The shape says how the elements lie, however they are nested."""
    assert decode([tensor("INT32", [2, 2], data)]).inputs["x"].tolist() == [[1, 2], [3, 4]]


def test_integers_keep_every_bit():
    """64-bit integers are not rounded on the way through JSON."""
    top = (1 << 64) - 1
    assert decode([tensor("UINT64", [2], [top, 0])]).inputs["x"].tolist() == [top, 0]
    low = -(1 << 63)
    assert decode([tensor("INT64", [2], [low, 1])]).inputs["x"].tolist() == [low, 1]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (tensor("FP32", [2], [1.0]), "has 2 elements, and 1 were sent"),
        (tensor("FP32", [2]), "has no data"),
        (tensor("FP32", [1], ["1"]), "not FP32 throughout"),
        (tensor("FP32", [1], [None]), "not FP32 throughout"),
        (tensor("FP32", [1], [True]), "not FP32 throughout"),
        (tensor("FP32", [1], [1e39]), "too large for FP32"),
        (tensor("FP16", [1], [70000]), "too large for FP16"),
        (tensor("FP32", [3], [1, [2, 3]]), "nested unevenly"),
        (tensor("INT8", [1], [128]), "outside -128..127"),
        (tensor("UINT8", [1], [-1]), "outside 0..255"),
        (tensor("UINT64", [2], [-1, 1 << 63]), "outside 0.."),
        (tensor("INT64", [1], [1 << 64]), "outside"),
        (tensor("INT32", [1], [1.5]), "not INT32 throughout"),
        (tensor("INT32", [1], [1.0]), "not INT32 throughout"),
        (tensor("BOOL", [1], [1]), "not BOOL throughout"),
        (tensor("BYTES", [1], [1]), "not every element is a string"),
        (tensor("FLOAT", [1], [1]), "'FLOAT' cannot be sent. Send one of BOOL"),
        (tensor("BF16", [1], [1]), "'BF16' cannot be sent"),
        (tensor("FP32", [1], [1], binary_data_size=4), "both data and binary_data_size"),
        (tensor("FP32", [1], binary_data_size=4), "Inference-Header-Content-Length"),
    ],
)
def test_bad_json_tensors_are_refused(given, problem):
    """Each refusal names the input and what is wrong with it."""
    with pytest.raises(InputError) as refusal:
        decode([given])
    assert "input 'x'" in str(refusal.value)
    assert problem in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "binary", "problem"),
    [
        (tensor("FP32", [2], binary_data_size=4), b"1234", "takes 8 bytes, and 4 were sent"),
        (tensor("FP32", [1], binary_data_size=8), b"1234", "should have 8 bytes, and 4 are left"),
        (tensor("FP32", [1], binary_data_size=-4), b"1234", "binary_data_size is -4"),
        (tensor("FP32", [1], binary_data_size=True), b"1234", "binary_data_size is True"),
        (tensor("FP32", [1], binary_data_size="4"), b"1234", "binary_data_size is '4'"),
        (tensor("FP32", [1 << 62, 1 << 62], binary_data_size=4), b"1234", "and 4 were sent"),
        (tensor("BOOL", [2], binary_data_size=2), b"\1\2", "0 or 1"),
        (tensor("BYTES", [1], binary_data_size=3), b"\1\0\0", "cut off"),
        (tensor("BYTES", [1], binary_data_size=5), b"\xff\0\0\0a", "cut off"),
        (tensor("BYTES", [2], binary_data_size=5), b"\1\0\0\0a", "has 2 elements, and 1 were sent"),
    ],
)
def test_bad_binary_tensors_are_refused(given, binary, problem):
    """Sizes are held against shapes and against what is in the body, before anything is read."""
    with pytest.raises(InputError, match="input 'x'") as refusal:
        decode([given], binary)
    assert problem in str(refusal.value)


def test_bytes_that_no_tensor_accounts_for_are_refused():
    """What follows the JSON object must be the tensors that it names, all of it."""
    with pytest.raises(InputError, match="5 bytes follow its JSON, and binary_data_size accounts for 4"):
        decode([tensor("FP32", [1], binary_data_size=4)], b"12345")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"inputs": 1}', b'{"inputs": [{}]}', b"[" * 5000, b'{"inputs": [{"name": "x", "shape": [-1], "datatype": "FP32"}]}']
)
def test_what_is_no_request_is_refused(body):
    """The refusal names the field of the JSON object that is wrong."""
    with pytest.raises(InputError, match="request"):
        decode_request(memoryview(body), None)


def test_a_header_longer_than_the_body_is_refused():
    """The JSON object cannot end behind the body."""
    with pytest.raises(InputError, match="Inference-Header-Content-Length: it is 3, and the body has 2"):
        decode_request(memoryview(b"{}"), 3)


def test_one_input_is_given_once():
    """Two tensors of one name, or two requests for one output, have no meaning."""
    with pytest.raises(InputError, match="given twice"):
        decode([tensor("FP32", [1], [1]), tensor("FP32", [1], [2])])
    with pytest.raises(InputError, match="named twice"):
        decode([], outputs=[{"name": "y"}, {"name": "y"}])


def test_parameters_and_unknown_fields_are_tolerated():
    """What this server does not know does not disturb it, and null means absent."""
    one = tensor("FP32", [1], [1], priority=1) | {"future": {}}
    request = decode(
        [one, {"name": "z", "shape": [0], "datatype": "FP32", "parameters": None, "data": []}], id=None, parameters={"timeout": 1}, outputs=None
    )
    assert request.inputs["x"].tolist() == [1.0]
    assert request.inputs["z"].shape == (0,)
    assert (request.id, request.outputs, request.binary) == (None, {}, False)


SPECS = [TensorSpec(name="a", dtype="float32", shape=(1,)), TensorSpec(name="b", dtype="int8", shape=(2,))]
ANSWERS = {"a": np.array([0.5], np.float32), "b": np.array([1, 2], np.int8)}


def test_outputs_come_in_the_order_asked_for():
    """A client gets the outputs that it names, in its order, and the id that it sent."""
    request = decode([], outputs=[{"name": "b"}, {"name": "a"}], id="42")
    answer = json.loads(b"".join(encode_response("m", "1.0.0", request, SPECS, ANSWERS).pieces))
    assert [output["name"] for output in answer["outputs"]] == ["b", "a"]
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("42", "m", "1.0.0")
    only = json.loads(b"".join(encode_response("m", "1", decode([], outputs=[{"name": "b"}]), SPECS, ANSWERS).pieces))
    assert [output["name"] for output in only["outputs"]] == ["b"]
    assert "id" not in only


def test_an_output_may_overrule_the_request():
    """binary_data of one output comes before binary_data_output of the request, in both directions."""
    mixed = decode([], outputs=[{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}], parameters={"binary_data_output": True})
    assert mixed.outputs == {"a": False, "b": True}
    payload = encode_response("m", "1", mixed, SPECS, ANSWERS)
    assert payload.json_length == len(payload.pieces[0])
    answer = json.loads(payload.pieces[0])
    assert answer["outputs"][0]["data"] == [0.5]
    assert answer["outputs"][1]["parameters"] == {"binary_data_size": 2}
    assert payload.pieces[1:] == (b"\1\2",)
    assert decode([], outputs=[{"name": "a", "parameters": {"binary_data": True}}]).outputs == {"a": True}
    assert decode([], parameters={"binary_data_output": True}).binary


def test_an_unknown_output_is_refused():
    """The refusal lists the outputs that there are."""
    with pytest.raises(InputError, match=r"output 'c'.*It gives a, b"):
        encode_response("m", "1", decode([], outputs=[{"name": "c"}]), SPECS, ANSWERS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_json_has_no_word_for_nan_and_infinity(value):
    """They are refused in JSON, with the way out, and sent in binary."""
    spec, array = TensorSpec(name="y", dtype="float32", shape=(1,)), np.array([value], np.float32)
    with pytest.raises(NotExpressible, match=r"NaN or infinity.*binary_data = true"):
        respond(array, spec)
    assert respond(array, spec, binary=True)[1] == array.tobytes()


def test_bytes_that_are_no_text_are_sent_in_binary_alone():
    """JSON strings are Unicode."""
    spec, array = TensorSpec(name="y", dtype="bytes", shape=(1,)), np.array([b"\xff"], object)
    with pytest.raises(NotExpressible, match="not UTF-8"):
        respond(array, spec)
    assert respond(array, spec, binary=True)[1] == b"\1\0\0\0\xff"


def test_sizes_that_vary_are_minus_one():
    """Metadata shows a named axis as -1."""
    assert describe_tensor(TensorSpec(name="x", dtype="float32", shape=("n", 3))) == {"name": "x", "datatype": "FP32", "shape": [-1, 3]}


def test_an_error_is_an_object_with_one_string():
    """The protocol's error object."""
    assert json.loads(encode_error('a "quoted" word')) == {"error": 'a "quoted" word'}
